"""Cloud Scheduler: jobs that call a URL as a service account. None comes due here by itself: `run` is its one clock."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mlflow_backend import schedules
from tests.rig.gcp.discovery import Failed
from tests.rig.gcp.run.model import now

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.rig.gcp.discovery import Call, Directory

_NAME: Final = re.compile(r"projects/[^/]+/locations/[^/]+/jobs/[A-Za-z0-9_-]{1,500}")
# cloudscheduler.v1, RetryConfig.retryCount.
_MOST_RETRIES: Final = 5
_DONE: Final = 0
_DENIED: Final = 7


class Scheduler:
    """The jobs of one project, by their names. `ask` calls a Google API as somebody: host, method, path, body, who."""

    def __init__(
        self, directory: Directory, ask: Callable[[str, str, str, Any, str], Any], *, exists: Callable[[str], bool]
    ) -> None:
        self._ask, self._exists = ask, exists
        self.kept: dict[str, dict[str, Any]] = {}
        directory.handle(
            "cloudscheduler.projects.locations.jobs",
            create=self._create, get=lambda call: self._find(call["name"]), patch=self._patch, delete=self._delete,
            run=self._run,
        )  # fmt: skip

    def _create(self, call: Call) -> dict[str, Any]:
        name = call.body.get("name", "")
        if not _NAME.fullmatch(name) or not name.startswith(f"{call['parent']}/jobs/"):
            raise Failed(400, f'Job name must be formatted: "{call["parent"]}/jobs/<JOB_ID>"')
        if name in self.kept:
            raise Failed(409, f"Job {name} already exists.", "ALREADY_EXISTS")
        self._check(call.body)
        self.kept[name] = {**call.body, "state": "ENABLED", "userUpdateTime": now()}
        return self.kept[name]

    def _patch(self, call: Call) -> dict[str, Any]:
        known = self._find(call["name"])
        asked = call.query.get("updateMask", "").split(",")
        if not set(asked) <= call.body.keys():
            raise Failed(501, f"the rig does not clear {set(asked) - call.body.keys()} yet")
        changed = {**known, **{name: call.body[name] for name in asked}}
        self._check(changed)
        self.kept[call["name"]] = {**changed, "userUpdateTime": now()}
        return self.kept[call["name"]]

    def _delete(self, call: Call) -> dict[str, Any]:
        self._find(call["name"])
        del self.kept[call["name"]]
        return {}

    def _run(self, call: Call) -> dict[str, Any]:
        """Call what the job names, once, as its account."""
        job = self._find(call["name"])
        target = job["httpTarget"]
        where = urlsplit(target["uri"])
        job["lastAttemptTime"] = now()
        try:
            self._ask(where.netloc, target["httpMethod"], where.path, b"", target["oauthToken"]["serviceAccountEmail"])
        except Failed as failed:
            job["status"] = {"code": _DENIED, "message": failed.message}
        else:
            job["status"] = {"code": _DONE}
        return job

    def _check(self, body: dict[str, Any]) -> None:
        target = body.get("httpTarget")
        if target is None or "oauthToken" not in target or urlsplit(target["uri"]).scheme != "https":
            raise Failed(501, "the rig calls Google's APIs with an access token, and nothing else")
        if not self._exists(target["oauthToken"]["serviceAccountEmail"]):
            raise Failed(404, f"Service account {target['oauthToken']['serviceAccountEmail']} does not exist.")
        if body.get("retryConfig", {}).get("retryCount", 0) > _MOST_RETRIES:
            raise Failed(400, "retry_count is at most 5")
        if body.get("timeZone", "UTC") not in {"utc", "UTC", "Etc/UTC"}:
            raise Failed(501, "the rig knows UTC alone")
        try:
            schedules.valid(body.get("schedule", ""))
        except ValueError:
            raise Failed(400, "Schedule or time zone is invalid.") from None

    def _find(self, name: str) -> dict[str, Any]:
        if name not in self.kept:
            raise Failed(404, "Job not found.")
        return self.kept[name]
