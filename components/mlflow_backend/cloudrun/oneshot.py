"""A job's execution that does one thing in the network and ends: run, waited for, its words read from its log."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.cloudrun import logs, traffic
from mlflow_backend.cloudrun.locator import DRAWN
from mlflow_backend.cloudrun.render.containers import with_versions
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.gcp.api import RUN
from mlflow_backend.gcp.naming import LIMITS
from mlflow_backend.gcp.store import FETCH
from mlflow_backend.hosted import StoreReader
from mlflow_backend.one_shot import Seen, await_end, whole_log
from mlflow_backend.target import Finished

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlflow_backend.cloudrun.locator import CloudRunLocator
    from mlflow_backend.cloudrun.service import CloudRun

# Cloud Logging shows a line some seconds after it was written.
_LOG_LAG_S: Final = 30.0
_COPIED: Final = ("template", "labels")
_EXIT_CODE: Final = "exitCode"


@dataclass(kw_only=True)
class CloudRunJob:
    """A job that is run once, with arguments of its own, and in another `image` if one is named.

    `versions` are those of secrets that the job is given instead of its own, by the secrets' names.
    """

    cloud_run: CloudRun
    job: str
    image: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    def run(
        self, command: Sequence[str], *, deadline_s: float, complete: Callable[[Sequence[str]], bool] = lambda _: True
    ) -> Finished:
        """Run `command` once and wait for its end, at most `deadline_s` seconds from when it runs.

        Its first word is the job's own: an execution takes other arguments, but no other command. `complete` says
        whether the log has all that is wanted of it: its last lines may come after the end. Raises PlatformFailed.
        """
        found = self._job()
        container, job = _container(found), self.job
        wanted = with_versions({**container, "image": self.image or container["image"]}, self.versions)
        temporary = wanted != container
        if temporary:
            job = self._copied(found, wanted)
        try:
            return self._run(job, container["name"], command[1:], deadline_s, complete)
        finally:
            if temporary:
                self.cloud_run.api.call("DELETE", RUN, self._path(job))

    def _run(
        self,
        job: str,
        container: str,
        arguments: Sequence[str],
        deadline_s: float,
        complete: Callable[[Sequence[str]], bool],
    ) -> Finished:
        overrides = {
            "containerOverrides": [{"name": container, "args": list(arguments)}],
            "timeout": f"{deadline_s:.0f}s",
        }
        started = self.cloud_run.api.call("POST", RUN, f"{self._path(job)}:run", {"overrides": overrides})
        execution = str(started["metadata"]["name"])
        ended = self._await(execution, deadline_s)
        tasks = list(self.cloud_run.api.pages(RUN, f"v2/{execution}/tasks", "tasks"))
        result = (tasks[0].get("lastAttemptResult") or {}) if tasks else {}
        code = _exit_code(ended, result)
        wanted = complete if code is not None else lambda _: True
        return Finished(
            exit_code=code,
            lines=whole_log(lambda: self._lines(ended), wanted, pace=self.cloud_run.pace, lag_s=_LOG_LAG_S),
            reasons=tuple(filter(None, (*traffic.reasons(ended), (result.get("status") or {}).get("message", "")))),
        )

    def _await(self, execution: str, deadline_s: float) -> Mapping[str, Any]:
        """Wait for the end. Raises PlatformFailed for one that has not begun or ended in time, which is cancelled."""
        api = self.cloud_run.api
        found: dict[str, Any] = {}

        def look() -> Seen[Mapping[str, Any]]:
            found.update(api.call("GET", RUN, f"v2/{execution}"))
            return Seen(begun=bool(found.get("runningCount")), ended=found if "completionTime" in found else None)

        def overdue(why: str) -> PlatformFailed:
            api.call("POST", RUN, f"v2/{execution}:cancel", {})
            words = "; ".join(traffic.reasons(found))
            return PlatformFailed(
                f"the execution {traffic.short(execution)} {why} and was cancelled{f': {words}' if words else ''}",
                code="execution-overdue",
            )

        return await_end(look, pace=self.cloud_run.pace, deadline_s=deadline_s, overdue=overdue)

    def _lines(self, execution: Mapping[str, Any]) -> list[str]:
        return logs.of_execution(self.cloud_run.api, self.cloud_run.naming.project, execution)

    def _copied(self, found: Mapping[str, Any], container: Mapping[str, Any]) -> str:
        """Make a job like this one with another container, and return its name."""
        task = found["template"]["template"]
        body = {key: found[key] for key in _COPIED if key in found}
        body["template"] = {**found["template"], "template": {**task, "containers": [container]}}
        token = uuid.uuid4().hex[:8]
        name = f"{self.job[: LIMITS['job'] - len(token) - 1].rstrip('-')}-{token}"
        parent = f"v2/{self.cloud_run.naming.parent}/jobs"
        self.cloud_run.finish(self.cloud_run.api.call("POST", RUN, parent, body, query={"jobId": name}))
        return name

    def _job(self) -> Mapping[str, Any]:
        found = self.cloud_run.job(self.job)
        if found is None:
            raise PlatformFailed(f"the job {self.job} is not there", code="cloudrun-job-missing", fix="Run `make up`")
        return found

    def _path(self, job: str) -> str:
        return f"v2/{self.cloud_run.naming.parent}/jobs/{job}"


@dataclass(kw_only=True)
class VerifyJob(StoreReader, CloudRunJob):
    """The job that verifies within the network (target.OneShot)."""


def fetching(locator: CloudRunLocator) -> str:
    """Return the statements by which a verification within the network reads its job.

    If Google checks callers, it draws an identity token too, as whoever it runs as.
    """
    return FETCH + (drawing(DRAWN, locator.audience) if locator.identity == "iam" else "")


def drawing(variable: str, audience: str) -> str:
    """Return the statements by which a task draws an identity token into a variable, as whoever it runs as."""
    return (
        ";import os;from google.auth.transport.requests import Request;from google.oauth2 import id_token;"
        f"os.environ[{variable!r}]=id_token.fetch_id_token(Request(),{audience!r})"
    )


def _container(job: Mapping[str, Any]) -> dict[str, Any]:
    return dict(job["template"]["template"]["containers"][0])


def _exit_code(execution: Mapping[str, Any], result: Mapping[str, Any]) -> int | None:
    """Return the exit code of the one task; a success of the execution is 0, which JSON of Google's leaves out."""
    if execution.get("succeededCount"):
        return 0
    return int(result[_EXIT_CODE]) if _EXIT_CODE in result else None
