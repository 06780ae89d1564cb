"""Waits for a revision; reports a silent rollback of ECS as a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.dynamic import offered_to
from mlflow_backend.locator import from_document
from mlflow_backend.migrate.step import after_failed_start, settle
from mlflow_backend.releases import durations
from mlflow_backend.releases.targets import open_releases

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.deployed import DeployedBackend

_INPUTS: Final = ("region", "cluster", "service", "revision")


def wait(props: Mapping[str, Any]) -> dict[str, Any]:
    """Wait until the revision serves, and return the resource's outputs. Raises PlatformFailed.

    A migration that ended every server left it to this to start the new revision's, and to end the migration: where
    the revision does not serve on the new schema, `migrate.onFailure` decides.
    """
    revision = str(props["revision"])
    releases = open_releases(from_document(props["locator"]))
    releases.platform.resume_servers()
    outcome = releases.platform.wait(revision, deadline_s=float(props["deadline"]))
    if not outcome.serving:
        lines = "\n".join(f"  - {reason}" for reason in outcome.reasons)
        schema = offered_to(_after_migration(releases), props)
        raise PlatformFailed(
            f"Revision {revision} does not serve, whatever the service looks like:\n{lines}{schema}",
            code="rollout-failed",
        )
    took = durations.Durations(start_s=outcome.start_s, migration_s=settle(releases.migration))
    durations.keep(releases.store, revision, took)
    return dict(props)


def still_serving(props: Mapping[str, Any]) -> bool:
    """Return whether the revision is the one that answers users."""
    try:
        current = open_releases(from_document(props["locator"])).platform.current()
    except Refused:
        return False
    return current is not None and current.id == str(props["revision"])


def changed(olds: Mapping[str, Any], news: Mapping[str, Any]) -> list[str]:
    """Return the inputs that differ; how long to wait is none that matters afterwards."""
    return [key for key in _INPUTS if olds.get(key) != news.get(key)]


def _after_migration(releases: DeployedBackend) -> str:
    """Do what is to be done with a migration that this update made for the revision; say it in a line of its own."""
    if releases.migration.load() is None:
        return ""
    try:
        with releases.migration_lock():
            return f"\n{after_failed_start(releases)}"
    except Exception as error:  # noqa: BLE001 - the revision's own failure must be reported as well
        return f"\nGoing back from the migration failed too: {error}"
