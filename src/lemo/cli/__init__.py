"""The command line, one module per group of commands, mounted by `lemo.cli.main`."""
