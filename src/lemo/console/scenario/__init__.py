"""The page of a scenario: its rules, its settings and its pipeline."""
