"""The page Analytics: trends, funnel, positions, groups and items of a scenario."""
