"""The pages of users: found, looked at, merged and erased."""
