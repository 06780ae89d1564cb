"""The Cloud Run service of a backend as Google has it: read, and changed in one field after the other.

A change is made to what was just read, by its etag: of two who change a service at the same time, one reads it again.
Each change is waited for, because an operation may fail long after it was accepted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.gcp.api import CONFLICT, NOT_FOUND, PRECONDITION, RUN, GoogleError
from mlflow_backend.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow_backend.gcp.api import Api
    from mlflow_backend.gcp.naming import Naming

Document = dict[str, Any]

# Google's word for an etag that is not the newest (google.rpc.Code).
_STALE: Final = "ABORTED"
_TRIES: Final = 5
OPERATION_S: Final = 900.0
"""As long as a change may take: an instance has four minutes to start, and there may be one after another."""


@dataclass(kw_only=True)
class CloudRun:
    """The service and the jobs of one backend, by the API run.v2."""

    api: Api
    naming: Naming
    pace: Pace = field(default_factory=lambda: Pace(poll_s=2.0))

    @property
    def path(self) -> str:
        """Where the service is."""
        return f"v2/{self.naming.parent}/services/{self.naming.service()}"

    def service(self) -> Document | None:
        """Return the service; None if it is not there."""
        return self.api.get(RUN, self.path)

    def revisions(self) -> list[Document]:
        """Return the service's revisions, newest first."""
        found = list(self.api.pages(RUN, f"{self.path}/revisions", "revisions", {"pageSize": "100"}))
        return sorted(found, key=lambda each: str(each.get("createTime", "")), reverse=True)

    def revision(self, name: str) -> Document:
        """Return a revision. Raises Refused if it is gone."""
        found = self.api.get(RUN, f"{self.path}/revisions/{name}")
        if found is None:
            raise Refused(
                f"Revision {name} is not there any more.",
                code="cloudrun-revision-gone",
                fix="Choose one that `make releases` lists.",
            )
        return found

    def delete_revision(self, name: str) -> None:
        """Delete a revision; nothing happens if it is not there."""
        try:
            self.finish(self.api.call("DELETE", RUN, f"{self.path}/revisions/{name}"))
        except GoogleError as error:
            if error.status != NOT_FOUND:
                raise

    def job(self, name: str) -> Document | None:
        """Return a job; None if it is not there."""
        return self.api.get(RUN, f"v2/{self.naming.parent}/jobs/{name}")

    def change(self, edit: Callable[[Document], Mapping[str, Any]]) -> Document:
        """Change the fields that `edit` returns for the service as it is, and return it as it is then.

        Raises Refused if there is none, PlatformFailed if it is changed by others each time, and if the change fails.
        """
        for _ in range(_TRIES):
            found = self.service()
            if found is None:
                raise Refused(
                    f"There is no Cloud Run service {self.naming.service()}.",
                    code="cloudrun-service-missing",
                    fix="Deploy it: `make up`.",
                )
            fields = dict(edit(found))
            if not fields:
                return found
            body = {**fields, "etag": found["etag"]}
            try:
                operation = self.api.call("PATCH", RUN, self.path, body, query={"updateMask": ",".join(sorted(fields))})
            except GoogleError as error:
                if not _is_stale(error):
                    raise
                self.pace.pause(self.pace.poll_s)
                continue
            self.finish(operation)
            return self.service() or found
        raise PlatformFailed(
            f"The Cloud Run service {self.naming.service()} was changed by somebody else each time",
            code="cloudrun-service-contended",
            fix="See who deploys it besides, and repeat",
        )

    def finish(self, operation: Document, *, deadline_s: float = OPERATION_S) -> Document:
        """Wait for an operation, and return its response. Raises PlatformFailed with Google's words if it fails."""
        began, name, pauses = self.pace.clock(), operation["name"], self.pace.growing()
        while not operation.get("done"):
            if self.pace.clock() - began >= deadline_s:
                raise PlatformFailed(
                    f"the operation had not ended after {deadline_s:.0f} s",
                    code="cloudrun-operation-overdue",
                    fix="Look at it in Google's console, and repeat",
                    part=name,
                )
            self.pace.pause(next(pauses))
            operation = self.api.call("GET", RUN, f"v2/{name}")
        if error := operation.get("error"):
            raise PlatformFailed(
                f"Cloud Run: {error.get('message') or 'no reason given'}",
                code="cloudrun-operation-failed",
                part=self.naming.service(),
            )
        return dict(operation.get("response") or {})


def _is_stale(error: GoogleError) -> bool:
    return error.status == PRECONDITION or (error.status == CONFLICT and error.reason == _STALE)
