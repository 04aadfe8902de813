import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lemo.recommenders.data.strings import pack_strings, unpack_strings


@given(st.lists(st.text(max_size=8)))
def test_packed_strings_come_back(strings: list[str]) -> None:
    arrays = pack_strings("ids", strings)
    assert unpack_strings("ids", arrays) == strings
    assert arrays["ids_bytes"].dtype == np.uint8
    assert len(arrays["ids_offsets"]) == len(strings) + 1
