"""Probes of the services: whether each runs, and whether its packages are installed."""

from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version

import httpx

from lemo.diagnostics.dependencies import EXTRAS, Service, packages
from lemo.diagnostics.flink_jobs import JobHealth, job_health
from lemo.diagnostics.probing import probe_at
from lemo.diagnostics.reachability import Address
from lemo.diagnostics.redis_probes import brief_redis, redis_address
from lemo.diagnostics.report import Finding
from lemo.domain.errors import EngineUnavailable
from lemo.settings import Settings
from lemo.stores.flink import Flink
from lemo.stores.redis.beats import Beats
from lemo.stores.redis.client import Keys
from lemo.streams import Log
from lemo.streams.connect import open_log


def probe_packages(service: Service, settings: Settings) -> Finding:
    """Checks that the service's packages are installed, without importing them."""
    found, absent = [], []
    for name in packages(service, settings):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            absent.append(name)
    if not absent:
        others = f" and {len(found) - 1} more" if len(found) > 1 else ""
        return Finding(state="ok", version=f"{found[0]}{others}", detail=", ".join(found))
    wanted = [f"'lemo-recommender[{EXTRAS[name]}]'" if name in EXTRAS else name for name in absent]
    return Finding(
        state="missing",
        version=", ".join(found),
        detail=f"{service.value}: not installed: {', '.join(absent)}.",
        hint=f"pip install {' '.join(wanted)}",
    )


def probe_http(service: Service, settings: Settings) -> Finding:
    """Requests `/health/live` from the API or the console."""
    is_api = service is Service.api
    host = settings.api_host if is_api else settings.console_host
    port = settings.api_port if is_api else settings.console_port
    # The address of all interfaces is no address to connect to.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    base = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    variable = f"LEMO_{service.name.upper()}_PORT"
    name = "API" if is_api else "Console"
    address = Address(name, base, variable, ("http",), port, embedded=False, start=f"curl {base}/health/live")

    def probe() -> Finding:
        answer = httpx.get(f"{base}/health/live", timeout=3, trust_env=False)
        if answer.status_code != 200:
            return Finding(
                state="missing",
                detail=f"{name}: {base} answered {answer.status_code}: another program may have the port.",
                hint=f"ss -ltnp 'sport = :{port}', then set {variable} to a free port",
            )
        return _renewal(base) if is_api else Finding(state="ok", version="running", detail=base)

    finding = probe_at(address, probe)
    if "refused the connection" in finding.detail:
        return finding.model_copy(update={"hint": f"lemo up --detach (or on its own: lemo {service.value})"})
    return finding


def _renewal(base: str) -> Finding:
    """Whether a running API renews its models, by its own readiness check."""
    try:
        renewal = httpx.get(f"{base}/health/ready", timeout=3, trust_env=False).json()["checks"]["renewal"]
    except httpx.TimeoutException:
        return Finding(
            state="warning",
            version="running",
            detail=f"API: {base}/health/ready does not answer within 3 s: an engine that it asks hangs.",
            hint="Look at the other rows for the engine",
        )
    if renewal["works"]:
        return Finding(state="ok", version="running", detail=f"{base}; {renewal['detail']}")
    return Finding(
        state="warning",
        version="running",
        detail=f"API: {renewal['detail']}",
        hint="Look into the API's log for 'could not renew' and 'keeping what was loaded', then start it again",
    )


def probe_beat(settings: Settings) -> Finding:
    """Checks that a beat holds the lock of the leader, and lists beats that stand by."""

    def probe() -> Finding:
        keys = Keys(settings.installation)
        within = timedelta(seconds=settings.beat_lock_seconds)
        with brief_redis(settings, 0) as client:
            left = client.pttl(keys("redbeat", "", "lock"))
            alive = [beat for beat in Beats(client, keys).list() if beat.alive(within)]
        if int(left) <= 0:
            return Finding(
                state="missing",
                detail="beat: no beat holds the schedule's lock.",
                hint="lemo up --detach (or on its own: lemo beat)",
            )
        leaders = ", ".join(beat.name for beat in alive if beat.state == "leading") or "a beat"
        standby = sum(beat.state == "standby" for beat in alive)
        others = f"; {standby} standing by" if standby else ""
        return Finding(
            state="ok", version="leading", detail=f"{leaders} holds the lock for {int(left) / 1000:.0f} s more{others}"
        )

    return probe_at(redis_address(settings, "beat: the schedule's Redis"), probe)


def probe_flink(settings: Settings) -> Finding:
    """Requests Flink's version and running jobs from its REST interface; absent without an address."""
    if not settings.flink_url:
        return Finding(
            state="absent",
            detail="Flink is not set up; nothing needs it.",
            hint="To use one: set LEMO_FLINK_URL=http://host:8081",
        )
    base = settings.flink_url.rstrip("/")
    address = Address(
        name="Flink",
        url=base,
        variable="LEMO_FLINK_URL",
        schemes=("http", "https"),
        default_port=443 if base.startswith("https") else 8081,
        embedded=False,
        start=f"curl {base}/overview",
        tls_scheme="https",
    )

    def probe() -> Finding:
        cluster = Flink(base)
        try:
            facts, jobs = cluster.overview(), job_health(settings, _log(settings), cluster)
        finally:
            cluster.close()
        version = f"Flink {facts['flink-version']}"
        words = "; ".join(_words(job) for job in jobs if job.state)
        lacking = [job.name for job in jobs if not job.state]
        if lacking:
            slots = f"{facts['slots-available']} of {facts['slots-total']} slots free"
            told = f"Flink: {', '.join(lacking)} not running ({slots}); the worker computes it every minute."
            return Finding(
                state="warning",
                version=version,
                detail=f"{told} {words}".rstrip(),
                hint=f"lemo flink submit (why it ended: {base}/#/job/completed)",
            )
        late = any(job.late for job in jobs)
        hint = f"See the exceptions of the job: {base}/#/job/running" if late else ""
        return Finding(state="warning" if late else "ok", version=version, detail=words, hint=hint)

    return probe_at(address, probe)


def _log(settings: Settings) -> Log | None:
    """The ingest log, for the lag of jobs; None where it does not answer, which has a row of its own."""
    try:
        return open_log(settings) if settings.with_flink else None
    except EngineUnavailable:
        return None


def _words(job: JobHealth) -> str:
    age = "no checkpoint yet" if job.checkpoint_seconds is None else f"checkpoint {job.checkpoint_seconds:.0f} s old"
    behind = "" if job.behind is None else f", {job.behind:,} events behind"
    return f"{job.name} {job.state.lower()}, {age}{behind}"
