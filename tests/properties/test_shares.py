"""One user moves what others see by no more than a user's share, however often it acts."""

from hypothesis import given, settings
from hypothesis import strategies as st

from lemo.recommenders.hybrid.hybrid import HybridRecommender
from recommender_worlds import DAY, RULES, best_first, mixture, read, similarity_of

CONFIG = mixture(popularity_half_life_ms=DAY / 2)
acts = st.lists(
    st.tuples(
        st.sampled_from([f"u{number}" for number in range(8)]),
        st.sampled_from([f"i{number}" for number in range(8)]),
        st.sampled_from(["click", "like"]),
        # Within a day there is no pause: in so small a world one more user decides whether a longer gap is one.
        st.integers(0, 23).map(lambda hours: hours * DAY // 24),
    ),
    min_size=3,
    max_size=40,
)


def popular(happened: list[tuple[str, str, str, int]]) -> list[str]:
    return [each.item_id for each in HybridRecommender.fit(read(*happened), CONFIG, RULES).popular(20)]


@given(happened=acts, times=st.integers(1, 500))
@settings(max_examples=10, deadline=None)
def test_one_user_who_acts_on_one_item_changes_no_order_of_the_others(
    happened: list[tuple[str, str, str, int]], times: int
) -> None:
    newest = max(moment for *_, moment in happened)
    stray = [("z", "stray", "like", newest - number * 1_000) for number in range(times)]
    with_stray = popular([*happened, *stray])
    assert [item for item in with_stray if item != "stray"] == popular(happened)


def similar(happened: list[tuple[str, str, str, int]]) -> dict[str, list[str]]:
    """What is similar to each item, best first."""
    numbers, values = best_first(similarity_of(HybridRecommender.fit(read(*happened), CONFIG, RULES)).transpose)
    ids = read(*happened).item_ids
    return {
        ids[row]: [ids[other] for other, value in zip(numbers[row], values[row], strict=True) if value > 0]
        for row in range(len(ids))
    }


@given(happened=acts, times=st.integers(1, 500))
@settings(max_examples=10, deadline=None)
def test_one_user_who_acts_on_one_item_changes_nothing_of_what_is_similar(
    happened: list[tuple[str, str, str, int]], times: int
) -> None:
    newest = max(moment for *_, moment in happened)
    before = similar(happened)
    after = similar([*happened, *(("z", "i0", "like", newest - number * 1_000) for number in range(times))])
    for item_id, near in before.items():
        others = [other for other in after[item_id] if other != "i0"]
        assert others == [other for other in near if other != "i0"], item_id
