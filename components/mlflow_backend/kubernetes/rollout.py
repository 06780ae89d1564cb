"""What the rollout resource does: find the revision that the Deployment is told to run, and wait until it serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.dynamic import offered_to
from mlflow_backend.kubernetes.history import identity_of
from mlflow_backend.locator import from_document
from mlflow_backend.migrate.step import after_failed_start, settle
from mlflow_backend.releases import durations
from mlflow_backend.releases.targets import open_releases

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.deployed import DeployedBackend
    from mlflow_backend.kubernetes.platform import KubernetesPlatform

INPUTS: Final = ("locator", "identity", "secrets")
_CONTROLLER_S: Final = 60.0


def wait(props: Mapping[str, Any]) -> dict[str, Any]:
    """Wait until the release serves, and return the resource's outputs. Raises PlatformFailed.

    A migration that ended every server left it to this to start the new revision's, and to end the migration.
    """
    releases = open_releases(from_document(props["locator"]))
    platform: KubernetesPlatform = releases.platform
    revision = _revision(platform, props["identity"])
    platform.resume_servers()
    outcome = platform.wait(revision, deadline_s=float(props["deadline"]))
    if not outcome.serving:
        lines = "\n".join(f"  - {reason}" for reason in (*outcome.reasons, after_migration(releases, props)) if reason)
        raise PlatformFailed(f"Revision {revision} does not serve:\n{lines}", code="kubernetes-rollout-failed")
    took = durations.Durations(start_s=outcome.start_s, migration_s=settle(releases.migration))
    durations.keep(releases.store, revision, took)
    return {**props, "revision": revision}


def still_serving(props: Mapping[str, Any]) -> bool:
    """Tell whether the revision is the one that answers users."""
    try:
        serving = open_releases(from_document(props["locator"])).platform.serving()
    except Refused:
        return False
    return bool(serving == props["revision"])


def changed(olds: Mapping[str, Any], news: Mapping[str, Any]) -> list[str]:
    """Return the inputs that differ, all of them if the revision does not serve; the deadline does not matter."""
    if not still_serving(olds):
        return list(INPUTS)
    return [key for key in INPUTS if olds.get(key) != news.get(key)]


def _revision(platform: KubernetesPlatform, identity: str) -> str:
    """Return the revision of the release, as soon as the controller has made it. Raises PlatformFailed."""
    ends = platform.pace.clock() + _CONTROLLER_S
    while True:
        revision = platform.wanted()
        if revision is not None and identity_of(platform.revision(revision)) == identity:
            return revision
        if platform.pace.clock() >= ends:
            raise PlatformFailed(
                f"it is not told to run the release {identity}, but {revision or 'nothing'}",
                code="deployment-of-another-release",
                fix="See that nobody else changes it and that the cluster's controllers run, and repeat",
                part=platform.naming.part(platform.component),
            )
        platform.pace.pause(platform.pace.poll_s)


def after_migration(releases: DeployedBackend, props: Mapping[str, Any]) -> str:
    """Do what is to be done with a migration that this update made for a release that failed, and say it."""
    if releases.migration.load() is None:
        return ""
    try:
        with releases.migration_lock():
            return offered_to(after_failed_start(releases), props)
    except Exception as error:  # noqa: BLE001 - the release's own failure must be said as well
        return f"Going back from the migration failed too: {error}"
