"""What a program that uses Lemo imports: `Client`, `AsyncClient` and `EventBuffer`. It needs httpx alone."""

from lemo.client.calls import Accepted, Answer, LemoRefused, LemoUnavailable, Recommended
from lemo.client.clients import AsyncClient, Client
from lemo.client.events import EventBuffer

__all__ = [
    "Accepted",
    "Answer",
    "AsyncClient",
    "Client",
    "EventBuffer",
    "LemoRefused",
    "LemoUnavailable",
    "Recommended",
]
