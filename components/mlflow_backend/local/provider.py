"""Dynamic resources of the local target. Thin: what each does is in the modules it calls.

The modules called are imported when needed: an update without changes only compares.

Every resource keeps what it found (`condition`) beside what was asked for. `read` looks again, and any difference,
in what is desired or in what was found, is an update.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pulumi.dynamic import (
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    UpdateResult,
)

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.dynamic import Provider
from mlflow_backend.local.state import StateDir

if TYPE_CHECKING:
    import pulumi

_RUNNING = "running"
_FOUND = frozenset({"condition", "identity", "listens", "versions", "revision", "createdAt"})
# How a new server is verified makes no new server.
_NOT_COMPARED = _FOUND | {"verification"}


class _LocalProvider(Provider, ABC):
    """What the local resources share: one `apply` makes it so, `condition` finds out how it is."""

    @abstractmethod
    def apply(self, state: StateDir, props: dict[str, Any]) -> dict[str, Any]:
        """Make it so and return what was found. Raises PlatformFailed."""

    @abstractmethod
    def condition(self, state: StateDir, props: dict[str, Any]) -> str:
        """Return `running`, or in a few words what is wrong."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make it so, for the first time in this stack's state."""
        return CreateResult(id_=_identifier(props), outs={**_desired(props), **self.apply(_state(props), props)})

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Make it so again."""
        return UpdateResult(outs={**_desired(news), **self.apply(_state(news), news)})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Look at what is there; a credential that cannot be read is a finding, which the update mends or refuses."""
        try:
            condition = self.condition(_state(props), props)
        except PlatformFailed as failure:
            condition = failure.finding
        return ReadResult(id_=id_, outs={**props, "condition": condition})

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Compare what is desired, and what was found with `running`."""
        changed = _desired(olds) != _desired(news) or olds.get("condition") != _RUNNING
        return DiffResult(changes=changed)


class CredentialsProvider(_LocalProvider):
    """Secrets in files of mode 600; the state knows their versions only."""

    def apply(self, state: StateDir, props: dict[str, Any]) -> dict[str, Any]:
        """Generate what is missing."""
        del props
        from mlflow_backend.local import credentials  # noqa: PLC0415

        return {"versions": credentials.ensure(state), "condition": _RUNNING}

    def condition(self, state: StateDir, props: dict[str, Any]) -> str:
        """Compare the versions with those of the files."""
        from mlflow_backend.local import credentials, encryption  # noqa: PLC0415

        if encryption.waiting(state):
            return "a rotation waits"
        found = credentials.versions(state)
        same = found == props.get("versions") and found.keys() >= set(credentials.ALL)
        return _RUNNING if same else "changed on disk"

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Look at the files themselves: a rotated secret must not wait for a refresh."""
        changed = super().diff(_id, olds, news).changes or self.condition(_state(news), olds) != _RUNNING
        return DiffResult(changes=bool(changed))


class SupervisorProvider(_LocalProvider):
    """The daemon that every other process of the stack is a child of."""

    def apply(self, state: StateDir, props: dict[str, Any]) -> dict[str, Any]:
        """Start it if it does not run."""
        del props
        from mlflow_backend.local.supervisor import Supervisor  # noqa: PLC0415

        return {"listens": Supervisor(state).start(), "condition": _RUNNING}

    def condition(self, state: StateDir, props: dict[str, Any]) -> str:
        """Ask it."""
        del props
        from mlflow_backend.local.supervisor import Supervisor  # noqa: PLC0415

        return _RUNNING if Supervisor(state).running() else "not running"

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """End it and whatever it still runs; the data stay."""
        from mlflow_backend.local.supervisor import Supervisor  # noqa: PLC0415

        Supervisor(_state(props)).shutdown(timeout_s=30)
        _state(props).tidy()


class ServiceProvider(_LocalProvider):
    """The database, the cache, the store or the proxy."""

    def apply(self, state: StateDir, props: dict[str, Any]) -> dict[str, Any]:
        """Make it run as desired."""
        from mlflow_backend.local import services  # noqa: PLC0415

        return services.apply(state, props["service"], props)

    def condition(self, state: StateDir, props: dict[str, Any]) -> str:
        """Ask the supervisor, then the service itself."""
        from mlflow_backend.local import services  # noqa: PLC0415

        return services.condition(state, props["service"], props)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Stop it; its data stay."""
        from mlflow_backend.local.supervisor import Supervisor  # noqa: PLC0415

        Supervisor(_state(props)).remove(props["service"])


class EnvironmentProvider(_LocalProvider):
    """The Python environment of one MLflow version, shared by all stacks of this user."""

    def apply(self, state: StateDir, props: dict[str, Any]) -> dict[str, Any]:
        """Install it if it is missing."""
        del state
        from mlflow_backend.local import environment, package  # noqa: PLC0415

        environment.install(props["mlflowVersion"])
        package.install()
        return {"condition": _RUNNING}

    def condition(self, state: StateDir, props: dict[str, Any]) -> str:
        """Return whether it is still installed."""
        del state
        from mlflow_backend import environments  # noqa: PLC0415
        from mlflow_backend.local import environment, package  # noqa: PLC0415

        there = environments.exists(environment.locate(props["mlflowVersion"])) and package.locate().installed
        return _RUNNING if there else "not installed"


class ServerProvider(_LocalProvider):
    """The MLflow server: an update makes a new revision, verifies it, and switches to it."""

    def apply(self, state: StateDir, props: dict[str, Any]) -> dict[str, Any]:
        """Make a revision, verify it, and switch to it."""
        from mlflow_backend.codec import from_document  # noqa: PLC0415
        from mlflow_backend.local import server  # noqa: PLC0415
        from mlflow_backend.local.desired import DesiredServer  # noqa: PLC0415

        if props["pinned"]:
            deployed = server.keep(state, props["pinned"])
        else:
            deployed = server.deploy(state, from_document(DesiredServer, props["desired"]), props["verification"])
        return {**deployed, "condition": _RUNNING}

    def condition(self, state: StateDir, props: dict[str, Any]) -> str:
        """Compare what serves with the revision that was deployed."""
        from mlflow_backend.local import server  # noqa: PLC0415

        return server.condition(state, int(props["revision"]))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Look at which revision serves: a rollback whose pin is lifted must not wait for a refresh."""
        from mlflow_backend.local import revisions  # noqa: PLC0415

        serving = None
        with suppress(PlatformFailed):
            # What is damaged is for the update to name.
            serving = revisions.active(_state(news))
        elsewhere = serving is not None and str(serving.number) != str(olds["revision"])
        return DiffResult(changes=elsewhere or super().diff(_id, olds, news).changes)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Look at what serves; if the ledger pins the stack to it, it is what is desired."""
        from mlflow_backend.local.platform import LocalPlatform  # noqa: PLC0415
        from mlflow_backend.releases import pins  # noqa: PLC0415
        from mlflow_backend.releases.ledger import Ledger  # noqa: PLC0415

        platform = LocalPlatform(_state(props))
        serving = platform.serving()
        pinned = pins.is_pinned(Ledger(platform.store, by="").state(), serving)
        found: dict[str, Any] = {"desired": {}, "pinned": serving, "revision": serving} if pinned else {}
        return super().read(id_, {**props, **found})

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Stop it; its revisions stay."""
        from mlflow_backend.local import switch  # noqa: PLC0415

        switch.retire_others(_state(props), None)
        _state(props).active.unlink(missing_ok=True)


class TimerProvider(_LocalProvider):
    """What starts commands by their schedules."""

    def apply(self, state: StateDir, props: dict[str, Any]) -> dict[str, Any]:
        """Make it run with these schedules."""
        from mlflow_backend.local import timed  # noqa: PLC0415
        from mlflow_backend.local.supervisor import Supervisor  # noqa: PLC0415

        Supervisor(state).apply(timed.program(state, Path(props["project"]), props["works"]))
        return {"condition": _RUNNING}

    def condition(self, state: StateDir, props: dict[str, Any]) -> str:
        """Ask the supervisor."""
        from mlflow_backend.local import timed  # noqa: PLC0415
        from mlflow_backend.local.supervisor import Supervisor  # noqa: PLC0415

        return Supervisor(state).condition(timed.program(state, Path(props["project"]), props["works"]))

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Stop it, with the command that it runs; what it remembers stays."""
        from mlflow_backend.local import timed  # noqa: PLC0415
        from mlflow_backend.local.supervisor import Supervisor  # noqa: PLC0415

        Supervisor(_state(props)).remove(timed.PROGRAM)


class Credentials(Resource, module="mlflow-backend", name="LocalCredentials"):
    """Outputs: `versions`, by credential name."""

    versions: pulumi.Output[dict[str, str]]

    def __init__(self, name: str, *, state: str, opts: pulumi.ResourceOptions) -> None:
        """Take the stack's state folder."""
        super().__init__(CredentialsProvider(), name, {"state": state, **dict.fromkeys(("versions",))}, opts)


class SupervisorDaemon(Resource, module="mlflow-backend", name="LocalSupervisor"):
    """Outputs: `listens`, its port."""

    listens: pulumi.Output[int]

    def __init__(self, name: str, *, state: str, opts: pulumi.ResourceOptions) -> None:
        """Take the stack's state folder."""
        super().__init__(SupervisorProvider(), name, {"state": state, **dict.fromkeys(("listens",))}, opts)


class Service(Resource, module="mlflow-backend", name="LocalService"):
    """Outputs: `listens`, its port, and `identity`, which changes with anything that serving depends on."""

    listens: pulumi.Output[int]
    identity: pulumi.Output[str]

    def __init__(
        self, name: str, *, state: str, service: str, desired: dict[str, Any], opts: pulumi.ResourceOptions
    ) -> None:
        """Take which service it is and its desired state: `port`, `maxConnections`, credential versions."""
        props = {"state": state, "service": service, **desired, **dict.fromkeys(("listens", "identity"))}
        super().__init__(ServiceProvider(), name, props, opts)


class Environment(Resource, module="mlflow-backend", name="LocalEnvironment"):
    """What a server revision runs in."""

    def __init__(  # noqa: PLR0913 - what is installed, by name
        self, name: str, *, state: str, mlflow_version: str, lock: str, package: str, opts: pulumi.ResourceOptions
    ) -> None:
        """Take the MLflow version, and the digests of its lock and of the server package."""
        props = {"state": state, "mlflowVersion": mlflow_version, "lock": lock, "package": package}
        super().__init__(EnvironmentProvider(), name, props, opts)


class Server(Resource, module="mlflow-backend", name="LocalServer"):
    """Outputs: `revision`, the number that serves, and `createdAt`."""

    revision: pulumi.Output[str]

    def __init__(  # noqa: PLR0913 - what is served, and how it is verified, by name
        self,
        name: str,
        *,
        state: str,
        desired: pulumi.Input[dict[str, Any]],
        pinned: pulumi.Input[str],
        verification: dict[str, Any],
        opts: pulumi.ResourceOptions,
    ) -> None:
        """Take the desired server as a document, or the revision that the stack is pinned to.

        `verification` says by which `profile` and `extraChecks` a new server is verified before users meet it, and
        within which `deadline` (seconds).
        """
        props = {
            "state": state,
            "desired": desired,
            "pinned": pinned,
            "verification": verification,
            **dict.fromkeys(("revision", "createdAt")),
        }
        super().__init__(ServerProvider(), name, props, opts)


class Timer(Resource, module="mlflow-backend", name="LocalTimer"):
    """What starts commands by their schedules; no outputs."""

    def __init__(
        self, name: str, *, state: str, project: str, works: list[dict[str, Any]], opts: pulumi.ResourceOptions
    ) -> None:
        """Take the project's folder, in which the commands run, and each work as a document (`timed.Work`)."""
        super().__init__(TimerProvider(), name, {"state": state, "project": project, "works": works}, opts)


def _desired(props: dict[str, Any]) -> dict[str, Any]:
    """Return what was asked for, without what was found and what Pulumi adds."""
    return {k: v for k, v in props.items() if k not in _NOT_COMPARED and not k.startswith("__") and v is not None}


def _state(props: dict[str, Any]) -> StateDir:
    return StateDir(Path(props["state"]))


def _identifier(props: dict[str, Any]) -> str:
    return f"{Path(props['state']).name}/{props.get('service', props.get('mlflowVersion', 'stack'))}"
