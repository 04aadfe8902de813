"""Lists of strings as two flat arrays, so that ids can be stored and mapped without pickle."""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def pack_strings(name: str, strings: Iterable[str]) -> dict[str, Array]:
    """The strings as `{name}_bytes` (uint8, UTF-8) and `{name}_offsets` (int64, one more than there are strings)."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in strings]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    return {
        f"{name}_bytes": np.frombuffer(b"".join(encoded), dtype=np.uint8),
        f"{name}_offsets": offsets,
    }


def unpack_strings(name: str, arrays: Mapping[str, Array]) -> list[str]:
    """The strings that `pack_strings` packed under `name`; raises KeyError when they are not there."""
    data = arrays[f"{name}_bytes"].tobytes()
    offsets = arrays[f"{name}_offsets"].tolist()
    return [data[start:end].decode("utf-8", "surrogatepass") for start, end in pairwise(offsets)]
