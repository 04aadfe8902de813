"""Ordering candidates anew: maximal marginal relevance, caps and promoted places beside a plain description of each."""

from collections import Counter
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from lemo.domain.item import Item
from lemo.domain.pipeline import Cap, Diversity, pipeline_of
from lemo.recommenders.scored import Scored
from lemo.serving.catalogue.columns import Columns, columns_of
from lemo.serving.matching import Matching
from lemo.serving.pipeline.plan import Plan, Rule
from lemo.serving.pipeline.rerank import Caps, placed

shelves = st.lists(
    st.tuples(st.integers(0, 20), st.sets(st.sampled_from("abcd"), max_size=3), st.sampled_from(["x", "y", ""])),
    min_size=1,
    max_size=12,
)


def shelf(rows: Any) -> tuple[list[Scored], Columns]:
    items = [
        Item(item_id=str(number), categories=sorted(categories), author=author)
        for number, (_, categories, author) in enumerate(rows)
    ]
    scored = [Scored(str(number), float(score), None, "similar") for number, (score, _, _) in enumerate(rows)]
    return sorted(scored, key=lambda each: -each.score), columns_of(items)


def likeness(one: set[str], other: set[str]) -> float:
    return len(one & other) / max(len(one | other), 1)


@given(shelves, st.sampled_from([0.2, 0.5, 0.9, 1.0]), st.integers(1, 12))
def test_each_place_has_the_item_of_maximal_marginal_relevance(rows: Any, strength: float, n: int) -> None:
    scored, columns = shelf(rows)
    plan = Plan(n=n, diversity=Diversity(strength=strength), columns=columns)
    answer = placed(scored, (), plan, Caps((), columns))
    assert len(answer) == min(n, len(rows))
    scores = [each.score for each in scored]
    spread = (max(scores) - min(scores)) or 1.0
    left = list(scored)
    taken: list[Scored] = []
    for each in answer:

        def value(item: Scored, taken: tuple[Scored, ...] = tuple(taken)) -> float:
            alike = max((likeness(rows[int(item.item_id)][1], rows[int(t.item_id)][1]) for t in taken), default=0.0)
            return float((1 - strength) * (item.score - min(scores)) / spread - strength * alike)

        assert value(each) >= max(map(value, left)) - 1e-6
        left.remove(each)
        taken.append(each)


@given(shelves, st.integers(1, 3), st.integers(1, 12))
def test_no_more_than_the_cap_share_a_value_and_nobody_is_left_out_without_need(rows: Any, most: int, n: int) -> None:
    scored, columns = shelf(rows)
    plan = Plan(n=n, caps=[Cap(by="author", most=most)], columns=columns)
    answer = placed(scored, (), plan, Caps(plan.caps, columns))
    authors = Counter(rows[int(each.item_id)][2] for each in answer)
    assert all(count <= most for author, count in authors.items() if author)
    expected, counts = [], Counter[str]()
    for each in scored:
        author = rows[int(each.item_id)][2]
        if not author or counts[author] < most:
            counts[author] += 1
            expected.append(each)
    assert answer == expected[:n]


@given(shelves, st.sampled_from([0.1, 0.25, 0.5, 1.0]), st.integers(1, 12))
def test_a_promotion_gets_its_share_of_the_places(rows: Any, share: float, n: int) -> None:
    scored, columns = shelf(rows)
    mask = columns.live & False
    for row in range(0, len(rows), 2):
        mask[columns.row(str(row))] = True
    rule = Rule("promote", Matching(columns, mask, columns.version), share)
    promoted = [each for each in scored if each.item_id in rule.matching]
    answer = placed(scored, [promoted], Plan(n=n, promotions=[rule], columns=columns), Caps((), columns))
    assert len({each.item_id for each in answer}) == len(answer) == min(n, len(rows))
    given_places = [each for each in answer if each.kind == "promoted"]
    assert len(given_places) <= round(n * share)
    if len(rows) >= n and len(promoted) == len(rows):
        assert len(given_places) == round(n * share)


def test_the_example_of_the_documentation_is_a_pipeline(request: Any) -> None:
    page = (request.config.rootpath / "docs" / "pipeline.md").read_text()
    text = page.split("```yaml\n")[1].split("```")[0]
    pipeline = pipeline_of(yaml.safe_load(text))
    named = set(pipeline.model_dump(exclude_defaults=True))
    assert named == set(type(pipeline).model_fields)
    for stage in named - {"variables"}:
        assert f"| `{stage}` |" in page
