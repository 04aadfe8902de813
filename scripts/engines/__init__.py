"""Installs, starts and stops the engines of the tests. Standard library only: it runs before `make install`."""
