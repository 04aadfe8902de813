"""Flink's REST interface: which of our jobs run, how old their checkpoints are, and how to stop them."""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lemo.domain.errors import Conflict, EngineUnavailable
from lemo.domain.time import from_milliseconds

JOBS = ("sessions", "realtime-metrics", "hot-scores")
"""Our jobs. In Flink `lemo ` stands before each name."""
_PREFIX = "lemo "
_LIVE = ("INITIALIZING", "CREATED", "RUNNING", "RESTARTING", "FAILING", "CANCELLING")
_STOP_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class FlinkJob:
    """A job of ours in Flink."""

    job_id: str
    name: str
    """One of `JOBS`."""
    state: str
    """In Flink's words."""
    started_at: datetime
    checkpoint_at: datetime | None
    """When its last checkpoint was complete; None before the first."""
    checkpoint: str
    """Where that is; empty before the first."""

    @property
    def live(self) -> bool:
        """Whether it runs, or will again by itself."""
        return self.state in _LIVE


class Flink:
    """One cluster. Calls raise EngineUnavailable when it does not answer."""

    def __init__(self, url: str, seconds: float = 3.0) -> None:
        self._url = url.rstrip("/")
        import httpx  # the command line imports this module, and most commands ask no Flink

        self._http = httpx.Client(base_url=self._url, timeout=seconds)

    def overview(self) -> dict[str, Any]:
        """Version, slots and counts of jobs, as Flink tells them."""
        return self._get("/overview")

    def jobs(self) -> list[FlinkJob]:
        """Our jobs, the newest of each name first; those that have ended too, as long as Flink knows them."""
        found = [each for each in self._get("/jobs/overview")["jobs"] if str(each["name"]).startswith(_PREFIX)]
        jobs = [self._job(each) for each in found if str(each["name"]).removeprefix(_PREFIX) in JOBS]
        return sorted(jobs, key=lambda job: (JOBS.index(job.name), -job.started_at.timestamp()))

    def stop(self, job: FlinkJob, folder: str = "") -> str:
        """Stops a job with a savepoint, below `folder` or where Flink keeps them; returns the savepoint's place.

        Raises Conflict where Flink could not make it; the job goes on then.
        """
        body = {"drain": False, **({"targetDirectory": folder} if folder else {})}
        trigger = self._ask("POST", f"/jobs/{job.job_id}/stop", body)["request-id"]
        deadline = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < deadline:
            answer = self._get(f"/jobs/{job.job_id}/savepoints/{trigger}")
            if answer["status"]["id"] == "COMPLETED":
                done = answer["operation"]
                if "location" in done:
                    return str(done["location"])
                reason = str(done.get("failure-cause", {}).get("stack-trace", "")).strip().splitlines()
                raise Conflict(
                    f"Flink made no savepoint of {job.name}: {(reason or ['it does not say why'])[0][:300]}",
                    "The job goes on. See its exceptions in Flink's pages, and whether it can write savepoints.",
                )
            time.sleep(0.2)
        raise EngineUnavailable(
            f"Flink did not stop {job.name} within {_STOP_SECONDS:.0f} s.", "`lemo flink list` shows how it is."
        )

    def close(self) -> None:
        """Lets go of connections."""
        self._http.close()

    def _job(self, found: dict[str, Any]) -> FlinkJob:
        done = (self._get(f"/jobs/{found['jid']}/checkpoints").get("latest") or {}).get("completed") or {}
        moment = done.get("latest_ack_timestamp")
        return FlinkJob(
            job_id=found["jid"],
            name=str(found["name"]).removeprefix(_PREFIX),
            state=found["state"],
            started_at=from_milliseconds(int(found["start-time"])),
            checkpoint_at=None if moment is None else from_milliseconds(int(moment)),
            checkpoint=str(done.get("external_path") or ""),
        )

    def _get(self, path: str) -> dict[str, Any]:
        return self._ask("GET", path)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        from httpx import HTTPError

        try:
            answer = self._http.request(method, path, json=body)
            answer.raise_for_status()
            return dict(answer.json())
        except (HTTPError, ValueError) as error:
            raise EngineUnavailable(
                f"Flink at {self._url} did not answer {method} {path} ({type(error).__name__}).",
                "Check that its job manager runs, and LEMO_FLINK_URL; `lemo doctor` shows what is reachable.",
            ) from error
