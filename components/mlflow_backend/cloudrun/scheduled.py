"""The tools of the jobs that verify and maintain a backend on Cloud Run, each in the backend's store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from mlflow_backend.backup.maintain_job import WAIT_S
from mlflow_backend.backup.tool import Tools
from mlflow_backend.cloudrun.oneshot import drawing, fetching
from mlflow_backend.gcp.render.identity import VERIFIER
from mlflow_backend.gcp.render.scheduler import schedules
from mlflow_backend.gcp.store import FETCH

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
    return _tools(settings, locator).verification(
        url=users_url(settings, locator),
        credentials=locator.credentials_inside,
        access=locator.access != "none" or bool(locator.identity),
    )


def verify_command(settings: Settings, locator: CloudRunLocator) -> tuple[str, ...]:
    """Return what the job that verifies runs if it is given no other arguments."""
    found = verification(settings, locator)
    return _UNSCHEDULED if found is None else found.command(fetching(locator))


def maintenance(settings: Settings, locator: CloudRunLocator) -> Tool:
    """Return the tool that maintains."""
    return _tools(settings, locator).maintenance()


def maintain_command(settings: Settings, locator: CloudRunLocator) -> tuple[str, ...]:
    """Return what the job that maintains runs on a schedule.

    Behind Google's check MLflow's client has a token that is drawn once, and good for an hour.
    """
    fetch = FETCH + (drawing(_TOKEN, locator.audience) if locator.identity == "iam" else "")
    return (*maintenance(settings, locator).command(fetch), "--wait", str(WAIT_S))


def _tools(settings: Settings, locator: CloudRunLocator) -> Tools:
    return Tools(settings=settings, stack=locator.stack, store=locator.store, cloud="gcp")
