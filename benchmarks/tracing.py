"""What traces cost the API's hot path: processor time a request, off and on, in turns on one machine.

Each variant is a process of `lemo api` on the same stores, asked by the same wrk. Processor time is compared, which
depends little on what else the machine does. `--before FOLDER`: also the code of another checkout, such as one from
before there were traces. Needs wrk (`apt-get install wrk`).
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from api_processes import Api
from collectors import running_collector
from lemo.stores.bootstrap import ensure_admin
from lemo.stores.connect import Stores
from servers import environment, free_port, own_embedded
from serving import fill, ready, wrk
from sites import settings_of

TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="`src` of another checkout")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, running_collector() as collector, ExitStack() as stack:
        folder = Path(name)
        redis = own_embedded("redis", folder / "redis")
        redis.start()
        stack.callback(redis.stop)
        stores = Stores(settings_of(folder / "home", redis.url).model_copy(update={"installation": "bench"}))
        stack.callback(stores.close)
        scope, key = fill(stores, 2_000, 5_000)
        ensure_admin(stores.settings)
        traced = {"LEMO_OTLP_ENDPOINT": collector.url}
        ratio = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}
        variants = {"before": {"PYTHONPATH": str(options.before)}} if options.before else {}
        variants |= {"off": {}, "on, 1 %": traced | ratio, "on": traced}
        apis = {each: stack.enter_context(running(stores, more)) for each, more in variants.items()}
        path = f"/v1/scenarios/{scope.scenario_id}"
        for api in apis.values():  # the first request maps the model
            url = f"{api.url}{path}/recommendations?user_id=u1"
            httpx.get(url, headers={"Authorization": f"Bearer {key}"}, timeout=60).raise_for_status()
        head = f'local h={{["Authorization"]="Bearer {key}",["Content-Type"]="application/json"}}\n'
        event = '\'{"events":[{"user_id":"u1","item_id":"i1","action":"click"}]}\''
        asked = f'"{path}/recommendations?n=10&user_id=u"..math.random(0,4999)'
        scripts = {
            "stored recommendations": f'{head}request=function() return wrk.format("GET",{asked},h) end\n',
            "an event": f'{head}request=function() return wrk.format("POST","{path}/events",h,{event}) end\n',
        }
        for what, script in scripts.items():
            file = folder / "script.lua"
            file.write_text(script)
            spent: dict[str, list[float]] = {each: [] for each in apis}
            for turn in range(options.rounds + 1):
                for each, api in apis.items():
                    cost = microseconds(api, file, options.seconds)
                    if turn:  # the first warms up
                        spent[each].append(cost)
            floor = statistics.median(spent[next(iter(spent))])
            print(what)
            for each, costs in spent.items():
                middle = statistics.median(costs)
                print(f"  {each:8s} {middle:6.0f} µs a request  ratio {middle / floor:.3f}", flush=True)


@contextmanager
def running(stores: Stores, more: dict[str, str]) -> Iterator[Api]:
    """An API of the installation with these variables."""
    port = free_port()
    settings = stores.settings
    env = environment(settings.home) | {
        "LEMO_API_PORT": str(port),
        "LEMO_REDIS_URL": settings.redis(0),
        "LEMO_INSTALLATION": settings.installation,
        "LEMO_KAFKA_EVENT_TOPIC": settings.kafka_event_topic,
        "LEMO_SERVED_LOG_SHARE": "0",
    }
    with (settings.home / f"log-{port}").open("wb") as log:
        command = [sys.executable, "-m", "lemo.cli.main", "api"]
        process = subprocess.Popen(command, env=env | more, stdout=log, stderr=log)
        try:
            api = Api(process, port)
            ready(api, 1)
            yield api
        finally:
            process.kill()
            process.wait(20)


def microseconds(api: Api, script: Path, seconds: int) -> float:
    """Processor time of the API's process a request."""
    before = used(api.process.pid)
    rate, _, _ = wrk(api.url, script, seconds)
    return (used(api.process.pid) - before) / (rate * seconds) * 1e6


def used(pid: int) -> float:
    """Seconds of processor time that the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


if __name__ == "__main__":
    main()
