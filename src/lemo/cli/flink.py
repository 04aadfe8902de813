"""`lemo flink`: submits, lists and stops the jobs of `deploy/flink`."""

import shutil
import subprocess
import time
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from lemo.cli.output import Format, FormatOption, Row, messages, show
from lemo.domain.errors import InvalidInput, LemoError
from lemo.domain.realtime import DAY_MS
from lemo.settings import Settings
from lemo.stores.flink import JOBS, Flink, FlinkJob

app = typer.Typer(no_args_is_help=True, help="Flink's jobs, which compute in seconds what the worker does by minutes.")

NamesArgument = Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(JOBS)}; all without names.")]


@app.command("list")
def list_jobs(format: FormatOption = Format.table) -> None:
    """List the jobs, how each is and how old its last checkpoint is."""
    rows: list[Row] = [
        {
            "job": job.name,
            "state": job.state,
            "started_at": job.started_at,
            "checkpoint_at": job.checkpoint_at,
            "checkpoint": job.checkpoint,
            "job_id": job.job_id,
        }
        for job in _cluster(Settings()).jobs()
    ]
    show(rows, format, "Flink's jobs")


@app.command()
def submit(
    names: NamesArgument = None,
    folder: Annotated[Path, typer.Option(help="Folder of the jobs.")] = Path("deploy/flink"),
    flink: Annotated[str, typer.Option(help="Flink's command line.")] = "flink",
    connector: Annotated[
        Path | None, typer.Option(help="flink-sql-connector-kafka's jar, where Flink has it not in its lib folder.")
    ] = None,
    savepoint: Annotated[
        str, typer.Option("--from", help="Savepoint or checkpoint to go on from; of one job.", show_default=False)
    ] = "",
    kafka_properties: Annotated[
        Path | None, typer.Option(help="File with further properties of Kafka's clients, such as SASL's.")
    ] = None,
    checkpoint_seconds: Annotated[int, typer.Option(min=1, help="Seconds between checkpoints.")] = 10,
) -> None:
    """Submit jobs that do not run. Without a savepoint they begin at yesterday's midnight, and overtake the worker."""
    settings = Settings()
    wanted = _checked(names)
    if savepoint and len(wanted) != 1:
        raise InvalidInput("A savepoint is of one job.", "Name the job: `lemo flink submit sessions --from PLACE`.")
    if not settings.with_flink:
        raise InvalidInput(
            "Flink's jobs need LEMO_FLINK_URL and LEMO_KAFKA_BOOTSTRAP_SERVERS.",
            "Set both, for the consumer too: it feeds the jobs and takes in what they compute.",
        )
    cluster = _cluster(settings)
    live = {job.name for job in cluster.jobs() if job.live}
    program = shutil.which(flink)
    if program is None:
        raise InvalidInput(f"{flink} is no program.", "Name Flink's command line: --flink /opt/flink/bin/flink.")
    for name in wanted:
        if name in live:
            messages.print(f"{name} runs already.")
            continue
        since = (time.time_ns() // 1_000_000 // DAY_MS - 1) * DAY_MS
        command = [program, "run", "-d", "-m", urlsplit(settings.flink_url).netloc]
        command += ["-s", savepoint] if savepoint else []
        command += ["-py", str(folder / f"{name.replace('-', '_')}.py"), "-pyfs", _shared(folder)]
        command += ["-j", str(connector)] if connector else []
        command += ["--bootstrap-servers", settings.kafka_bootstrap_servers, "--since-ms", str(since)]
        command += ["--accepted", settings.kafka_accepted_topic, "--results", settings.kafka_realtime_topic]
        command += ["--group", settings.flink_group(name), "--checkpoint-seconds", str(checkpoint_seconds)]
        command += ["--kafka-properties", str(kafka_properties)] if kafka_properties else []
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines()
            reason = next((line for line in reversed(lines) if "Error" in line or "Exception" in line), "")
            raise LemoError(
                f"Flink did not take {name}: {(reason or ' '.join(lines[-1:]))[:300]}",
                f"Run it yourself to see all of it: {' '.join(command)}",
            )
        messages.print(f"{name} is submitted.")


@app.command()
def stop(
    names: NamesArgument = None,
    folder: Annotated[str, typer.Option(help="Where savepoints go; empty: where Flink keeps them.")] = "",
    format: FormatOption = Format.table,
) -> None:
    """Stop jobs, each with a savepoint, from which `lemo flink submit JOB --from PLACE` goes on."""
    cluster = _cluster(Settings())
    wanted = _checked(names)
    live: list[FlinkJob] = [job for job in cluster.jobs() if job.live and job.name in wanted]
    rows: list[Row] = [{"job": job.name, "savepoint": cluster.stop(job, folder)} for job in live]
    show(rows, format, "Stopped")


def _cluster(settings: Settings) -> Flink:
    if not settings.flink_url:
        raise InvalidInput(
            "There is no Flink: LEMO_FLINK_URL is empty.",
            "Nothing needs one: the worker computes the same every minute. docs/realtime.md says how to use one.",
        )
    return Flink(settings.flink_url, settings.answer_seconds)


def _checked(names: list[str] | None) -> list[str]:
    unknown = [name for name in names or () if name not in JOBS]
    if unknown:
        raise InvalidInput(f"There is no job {unknown[0][:80]!r}.", f"The jobs are {', '.join(JOBS)}.")
    return list(names or JOBS)


def _shared(folder: Path) -> str:
    """The modules that all jobs import: theirs, and the definitions that the worker is tested against."""
    from lemo.domain import realtime

    return f"{folder / 'common.py'},{realtime.__file__}"
