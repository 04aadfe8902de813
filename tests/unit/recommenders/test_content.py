from lemo.domain.item import Item
from lemo.recommenders.data.catalogue import Catalogue
from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.sources.content import Content, ContentConfig, labels_of
from recommender_worlds import RULES, Act, read, table

ITEMS = [
    Item(item_id="comet", title="A comet seen from Chile", categories=["science"], author="Ada"),
    Item(item_id="moon", title="The moon seen closely", categories=["science"], author="Ada"),
    Item(item_id="derby", title="The derby ends in a draw", categories=["sport"], author="Bo"),
    Item(item_id="final", title="A final without goals", categories=["sport"], author="Cy"),
    Item(item_id="blank"),
]
LIKES: list[Act] = [("u", "comet", "like", 1), ("v", "derby", "like", 2), ("w", "derby", "like", 3)]


def content(items: list[Item] = ITEMS, likes: list[Act] = LIKES) -> tuple[Content, list[str]]:
    ids = [item.item_id for item in items]
    data = Interactions.from_table(table(likes), RULES, ids, Catalogue(lambda: items))
    return next(Content.fit_many(data, [ContentConfig()])), data.item_ids


def test_an_item_that_nobody_has_touched_is_scored_by_what_it_shares_with_liked_ones() -> None:
    source, ids = content()
    scores = source.similar[ids.index("moon")].toarray().ravel()
    assert scores[ids.index("comet")] > scores[ids.index("derby")]  # "the" alone is little
    assert source.similar[ids.index("final")].toarray().ravel()[ids.index("derby")] > 0
    assert source.similar[ids.index("blank")].nnz == 0


def test_only_what_somebody_has_liked_speaks_for_others() -> None:
    source, ids = content()
    speaking = {ids[column] for column in source.similar.indices}
    assert speaking <= {"comet", "derby"}


def test_without_a_catalogue_nothing_is_alike() -> None:
    (source,) = Content.fit_many(read(*LIKES), [ContentConfig()])
    assert source.similar.nnz == 0


def test_titles_without_spaces_are_compared_by_pairs_of_characters() -> None:
    chinese = Item(item_id="zh", title="月球探测")
    assert set(labels_of(chinese)) == {"word 月球", "word 球探", "word 探测"}
    named = set(labels_of(ITEMS[0]))
    assert "author ada" in named
    assert "word ada" not in named
