"""Requests a second of the API beside a bare route of the same stack, at several sizes, and how soon a change counts.

The floor is FastAPI on uvicorn that answers one GET of 1 KB from the same Redis. Both are asked by the same wrk on the
same machine in turns, 16 connections; ratios are what counts. Then each is asked at half of the rate that it reached,
at random moments: the 99th percentile of that is what users wait. Models are synthetic: serving costs what it costs,
whatever the model is worth. Needs wrk (`apt-get install wrk`). The memory of a process is told twice: with its part of
the pages that processes share (PSS), and what it has for itself alone.
"""

import argparse
import json
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from scipy import sparse

from api_processes import Api, running_processes
from engines.process import LOOPBACK
from lemo.domain.item import Item
from lemo.domain.pipeline import Pipeline
from lemo.domain.scope import Scope
from lemo.recommenders.data.timeline import Timeline
from lemo.recommenders.hybrid.hybrid import HybridRecommender
from lemo.recommenders.interfaces import Source
from lemo.recommenders.scored import Scored
from lemo.recommenders.similar_items import SimilarItems
from lemo.recommenders.sources.item_knn import ItemKnn
from lemo.recommenders.sources.popularity import Popularity
from lemo.stores.connect import Stores
from lemo.stores.redis.precomputed import PrecomputedRecommendations
from recommender_worlds import mixture
from servers import free_port, own_embedded
from shops import Shop
from sites import add_scenario, publish_model, settings_of, touch

NEIGHBOURS = 30
STORED = 60
CONNECTIONS = 16
FLOOR = """
import redis.asyncio as redis
from fastapi import FastAPI, Response
app, pool = FastAPI(), redis.Redis.from_url({url!r})
@app.get("/r/{{user}}")
async def get(user: str): return Response(await pool.get("floor:" + user), media_type="application/json")
"""


def main() -> None:
    """Prints the table of each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["10000x100000"], help="ITEMSxUSERS (default: 10000x100000)")
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement (default: 5)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="processes of the API (default: 1 2)")
    parser.add_argument("--rounds", type=int, default=30, help="of changes that must count (default: 30)")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        parser.error("wrk is not installed: apt-get install wrk")
    for size in arguments.sizes:
        items, _, users = size.partition("x")
        measure(int(items), int(users), arguments.seconds, arguments.workers, arguments.rounds)


def measure(items: int, users: int, seconds: int, workers: list[int], rounds: int) -> None:
    """Builds a site of the size, and asks it."""
    with tempfile.TemporaryDirectory() as folder:
        redis = own_embedded("redis", Path(folder) / "redis")
        redis.start()
        try:
            stores = Stores(settings_of(Path(folder) / "home", redis.url).model_copy(update={"installation": "bench"}))
            started = time.monotonic()
            scope, key = fill(stores, items, users)
            print(f"\n{items:,} items, {users:,} users (written in {time.monotonic() - started:.0f} s)", flush=True)
            for count in workers:
                with running_processes(stores.settings, count) as api, floor(redis.url, Path(folder)) as floor_url:
                    ready(api, count)
                    table(api, floor_url, scope, key, items, users, seconds, count)
                    if count == max(workers):
                        freshness(api, stores, scope, key, rounds)
            stores.close()
        finally:
            redis.stop()


def fill(stores: Stores, items: int, users: int) -> tuple[Scope, str]:
    """A scenario with a model, similar items, a catalogue, histories and precomputed answers; and a key."""
    draw = np.random.default_rng(1)
    scope, key = add_scenario(stores)
    ids = [f"i{number}" for number in range(items)]
    near = draw.integers(0, items, (items, NEIGHBOURS), dtype=np.int32)
    scores = np.sort(draw.random((items, NEIGHBOURS), dtype=np.float32))[:, ::-1]
    rows = np.repeat(np.arange(items), NEIGHBOURS)
    similarity = sparse.csr_matrix((scores.ravel(), (rows, near.ravel())), (items, items))
    similarity.sort_indices()
    rules = stores.scenarios.get(scope).actions
    config = mixture(share=0.8)
    sources: list[Source] = [
        ItemKnn(config.sources[0], similarity),
        Popularity(config.sources[1], draw.pareto(1.2, items)),
    ]
    publish_model(stores, scope, "1", HybridRecommender(ids, sources, config, rules, Timeline()))
    arrays, manifest = SimilarItems(ids, near, np.ascontiguousarray(scores), np.full(items, NEIGHBOURS)).to_arrays()
    stores.snapshots.publish(scope, "similar", "1", arrays, manifest)
    stores.snapshots.point(scope, "similar", "1", 1)
    shop = Shop(stores, scope, httpx.Client())
    for start in range(0, items, 5_000):
        shop.write(
            *(
                Item(item_id=ids[number], title=f"thing {number}", attributes={"price": number % 100})
                for number in range(start, min(start + 5_000, items))
            )
        )
    body = json.dumps({"items": [{"item_id": f"i{k}", "score": 0.5, "reason": "x" * 60} for k in range(8)]})
    for start in range(0, users, 1_000):
        names = [f"u{number}" for number in range(start, min(start + 1_000, users))]
        marks = stores.precomputed.marks(scope, names)
        answers = {}
        for name in names:
            shown = draw.integers(0, items, STORED)
            found = [Scored(ids[item], 1 - place / STORED, ids[0], "similar") for place, item in enumerate(shown)]
            answers[name] = PrecomputedRecommendations("1", "bench", found)
        stores.precomputed.write_many(scope, answers, marks)
    stores.redis.mset({f"floor:u{number}": body for number in range(5_000)})
    return scope, key


@contextmanager
def floor(redis_url: str, folder: Path) -> Iterator[str]:
    """The bare route, in one process."""
    port = free_port()
    (folder / "floor.py").write_text(FLOOR.format(url=redis_url))
    command = [sys.executable, "-m", "uvicorn", "floor:app", "--port", str(port), "--no-access-log"]
    process = subprocess.Popen([*command, "--log-level", "error"], cwd=folder)
    try:
        url = f"http://{LOOPBACK}:{port}"
        until(lambda: httpx.get(f"{url}/r/u1").status_code == 200)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def ready(api: Api, count: int) -> None:
    """Waits until all processes answer."""
    until(lambda: api.ready() and (count == 1 or len(api.children) == count))


def until(holds: Callable[[], bool], seconds: float = 180) -> float:
    """Waits for a condition; returns how long it took."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        try:
            if holds():
                return time.monotonic() - started
        except httpx.HTTPError:
            pass
        time.sleep(0.005)
    raise TimeoutError("it did not happen")


def table(api: Api, floor_url: str, scope: Scope, key: str, items: int, users: int, seconds: int, workers: int) -> None:
    """Asks the floor and the API in turns; prints requests a second, ratio, latencies and memory."""
    path = f"/v1/scenarios/{scope.scenario_id}"
    head = f'{{["Authorization"]="Bearer {key}",["Content-Type"]="application/json"}}'

    def get(path: str) -> str:
        return f'local h={head}\nrequest=function() return wrk.format("GET",{path},h) end\n'

    some = f"math.random(0,{min(users, 2**31 - 1) - 1})"
    item = f"math.random(0,{items - 1})"
    post = f'wrk.format("POST","{path}/recommendations",h,BODY)'
    body = f'"{{\\"user_id\\":\\"u"..{some}.."\\",\\"n\\":10,\\"filter\\":\\"item.price < 50\\"}}"'
    scripts = {
        "floor": 'request=function() return wrk.format("GET","/r/u"..math.random(0,4999)) end\n',
        "cached": get(f'"{path}/recommendations?n=10&user_id=u"..{some}'),
        "similar": get(f'"{path}/similar?n=10&item_id=i"..{item}'),
        "personal": get(f'"{path}/recommendations?n=50&exclude=i"..{item}.."&user_id=u"..{some}'),
        "filtered": f"local h={head}\nrequest=function() return {post.replace('BODY', body)} end\n",
    }
    rates: dict[str, tuple[float, str, str]] = {}
    halves: dict[str, tuple[float, str, str]] = {}
    with tempfile.NamedTemporaryFile("w+", suffix=".lua") as file:

        def asked(name: str, script: str, turn_seconds: int) -> tuple[float, str, str]:
            file.seek(0)
            file.truncate()
            file.write(script)
            file.flush()
            return wrk(floor_url if name == "floor" else api.url, Path(file.name), turn_seconds)

        for turn_seconds in (2, seconds):
            for name, script in scripts.items():
                rates[name] = asked(name, script, turn_seconds)
        for name, script in scripts.items():
            halves[name] = asked(name, script + pauses(rates[name][0] / 2), seconds)
    print(f"  {workers} process{'es' if workers > 1 else ''}")
    for name, (rate, half, most) in rates.items():
        reached, _, calm = halves[name]
        print(
            f"    {name:9s} ratio {rate / rates['floor'][0]:5.2f}  ({rate:,.0f} req/s)  p50 {half}  p99 {most};"
            f"  at {reached / rate:.2f} of it p99 {calm}",
            flush=True,
        )
    for pid in sorted(api.children) or [api.process.pid]:
        pss, own = memory(pid)
        print(f"    memory of {pid}: {pss:,.0f} MB with its part of what is shared, {own:,.0f} MB its own", flush=True)


def pauses(rate: float) -> str:
    """Lua that has wrk ask about so many times a second, at random moments; it waits whole milliseconds alone."""
    mean = CONNECTIONS / rate * 1000
    return f"function delay() return math.floor(-math.log(1 - math.random()) * {mean} + math.random()) end\n"


def wrk(url: str, script: Path, seconds: int) -> tuple[float, str, str]:
    """Requests a second, and the latencies at half and 99 %; ends the benchmark where an answer was no success."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(script), url]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if wrong := re.search(r"Non-2xx.*", out):
        sys.exit(f"{script.read_text()}: {wrong[0]}")
    found = [
        re.search(pattern, out, re.MULTILINE)
        for pattern in (r"Requests/sec:\s+([\d.]+)", r"^\s+50%\s+(\S+)", r"^\s+99%\s+(\S+)")
    ]
    rate, half, most = (match[1] if match else "" for match in found)
    return float(rate), half, most


def memory(pid: int) -> tuple[float, float]:
    """The proportional and the private memory of a process in MB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    size = {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
    return size["Pss"] / 1024, (size["Private_Clean"] + size["Private_Dirty"]) / 1024


def freshness(api: Api, stores: Stores, scope: Scope, key: str, rounds: int) -> None:
    """How long, under load, until every process answers by a change: as many new connections in a row as tell."""
    path = f"{api.url}/v1/scenarios/{scope.scenario_id}/recommendations"
    headers = {"Authorization": f"Bearer {key}"}
    load = [sys.executable, "-c", LOAD.format(path=path, headers=headers)]
    shop = Shop(stores, scope, httpx.Client())
    asking = subprocess.Popen(load)

    def ids(user: str) -> list[str]:
        with httpx.Client(headers=headers) as http:
            return [each["item_id"] for each in http.get(path, params={"user_id": user, "n": 10}).json()["items"]]

    def everywhere(holds: Callable[[list[str]], bool], user: str) -> float:
        return until(lambda: all(holds(ids(user)) for _ in range(8)))

    def without(item_id: str) -> Callable[[list[str]], bool]:
        return lambda found: item_id not in found

    def at_price(price: int) -> Callable[[list[str]], bool]:
        return lambda found: all(int(each[1:]) % 100 == price for each in found)

    took: dict[str, list[float]] = {"click": [], "item off": [], "price": [], "rule": []}
    try:
        for turn in range(rounds):
            user, clicked = f"u{turn}", f"i{random.randrange(1_000)}"
            touch(stores, scope, user, clicked)
            took["click"].append(everywhere(without(clicked), user))
            off = ids(user)[0]
            shop.write(Item(item_id=off, is_active=False))
            took["item off"].append(everywhere(without(off), user))
            shop.write(Item(item_id=off, is_active=True))
            limit = 1_000 + turn
            stores.pipelines.put(scope, Pipeline(filter=f"item.price < {limit}"), "bench")
            dear = ids(user)[0]
            shop.write(Item(item_id=dear, attributes={"price": 10_000}))
            took["price"].append(everywhere(without(dear), user))
            stores.pipelines.put(scope, Pipeline(filter=f"item.price == {turn}"), "bench")
            took["rule"].append(everywhere(at_price(turn), user))
            stores.pipelines.put(scope, Pipeline(), "bench")
            everywhere(lambda found: len(found) == 10, user)
    finally:
        asking.kill()
        asking.wait()
    print("  a change counts in every process after")
    for name, values in took.items():
        most = statistics.quantiles(values, n=100)[98] if len(values) > 1 else values[0]
        print(f"    {name:9s} p50 {statistics.median(values) * 1000:5.0f} ms  p99 {most * 1000:5.0f} ms", flush=True)


LOAD = """
import httpx, random
with httpx.Client(headers={headers!r}) as http:
    while True:
        http.get({path!r}, params={{"user_id": "u" + str(random.randrange(5000)), "n": 10}})
"""


if __name__ == "__main__":
    main()
