"""The page of the experiments: what runs, what it has shown, and what is done with it."""
