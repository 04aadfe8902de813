"""What the services tell of themselves: log lines and the dependency report."""
