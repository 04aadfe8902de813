import pytest

from lemo.recommenders import grid as grids
from lemo.recommenders.blend import BlendModel
from lemo.recommenders.evaluation import evaluate
from lemo.recommenders.grid import Grid, judged
from lemo.recommenders.split import split
from recommender_worlds import RULES, groups_world


@pytest.mark.parametrize("cells", [grids.BLOCK_CELLS, 3_000])
def test_mixes_are_judged_as_the_models_they_stand_for(monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    monkeypatch.setattr(grids, "BLOCK_CELLS", cells)
    parts = split(groups_world(users=120, items=100))
    grid = Grid.of(parts.train.span)
    values = judged(parts, grid)
    assert len(values) == len(grid.popularity) * (1 + len(grid.behaviour) * len(grids.SHARES))
    for mix in list(values)[::23]:
        model = BlendModel.fit(parts.train, grid.config(mix), RULES)
        assert values[mix] == pytest.approx(evaluate(model, parts).ndcg_at_10, abs=2e-3), mix


def test_without_time_nothing_decays() -> None:
    grid = Grid.of(0)
    assert grid.popularity == [None]
    assert {half_life for half_life, _ in grid.behaviour} == {None}
