"""The whole similarity job after one in a hundred events is new, beside the same job from nothing.

Both run here on the same embedded engines, reading, comparing and publishing included, in turns. The results are
compared.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import clickhouse_connect
import numpy as np
import pyarrow as pa

from lemo.domain.item import Item
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.jobs.embeddings import embed
from lemo.jobs.report import Report, unattended
from lemo.jobs.similarity import compute_similarity
from lemo.recommenders.data.interactions import Interactions
from lemo.recommenders.hybrid.hybrid import HybridRecommender
from lemo.recommenders.selection.search_space import Mixture
from lemo.recommenders.similar_items import SimilarItems
from lemo.recommenders.sources.item_knn import ItemKnnConfig
from lemo.settings import Settings
from lemo.stores.clickhouse import events as event_store
from lemo.stores.connect import Stores
from populations import SIZES, interactions
from servers import RUN_FOLDER, embedded, stop_embedded

SCOPE = Scope("bench", "shop")
YEAR_MS = 365 * 86_400_000
START_MS = 1_760_000_000_000
NEW = 0.01
ACTIONS = np.array(["view", "like", "purchase"])


def main() -> None:
    """Prints seconds and the ratio for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["1e5", "1e6"], help="events (default: 1e5 1e6)")
    parser.add_argument("--rounds", type=int, default=3, help="of one in a hundred new events (default: 3)")
    parser.add_argument("--stages", action="store_true", help="say how long each stage took")
    arguments = parser.parse_args()
    # The job reads again what the store took in during the last two minutes, for inserts that are under way. There are
    # none here, and these two minutes would hold everything.
    event_store.UNDER_WAY_MS = 0
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory() as folder:
            os.environ[RUN_FOLDER] = folder
            try:
                compare(size, arguments.rounds, Path(folder), arguments.stages)
            finally:
                stop_embedded(Path(folder))


def compare(size: str, rounds: int, folder: Path, stages: bool) -> None:
    """Runs both in turns, after each new part of the events."""
    stores = Stores(
        Settings(
            home=folder / "home",
            redis_url=f"redis://127.0.0.1:{embedded('redis')}",
            clickhouse_url=f"http://127.0.0.1:{embedded('clickhouse')}",
            milvus_uri=f"http://127.0.0.1:{embedded('milvus')}",
        )
    )
    table = prepare(stores, size)
    old = round(len(table) * (1 - NEW * rounds))
    insert(stores, table[:old])
    compute_similarity(stores, SCOPE, unattended())
    seconds: dict[bool, list[float]] = {False: [], True: []}
    furthest = 0.0
    for turn in range(rounds):
        insert(stores, table[old + turn * len(table) // 100 : old + (turn + 1) * len(table) // 100])
        found = []
        for full in (False, True):
            report = Stages(full) if stages else unattended(full)
            started = time.perf_counter()
            done = compute_similarity(stores, SCOPE, report)
            seconds[full].append(time.perf_counter() - started)
            report.stage(f"end ({done.rows_read:,} events read)")
            snapshot = stores.snapshots.open(SCOPE, "similar", done.detail["version"])
            found.append(SimilarItems.from_arrays(snapshot.arrays, snapshot.manifest))
        furthest = max(furthest, difference(*found))
    changed, all_of_it = median(seconds[False]), median(seconds[True])
    kept = sum(file.stat().st_size for file in (folder / "home").rglob("similarity-state/*/*.npy")) / 2**20
    print(
        f"{size} events: {NEW:.0%} new {changed:.2f} s, from nothing {all_of_it:.2f} s, {all_of_it / changed:.1f} times"
        f"; largest difference {furthest:.0e}; kept state {kept:.0f} MB",
        flush=True,
    )
    stores.close()


def prepare(stores: Stores, size: str) -> pa.Table:
    """Makes the scenario, its items with their vectors and a champion; returns its events in the order of time."""
    stores.events.migrate()
    stores.tenants.create(SCOPE.tenant_id)
    stores.scenarios.create(SCOPE.tenant_id, scenario_from_template(SCOPE.scenario_id, "ecommerce"))
    count, _, items = SIZES[size]
    random = np.random.default_rng(2)
    words = np.array([f"word{number}" for number in range(2_000)])
    catalogue = [
        Item(item_id=f"item-{number}", title=" ".join(words[random.integers(0, len(words), 8)]))
        for number in range(items)
    ]
    stores.items.upsert(SCOPE, catalogue, [START_MS] * items)
    embed(stores, SCOPE, unattended())
    users, things, _ = interactions(size)
    times = START_MS + np.sort(random.integers(0, YEAR_MS, count))
    knn = ItemKnnConfig(half_life_ms=YEAR_MS / 10, shrinkage=20, neighbours=100)
    config = Mixture((knn,), None, 0.5).config()
    rules = stores.scenarios.get(SCOPE).actions
    champion = HybridRecommender.fit(Interactions.from_table(_no_events(), rules), config, rules)
    stores.snapshots.publish(SCOPE, "model", "1", *champion.to_arrays())
    stores.snapshots.point(SCOPE, "model", "1", 1)
    return pa.table(
        {
            "tenant_id": [SCOPE.tenant_id] * count,
            "scenario_id": [SCOPE.scenario_id] * count,
            # As derived ids are: a hash, in no order.
            "event_id": [f"{number:016x}" for number in random.permutation(count)],
            "user_id": [f"user-{number}" for number in users.tolist()],
            "item_id": [f"item-{number}" for number in things.tolist()],
            "action": ACTIONS[random.integers(0, len(ACTIONS), count)],
            "timestamp": pa.array(times, pa.timestamp("ms", "UTC")),
        }
    )


def _no_events() -> pa.Table:
    text = pa.array([], pa.string())
    columns = {"user_id": text, "item_id": text, "action": text}
    return pa.table({**columns, "timestamp": pa.array([], pa.int64()), "value": pa.array([], pa.float64())})


def insert(stores: Stores, table: pa.Table) -> None:
    """Puts the events into the store, as columns: this is not what is measured."""
    port = int(stores.settings.clickhouse.rpartition(":")[2])
    client = clickhouse_connect.get_client(host="127.0.0.1", port=port, compress=False)
    for start in range(0, len(table), 500_000):
        client.insert_arrow(f"{stores.settings.clickhouse_database}.events", table[start : start + 500_000])
    client.close()
    time.sleep(0.01)  # the next moment of the store's clock: what comes from now on is new


class Stages(Report):
    """A report that prints how long each stage took."""

    def __init__(self, full: bool) -> None:
        super().__init__(lambda _: None, lambda: None, time.time_ns() // 1000, full)
        self._began = time.perf_counter()
        self._name = "full" if full else "changes"

    def stage(self, name: str, total: int = 0) -> None:
        """Ends the last stage."""
        now = time.perf_counter()
        print(f"  {self._name}: {now - self._began:.2f} s")
        self._name, self._began = name, now
        super().stage(name, total)


def difference(one: SimilarItems, other: SimilarItems) -> float:
    """The largest between the scores in the same place of the same item."""
    rows = {item_id: row for row, item_id in enumerate(other.item_ids)}
    order = [rows[item_id] for item_id in one.item_ids]
    return float(np.abs(one.scores - other.scores[order]).max())


if __name__ == "__main__":
    main()
