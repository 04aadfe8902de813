"""Which job runs when and how: jobs, schedules, execution, leases, health."""
