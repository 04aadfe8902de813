"""Ids that come again are found, over any number of batches."""

from hypothesis import given
from hypothesis import strategies as st

from lemo.files.repeats import Repeat, Repeats

rows = st.lists(st.tuples(st.sampled_from([f"id{number}" for number in range(30)]), st.integers(0, 1)), max_size=20)


@given(st.lists(rows, max_size=20))
def test_an_id_that_came_before_is_found_however_the_rows_are_batched(batches: list[list[tuple[str, int]]]) -> None:
    repeats = Repeats()
    first: dict[str, int] = {}
    for batch in batches:
        expected = []
        for name, contents in batch:
            expected.append(
                Repeat.first if name not in first else Repeat.same if first[name] == contents else Repeat.other
            )
            first.setdefault(name, contents)
        assert repeats.check([name for name, _ in batch], [contents for _, contents in batch]) == expected


def test_many_ids_are_kept_in_few_runs() -> None:
    repeats = Repeats()
    for start in range(0, 200_000, 2_000):
        ids = [str(number) for number in range(start, start + 2_000)]
        assert set(repeats.check(ids, ids)) == {Repeat.first}
    assert len(repeats._runs) < 10
    again = [str(number) for number in range(0, 200_000, 7)]
    assert set(repeats.check(again, again)) == {Repeat.same}
