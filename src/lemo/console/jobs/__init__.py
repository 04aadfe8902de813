"""The page of the jobs: when each runs, what its runs did, and running one now."""
