"""The first page: what needs attention, how each scenario does, what ran, and the services."""
