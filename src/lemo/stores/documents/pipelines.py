"""Pipelines of scenarios: every version that was put in service, the newest in service, and those on trial."""

from datetime import UTC, datetime

from lemo.domain.errors import Conflict, NotFound
from lemo.domain.pipeline import Pipeline, PipelineVersion
from lemo.domain.scope import Scope
from lemo.stores.documents import PIPELINES, Documents
from lemo.stores.documents.bodies import body_of

DEFAULT = PipelineVersion()


class Pipelines:
    """Versions are only added, so a rollback is a new version too."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def current(self, scope: Scope) -> PipelineVersion:
        """The pipeline in service; the default where the scenario has none."""
        return self._in_service(scope, self._newest(scope))

    def history(self, scope: Scope, limit: int = 100) -> list[PipelineVersion]:
        """The versions, newest first, with those on trial."""
        found = self._documents.find(PIPELINES, scope, order="-version", limit=limit)
        return [PipelineVersion.model_validate(body) for _, body in found]

    def get(self, scope: Scope, version: int) -> PipelineVersion:
        """A version; raises NotFound. Version 0 is the default."""
        if version == 0:
            return DEFAULT
        body = self._documents.get(PIPELINES, scope, _id(version))
        if body is None:
            raise NotFound(f"There is no version {version} of this pipeline.", "`lemo pipeline history` lists them.")
        return PipelineVersion.model_validate(body)

    def put(
        self, scope: Scope, pipeline: Pipeline, by: str, why: str = "", after: int | None = None
    ) -> PipelineVersion:
        """Puts a pipeline in service; raises Conflict where `after` is given and is not the version in service."""
        newest = self._newest(scope)
        serving = self._in_service(scope, newest).version
        new = PipelineVersion(
            version=newest.version + 1, pipeline=pipeline, changed_at=datetime.now(UTC), changed_by=by, why=why
        )
        if after not in (None, serving) or not self._put(scope, new):
            raise Conflict(
                f"Somebody else has changed the pipeline: version {self.current(scope).version} serves.",
                "Look at it, and change it again: `lemo pipeline show`.",
            )
        return new

    def put_on_trial(self, scope: Scope, pipeline: Pipeline, by: str, why: str) -> PipelineVersion:
        """Keeps a pipeline as a version that arms of experiments may name; what serves stays in service."""
        while True:
            newest = self._newest(scope)
            new = PipelineVersion(
                version=newest.version + 1,
                pipeline=pipeline,
                changed_at=datetime.now(UTC),
                changed_by=by,
                why=why,
                trial=True,
                in_service_then=self._in_service(scope, newest).version,
            )
            if self._put(scope, new):  # else somebody took the number, and perhaps changed what serves
                return new

    def roll_back(self, scope: Scope, by: str, version: int | None = None) -> PipelineVersion:
        """Puts back a version, by default the one before; raises NotFound, and Conflict after a change meanwhile."""
        serving = self.current(scope).version
        if version is None and serving == 0:
            raise NotFound("There is no version to go back to: the default serves.", "`lemo pipeline edit` makes one.")
        before = self._in_service(scope, self.get(scope, serving - 1)) if version is None else self.get(scope, version)
        return self.put(scope, before.pipeline, by, f"back to version {before.version}", after=serving)

    def _newest(self, scope: Scope) -> PipelineVersion:
        return next(iter(self.history(scope, 1)), DEFAULT)

    def _in_service(self, scope: Scope, newest: PipelineVersion) -> PipelineVersion:
        """What was in service when a version was the newest."""
        return self.get(scope, newest.in_service_then or 0) if newest.trial else newest

    def _put(self, scope: Scope, new: PipelineVersion) -> bool:
        return self._documents.put_new(PIPELINES, scope, _id(new.version), body_of(new))


def _id(version: int) -> str:
    return f"{version:010d}"
