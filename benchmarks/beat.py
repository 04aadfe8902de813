"""How late are many schedule entries that are due at the same moment? Our scheduler beside stock RedBeat.

Both run with the same settings on the same embedded Redis, in processes of their own and in turns. A delay is the time
from the due moment until the task is with the broker.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from threading import Timer

from redis import Redis

from servers import own_embedded

OURS, STOCK = "lemo", "redbeat"
HOUR = timedelta(hours=1)
LEAD = timedelta(seconds=8)
"""From the writing of the entries until they are due: a scheduler has started and looked at them by then."""
LIMIT_SECONDS = 120
TASK = "bench.nothing"


def main() -> None:
    """Prints the table, or, as a process of the benchmark, the delays of one scheduler."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1000, help="due at the same moment (default: 1000)")
    parser.add_argument("--rounds", type=int, default=3, help="of each scheduler, in turns (default: 3)")
    parser.add_argument("--one", choices=(OURS, STOCK), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(delays(arguments.one, arguments.entries)))
    else:
        compare(arguments.entries, arguments.rounds)


def compare(entries: int, rounds: int) -> None:
    """Runs both in turns and prints their delays and the ratio."""
    late: dict[str, list[float]] = {OURS: [], STOCK: []}
    with tempfile.TemporaryDirectory() as folder:
        server = own_embedded("redis", Path(folder) / "redis")
        server.start()
        try:
            for _ in range(rounds):
                for name in late:
                    late[name] += one_round(name, entries, server.url, folder)
        finally:
            server.kill()
    print(f"{entries:,} entries due at one moment, {rounds} rounds each; delays in milliseconds\n")
    print(f"{'scheduler':<12}{'sent':>8}{'p50':>9}{'p99':>9}")
    p99 = {}
    for name, seconds in late.items():
        p99[name] = quantiles(seconds, n=100)[98]
        print(f"{name:<12}{len(seconds):>8,}{median(seconds) * 1000:>9.0f}{p99[name] * 1000:>9.0f}")
    print(f"\np99 of {OURS} / p99 of {STOCK}: {p99[OURS] / p99[STOCK]:.2f}")


def one_round(name: str, entries: int, url: str, folder: str) -> list[float]:
    """The delays of one scheduler, in seconds, on an empty Redis."""
    with Redis.from_url(url) as redis:
        redis.flushall()
    command = [sys.executable, __file__, "--one", name, "--entries", str(entries)]
    settings = {"LEMO_REDIS_URL": url, "LEMO_HOME": f"{folder}/home"}
    done = subprocess.run(command, env={**os.environ, **settings}, check=True, stdout=subprocess.PIPE, text=True)
    late: list[float] = json.loads(done.stdout.splitlines()[-1])
    if len(late) != entries:
        raise SystemExit(f"{name} sent {len(late)} of {entries} entries.")
    return late


def delays(name: str, entries: int) -> list[float]:
    """Writes the entries, runs the scheduler as Celery's beat does, and returns how late each was sent."""
    from celery.beat import Service
    from celery.signals import after_task_publish
    from redbeat import RedBeatScheduler

    from lemo.tasks.beat import LemoScheduler
    from lemo.tasks.celery_app import app

    due = datetime.now(UTC) + LEAD
    late: list[float] = []

    def published(sender: str, **_: object) -> None:
        if sender == TASK:
            late.append(time.time() - due.timestamp())
            if len(late) == entries:
                service.stop()

    after_task_publish.connect(published)
    write(entries, due)
    service = Service(app, scheduler_cls=LemoScheduler if name == OURS else RedBeatScheduler)
    limit = Timer(LIMIT_SECONDS, service.stop)
    limit.start()
    service.start()
    limit.cancel()
    return late


def write(entries: int, due: datetime, task: str = TASK, kwargs: dict[str, str | None] | None = None) -> None:
    """Entries in RedBeat's form that ran an hour ago and are due every hour."""
    from celery.schedules import schedule
    from redbeat.schedulers import ensure_conf, get_redis

    from lemo.scheduling.redbeat_crontab import Encoder
    from lemo.tasks.celery_app import app

    conf = ensure_conf(app)
    meta = json.dumps({"last_run_at": due - HOUR}, cls=Encoder)
    with get_redis(app).pipeline() as pipeline:
        for number in range(entries):
            name = f"bench-{number}"
            entry = {
                "name": name,
                "task": task,
                "args": [],
                "kwargs": kwargs or {},
                "options": {"queue": "default"},
                "schedule": schedule(HOUR),
                "enabled": True,
            }
            key = f"{conf.key_prefix}{name}"
            pipeline.hset(key, mapping={"definition": json.dumps(entry, cls=Encoder), "meta": meta})
            pipeline.zadd(conf.schedule_key, {key: due.timestamp()})
        pipeline.execute()


if __name__ == "__main__":
    main()
