"""What verifies a backend on Cloud Run on a schedule: the job that verifies within the network, with a tool. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from mlflow_backend.backup.job import Bucket
from mlflow_backend.backup.tool import verification
from mlflow_backend.cloudrun.oneshot import fetching
from mlflow_backend.gcp.render.identity import VERIFIER
from mlflow_backend.gcp.render.scheduler import schedules

if TYPE_CHECKING:
    from mlflow_backend.backup.tool import Tool
    from mlflow_backend.cloudrun.locator import CloudRunLocator
    from mlflow_backend.settings import Settings

_UNSCHEDULED: Final = ("python", "--version")
"""Of a job that is only run with other arguments."""


def tool(settings: Settings, locator: CloudRunLocator) -> Tool | None:
    """Return the tool of a stack; None if nothing verifies it on a schedule."""
    if VERIFIER not in schedules(settings):
        return None
    return verification(
        settings,
        store=Bucket(bucket=locator.bucket, root=locator.root),
        url=users_url(settings, locator),
        credentials=locator.credentials_inside,
        access=locator.access != "none" or bool(locator.identity),
        stack=locator.stack,
        cloud="gcp",
    )


def users_url(settings: Settings, locator: CloudRunLocator) -> str:
    """Return the URL that users call, with its path."""
    return str(urlunsplit((*urlsplit(locator.url)[:2], settings.network.path_prefix, "", "")))


def command(settings: Settings, locator: CloudRunLocator) -> tuple[str, ...]:
    """Return what the job runs if it is given no other arguments."""
    found = tool(settings, locator)
    return _UNSCHEDULED if found is None else found.command(fetching(locator), cloud="gcp")
