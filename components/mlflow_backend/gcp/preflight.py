"""Preflight of the project that a backend is made in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.findings import failed, failures, passed, skipped
from mlflow_backend.gcp.api import PROJECTS, USAGE, GoogleError
from mlflow_backend.gcp.permissions import wanted
from mlflow_backend.gcp.render.network import apis

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlflow_backend.findings import Finding
    from mlflow_backend.gcp.api import Api
    from mlflow_backend.gcp.naming import Naming
    from mlflow_backend.settings import Settings

# 'Method: services.batchGet' (Service Usage): 30 names at most.
_BATCH: Final = 30
# 'Method: projects.testIamPermissions' (Resource Manager): 100 permissions at most.
_ASKED: Final = 100


def check(settings: Settings, naming: Naming, api: Api) -> tuple[Finding, ...]:
    """Return what each check found; in another project than the one that is meant nothing more is asked."""
    first = _project(naming, api)
    if failures([first]):
        return (first, skipped("the rest", "gcp.project", "nothing else was asked of this project."))
    return (first, *_permissions(wanted(settings), naming, api), *_apis(apis(settings), naming, api))


def _project(naming: Naming, api: Api) -> Finding:
    """The project has the number that the settings say: the service's URL holds it."""
    try:
        found = api.call("GET", PROJECTS, f"v3/projects/{naming.project}")
    except GoogleError as error:
        return failed(
            "project",
            "gcp.project",
            f"{naming.project} is not there, or not to be seen: {error.finding}.",
            "Log in to it, or correct the name.",
            f"gcloud projects describe {naming.project}",
        )
    number = str(found["name"]).rpartition("/")[2]
    if number != naming.number:
        return failed(
            "project",
            "gcp.projectNumber",
            f"{naming.project} has the number {number}, not {naming.number}.",
            "Set it, in quotes.",
        )
    return passed("project", "gcp.project", f"{naming.project} has the number {number}.")


def _permissions(asked: Sequence[str], naming: Naming, api: Api) -> Iterator[Finding]:
    """The deployer may do everything that an update and a rollback do."""
    granted: set[str] = set()
    try:
        for start in range(0, len(asked), _ASKED):
            body = {"permissions": list(asked[start : start + _ASKED])}
            answer = api.call("POST", PROJECTS, f"v3/projects/{naming.project}:testIamPermissions", body)
            granted.update(answer.get("permissions", []))
    except PlatformFailed as error:
        yield skipped("permissions", "gcp.project", f"they could not be asked for: {error.finding}.")
        return
    if missing := sorted(set(asked) - granted):
        yield failed(
            "permissions",
            "gcp.project",
            f"the deployer lacks {', '.join(missing)}.",
            "Grant a role that has them (docs/targets/cloudrun.md), on the project.",
        )
    else:
        yield passed("permissions", "gcp.project", f"the deployer has all of {len(asked)}.")


def _apis(asked: Sequence[str], naming: Naming, api: Api) -> Iterator[Finding]:
    """The first update enables what is not; that takes a minute, and is said before."""
    names = [f"projects/{naming.project}/services/{each}" for each in asked[:_BATCH]]
    try:
        found = api.call("GET", USAGE, f"v1/projects/{naming.project}/services:batchGet", query={"names": names})
    except PlatformFailed as error:
        yield skipped("APIs", "gcp.project", f"they could not be asked for: {error.finding}.")
        return
    disabled = [str(each["name"]).rpartition("/")[2] for each in found["services"] if each.get("state") != "ENABLED"]
    said = f"the update will enable {', '.join(disabled)}." if disabled else "all are enabled."
    yield passed("APIs", "gcp.project", said)
