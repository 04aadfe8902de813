"""Who uses the command line, for logs of changes."""

import getpass
import os
import socket


def operator(tenant_id: str) -> str:
    """The tenant of the key, the user of the system and the machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())  # a container's user that has no name
    return f"{tenant_id}, command line ({user}@{socket.gethostname()})"
