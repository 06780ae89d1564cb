"""The tools of the jobs that verify and maintain a backend on Cloud Run, each in the backend's store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from mlflow_backend.backup import tool
from mlflow_backend.backup.job import Bucket
from mlflow_backend.backup.maintain_job import WAIT_S
from mlflow_backend.cloudrun.oneshot import drawing, fetching
from mlflow_backend.gcp.render.identity import VERIFIER
from mlflow_backend.gcp.render.scheduler import schedules
from mlflow_backend.gcp.store import FETCH
from mlflow_backend.hosted import ARTIFACTS

if TYPE_CHECKING:
    from mlflow_backend.backup.tool import Tool
    from mlflow_backend.cloudrun.locator import CloudRunLocator
    from mlflow_backend.settings import Settings

_UNSCHEDULED: Final = ("python", "--version")
"""Of a job that is only run with other arguments."""
_TOKEN: Final = "MLFLOW_TRACKING_TOKEN"  # noqa: S105 - the name of a variable


def users_url(settings: Settings, locator: CloudRunLocator) -> str:
    """Return the URL that users call, with its path."""
    return str(urlunsplit((*urlsplit(locator.url)[:2], settings.network.path_prefix, "", "")))


def verification(settings: Settings, locator: CloudRunLocator) -> Tool | None:
    """Return the tool that verifies; None if nothing verifies the stack on a schedule."""
    if VERIFIER not in schedules(settings):
        return None
    return tool.verification(
        settings,
        store=_store(locator),
        url=users_url(settings, locator),
        credentials=locator.credentials_inside,
        access=locator.access != "none" or bool(locator.identity),
        stack=locator.stack,
        cloud="gcp",
    )


def verify_command(settings: Settings, locator: CloudRunLocator) -> tuple[str, ...]:
    """Return what the job that verifies runs if it is given no other arguments."""
    found = verification(settings, locator)
    return _UNSCHEDULED if found is None else found.command(fetching(locator), cloud="gcp")


def maintenance(settings: Settings, locator: CloudRunLocator) -> Tool:
    """Return the tool that maintains."""
    return tool.maintenance(
        settings,
        store=_store(locator),
        artifacts=locator.store.prefix(ARTIFACTS),
        address=locator.store.address(ARTIFACTS),
        cloud="gcp",
    )


def maintain_command(settings: Settings, locator: CloudRunLocator) -> tuple[str, ...]:
    """Return what the job that maintains runs on a schedule.

    Behind Google's check MLflow's client has a token that is drawn once, and good for an hour.
    """
    fetch = FETCH + (drawing(_TOKEN, locator.audience) if locator.identity == "iam" else "")
    return (*maintenance(settings, locator).command(fetch, cloud="gcp"), "--wait", str(WAIT_S))


def _store(locator: CloudRunLocator) -> Bucket:
    return Bucket(bucket=locator.bucket, root=locator.root)
