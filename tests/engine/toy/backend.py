"""The toy backend as a component: its server; what ends an update is every backend's."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pulumi  # noqa: TC002 - Pulumi evaluates the annotations of a resource's outputs
from pulumi.dynamic import CreateResult, DiffResult, Resource, UpdateResult

from mlflow_backend.backend import Backend, Serving
from mlflow_backend.dynamic import Provider
from mlflow_backend.releases import pins
from mlflow_backend.toy.locator import ToyLocator
from mlflow_backend.toy.platform import ToyPlatform

if TYPE_CHECKING:
    from mlflow_backend.settings import Settings


def _platform(folder: str) -> ToyPlatform:
    return ToyPlatform(ToyLocator(stack="", folder=folder))


class ToyServerProvider(Provider):
    """Starts the server of a release."""

    serialize_as_secret_always = False

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Compare the release, and look whether its server runs."""
        runs = _platform(news["state"]).serving() == olds["revision"]
        return DiffResult(changes=olds["identity"] != news["identity"] or olds["pinned"] != news["pinned"] or not runs)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make a revision, unless one is pinned, and serve it."""
        platform = _platform(props["state"])
        platform.folder.mkdir(parents=True, exist_ok=True)
        release = {"mlflowVersion": props["mlflowVersion"], "identity": props["identity"]}
        revision = props["pinned"] or platform.record(release)
        platform.start_servers(revision)
        outcome = platform.wait(revision, deadline_s=platform.start_deadline_s)
        if not outcome.serving:
            raise RuntimeError("\n".join(outcome.reasons))
        return CreateResult(id_="toy", outs={**props, "revision": revision, "url": platform.url(revision)})

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Do the same."""
        return UpdateResult(outs=self.create(news).outs)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """End the server."""
        _platform(props["state"]).stop_servers()


class ToyServer(Resource, module="mlflow-backend", name="ToyServer"):
    """A server that answers. Outputs: `revision`, `url`."""

    revision: pulumi.Output[str]
    url: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions, **props: pulumi.Input[Any]) -> None:
        """Take the folder as `state`, the release's `identity` and `mlflowVersion`, and the revision that is pinned."""
        super().__init__(ToyServerProvider(), name, {**props, "revision": None, "url": None}, opts)


class ToyBackend(Backend):
    """An MLflow backend that forgets everything when it is switched."""

    def __init__(self, name: str, *, settings: Settings, locator: ToyLocator) -> None:
        """Take the settings, and the folder in which the backend is found. Raises Refused."""
        super().__init__("mlflow-backend:toy:Backend", name, settings=settings, opts=None)
        version = settings.server.mlflow_version
        identity = hashlib.sha256(f"{version} {settings.server.workers}".encode()).hexdigest()
        platform = ToyPlatform(locator)
        state = pins.ledger_state(platform.store, requested=settings.release.pin)
        pinned = pins.pinned_release(state, identity=identity, describe=platform.describe)
        self._serve_pinned(pinned)
        server = ToyServer(
            f"{name}-server",
            state=locator.folder,
            identity=identity,
            mlflowVersion=version,
            pinned=pinned.release.revision if pinned else "",
            opts=self._after(),
        )
        self._end_update(
            Serving(
                url=server.url,
                revision=server.revision,
                made_of={},
                schema_head=None,
                locator=locator,
                credentials={},
                access=False,
                depends_on=identity,
                keys="",
                report="",
            ),
            after=[server],
        )
        self._give_outputs(artifact_root="")
