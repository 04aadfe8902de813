"""The web console: what the services do, and a recommendation explorer."""
