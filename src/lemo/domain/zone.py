"""Names of time zones."""

from functools import cache
from zoneinfo import available_timezones

from lemo.domain.reasons import shortened


def checked_zone(name: str) -> str:
    """The name of a time zone, as it is. Raises ValueError for any other text.

    Only names of the list: others that Python reads, such as files of the machine, mean nothing to ClickHouse.
    """
    if name not in _zones():
        raise ValueError(f"{shortened(name)} is no time zone; name one as the IANA does, such as UTC or Asia/Shanghai")
    return name


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - {"Factory", "localtime"})
