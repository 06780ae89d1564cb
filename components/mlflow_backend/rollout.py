"""The wait for a new revision if the platform itself replaces servers, and what follows if it does not serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.dynamic import offered_to
from mlflow_backend.locator import from_document
from mlflow_backend.migrate.step import after_failed_start, settle
from mlflow_backend.releases import durations
from mlflow_backend.releases.pins import refuse_overtaken
from mlflow_backend.releases.targets import open_releases

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.deployed import DeployedBackend


def wait_for(props: Mapping[str, Any]) -> dict[str, Any]:
    """Wait as `wait` does, for the revision and the backend that the inputs of a rollout name."""
    return wait(open_releases(from_document(props["locator"])), str(props["revision"]), props)


def wait(deployed: DeployedBackend, revision: str, props: Mapping[str, Any]) -> dict[str, Any]:
    """Wait until a revision serves, at most `deadline` seconds, and return the resource's outputs.

    A migration that ended every server left it to this to start the new revision's, and to end the migration. If
    somebody made the platform run another revision since the last update, as a rollback does whose pin is lifted now,
    Pulumi finds nothing to change, because its state still names this one: the platform is asked for it here. Raises
    PlatformFailed with the platform's own reasons; `migrate.onFailure` has then decided about the schema. Refused if a
    rollback is under way.
    """
    platform = deployed.platform
    if platform.serving() != revision:
        refuse_overtaken(deployed.store, revision)
    platform.start_servers(revision)
    outcome = platform.wait(revision, deadline_s=float(props["deadline"]))
    if not outcome.serving:
        lines = "\n".join(f"  - {reason}" for reason in outcome.reasons)
        schema = after_migration(deployed, props)
        raise PlatformFailed(
            f"Revision {revision} does not serve, whatever the platform looks like:\n{lines}"
            + (f"\n{schema}" if schema else ""),
            code="rollout-failed",
        )
    took = durations.Durations(start_s=outcome.start_s, migration_s=settle(deployed.migration))
    durations.keep(deployed.store, revision, took)
    return {**props, "revision": revision}


def serves_on(deployed: DeployedBackend, props: Mapping[str, Any]) -> str:
    """Return what serves after a candidate failed: of a migration that was made for it, what became of that."""
    return after_migration(deployed, props) or f"Revision {deployed.platform.serving()} serves on."


def after_migration(deployed: DeployedBackend, props: Mapping[str, Any]) -> str:
    """Do what is to be done with a migration that this update made for a release that failed, and return what it was.

    Empty if it made none.
    """
    if deployed.migration.load() is None:
        return ""
    try:
        with deployed.migration_lock():
            return offered_to(after_failed_start(deployed), props)
    except Exception as error:  # noqa: BLE001 - the release's own failure must be reported as well
        return f"Going back from the migration failed too: {error}"
