"""What the words mean: tenant, scenario, item, event, recommendation. Pure values, no I/O."""
