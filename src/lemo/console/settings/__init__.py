"""The page of the settings: keys, accounts of the console, and tenants."""
