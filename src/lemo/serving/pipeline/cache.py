"""Pipelines in service and running experiments, read at a scope's first request and followed from then on."""

import math
import time
from threading import Event, Lock, Thread

import structlog

from lemo.domain.errors import LemoError
from lemo.domain.experiment import AnswerKind
from lemo.domain.pipeline import PipelineVersion
from lemo.domain.scope import Scope
from lemo.serving.arms import NO_EXPERIMENTS, ArmLoader, ServingArm
from lemo.serving.renewals import Renewals, is_old, renewals_of
from lemo.serving.slots import Slots
from lemo.stores.documents.pipelines import DEFAULT, Pipelines

log = structlog.get_logger()

FOLLOW_SECONDS = 0.5
"""How often a pipeline is looked up: a change counts within a second in every process."""
IDLE_SECONDS = 60.0
"""A scope without a request for so long is looked up at its next one."""


class _Slot:
    def __init__(self) -> None:
        self.serving = DEFAULT
        self.running = NO_EXPERIMENTS
        self.tried_at: float | None = None
        self.read_at = -math.inf
        self.asked_at = time.monotonic()
        self.made_at = time.monotonic()
        self.fault = ""
        self.fault_kind = ""
        self.lock = Lock()


class PipelineCache:
    """A bounded cache. Safe for threads; with `watch` a background thread follows the pipelines until `close`."""

    def __init__(self, pipelines: Pipelines, arms: ArmLoader, watch: bool = True, capacity: int = 1_000) -> None:
        self._pipelines = pipelines
        self._arms = arms
        self._watch = watch
        self._slots = Slots(_Slot, capacity)
        self._lock = Lock()
        self._stop = Event()
        self._follower: Thread | None = None

    def serving(self, scope: Scope) -> PipelineVersion:
        """The pipeline in service; the last known one (at first the default) while the documents are away."""
        return self._read_slot(scope).serving

    def arm_of(
        self, scope: Scope, answer: AnswerKind, user_id: str | None, session_id: str | None
    ) -> ServingArm | None:
        """The arm that a request belongs to; None where no experiment has its unit, or none is known."""
        running = self._read_slot(scope).running
        return running.arm_of(answer, user_id, session_id) if running else None

    def known_arm_of(
        self, scope: Scope, answer: AnswerKind, user_id: str | None, session_id: str | None
    ) -> ServingArm | None:
        """The same by what is known; never waits. `known` says whether anything is."""
        slot = self._slots.known(scope)
        return slot.running.arm_of(answer, user_id, session_id) if slot is not None and slot.running else None

    def known(self, scope: Scope) -> PipelineVersion | None:
        """The pipeline in service where it is known; never waits."""
        slot = self._slots.known(scope)
        if slot is None or is_old(slot.read_at):
            return None
        slot.asked_at = time.monotonic()
        return slot.serving

    def is_stale(self, scope: Scope) -> bool:
        """Whether the pipeline could not be looked up for `STALE_SECONDS`."""
        return self._watch and is_old(self._slot(scope).read_at)

    def _read_slot(self, scope: Scope) -> _Slot:
        slot = self._slot(scope)
        now = time.monotonic()
        if slot.tried_at is None or (self._watch and now - slot.tried_at > IDLE_SECONDS):
            with slot.lock:
                if slot.tried_at is None or now - slot.tried_at > IDLE_SECONDS:
                    self._read(scope, slot)
        slot.asked_at = now
        return slot

    def _slot(self, scope: Scope) -> _Slot:
        with self._lock:
            if self._watch and self._follower is None:
                self._follower = Thread(target=self._follow, name="follow-pipelines", daemon=True)
                self._follower.start()
        return self._slots.of(scope)[0]

    def _read(self, scope: Scope, slot: _Slot) -> None:
        started = slot.tried_at = time.monotonic()
        try:
            # A scenario that was deleted and made anew counts its versions from 1 again.
            slot.serving = self._pipelines.current(scope)
            slot.running = self._arms.load(scope, slot.running)
        except (LemoError, ValueError) as error:  # away, or written by a newer version of Lemo
            self._tell(scope, slot, error)
            return
        slot.read_at, slot.fault = started, ""

    def _tell(self, scope: Scope, slot: _Slot, error: Exception) -> None:
        if repr(error) != slot.fault:  # it is looked up all the time
            log.warning("cannot look up the pipeline and the experiments", scope=str(scope), error=str(error))
        slot.fault = repr(error)
        slot.fault_kind = type(error).__name__

    def renewals(self) -> Renewals:
        """The age of the pipelines of scopes that were asked for in the last minute, and why one cannot be read."""
        slots = [slot for _, slot in self._slots.all() if time.monotonic() - slot.asked_at < IDLE_SECONDS]
        return renewals_of([(max(slot.read_at, slot.made_at), slot.fault_kind if slot.fault else "") for slot in slots])

    def _follow(self) -> None:
        while not self._stop.wait(FOLLOW_SECONDS):
            for scope, slot in self._slots.all():
                if time.monotonic() - slot.asked_at < IDLE_SECONDS:
                    try:
                        self._read(scope, slot)
                    except Exception as error:  # noqa: BLE001 - the last known pipeline serves, and its age is told
                        self._tell(scope, slot, error)

    def close(self) -> None:
        """Stops following."""
        self._stop.set()
        if self._follower is not None:
            self._follower.join()
