"""The rollout resource's work: it finds the revision that the Deployment is set to run, and waits until it serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend import rollout
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.kubernetes.history import container_of
from mlflow_backend.locator import from_document
from mlflow_backend.releases.targets import open_releases

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.kubernetes.platform import KubernetesPlatform

_CONTROLLER_S: Final = 60.0


def wait_for(props: Mapping[str, Any]) -> dict[str, Any]:
    """Wait until the release serves, and return the resource's outputs. Raises PlatformFailed."""
    deployed = open_releases(from_document(props["locator"]))
    return rollout.wait(deployed, _revision(deployed.platform, props["identity"]), props)


def _revision(platform: KubernetesPlatform, identity: str) -> str:
    """Return the revision of the release, as soon as the controller has made it. Raises PlatformFailed.

    If the Deployment was set to run another one meanwhile it is the newest revision that there is of the release.
    """
    ends = platform.pace.clock() + _CONTROLLER_S
    while True:
        revision = platform.wanted()
        if revision is not None:
            if container_of(platform.revision(revision)).identity == identity:
                return revision
            if (kept := platform.newest_of(identity)) is not None:
                return kept
        if platform.pace.clock() >= ends:
            raise PlatformFailed(
                f"it is not set to run the release {identity}, but {revision or 'nothing'}",
                code="deployment-of-another-release",
                fix="Repeat with `pulumi up --refresh`, because it was changed since the last update; and see that the "
                "cluster's controllers run",
                part=platform.naming.part(platform.component),
            )
        platform.pace.pause(platform.pace.poll_s)
