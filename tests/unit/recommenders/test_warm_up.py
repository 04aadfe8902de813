"""After the warm-up no request waits for the compiler."""

import subprocess
import sys

import pytest

# In a process of its own, since numba keeps what other tests have had compiled.
FIRST_REQUESTS = """
import sys
from pathlib import Path

import numpy as np

from lemo.domain.interaction import Interaction
from lemo.domain.scenario import ActionRule
from lemo.domain.scope import Scope
from lemo.recommenders.conformance import example_world
from lemo.recommenders.hybrid.hybrid import HybridConfig, HybridRecommender
from lemo.recommenders.hybrid.ranker import TreeRanker
from lemo.recommenders.hybrid.ranking_features import HalfLives
from lemo.recommenders.hybrid.trees import Trees
from lemo.recommenders.hybrid.warm_up import warm_up
from lemo.recommenders.kernels import hybrid
from lemo.serving.state import read_model
from lemo.stores.objects.snapshots import Snapshots

def compiled():
    return {loop: loop.signatures for loop in vars(hybrid).values() if hasattr(loop, "signatures")}

warm_up()
before = {loop: list(signatures) for loop, signatures in compiled().items()}
assert {loop.__name__ for loop, signatures in before.items() if signatures} >= {
    "multiply", "generate_candidates", "tree_sums"
}
world, scope, rules = example_world(), Scope("tenant", "shop"), {"click": ActionRule(weight=1)}
tree = Trees(features=np.zeros(7), thresholds=np.zeros(7), survivors=np.full(7, 255), values=np.zeros(8))
ranker = TreeRanker(half_lives=HalfLives.of(world.span), trees=tree) if sys.argv[2] == "ranked" else None
fitted = HybridRecommender.fit(world, HybridConfig(ranker=ranker), rules)
snapshots = Snapshots(sys.argv[1], Path(sys.argv[1], "cache"))
arrays, manifest = fitted.to_arrays()
snapshots.publish(scope, "model", "1", arrays, manifest)
one = [Interaction("item-001", "click", None, 5), Interaction("unknown", "click", None, 5)]
for model in (fitted, read_model(scope, snapshots, "1")):
    model.popular(10)
    model.recommend([one], 10, ["item-002"], [{"item-003"}])
    model.recommend([one, (), one], 10)
    model.rank(world.query_matrix(), world.seen_csr(), 10)
print([loop.__name__ for loop, signatures in compiled().items() if before[loop] != list(signatures)])
"""


@pytest.mark.parametrize("kind", ["ranked", "hybrid"])
def test_no_request_compiles_anything_after_the_warm_up(kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_REQUESTS, "snapshots", kind], capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stdout + done.stderr
