"""The protocol between backups and a deployed backend: its artifacts, its secrets and its own key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mlflow_backend.contract import Refused, Release
from mlflow_backend.releases.stores import DUMPS, STAGING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mlflow_backend.backup.artifacts import StoredFile
    from mlflow_backend.backup.destination import Destination
    from mlflow_backend.deployed import DeployedBackend
    from mlflow_backend.migrate.tool import DatabaseTool
    from mlflow_backend.releases.ledger import Ledger
    from mlflow_backend.releases.stores import Store


class Artifacts(Protocol):
    """The artifact store of a backend; paths are below the artifact root. Each method raises PlatformFailed."""

    def listing(self) -> Iterable[StoredFile]:
        """Return every file but the backend's own."""

    def reading(self, path: str) -> Iterator[bytes]:
        """Yield a file's content. Raises FileNotFoundError if it was deleted since it was listed."""

    def create(self, path: str, pieces: Iterator[bytes], *, size_bytes: int) -> None:
        """Write a file of so many bytes that is not there yet."""


class Secrets(Protocol):
    """The secrets of a backend that a restore elsewhere needs, by name. Each method raises PlatformFailed."""

    def public_key(self) -> str | None:
        """Return the public half of the backend's own key of backups; None if it has no key of its own."""

    def read(self) -> Mapping[str, str]:
        """Return the secrets."""


class Vault(Secrets, Protocol):
    """The secrets of a backend that is restored to. Each method raises PlatformFailed."""

    def private_key(self) -> str:
        """Return the backend's own key of backups. Raises Refused if it has none."""

    def take_over(self, secrets: Mapping[str, str], *, label: str) -> None:
        """Put another backend's secrets in force, and keep the present ones aside under `label`."""

    def put_back(self, label: str) -> None:
        """Put the secrets in force that were kept aside under `label`; nothing happens if there are none."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A backend as a backup is taken of it, on this machine or in the backend's own network.

    `served` returns the release that serves, None if none does. `tool` returns the database tool of an MLflow version,
    which writes below the address `staging`; the backend's own store `own` has the same objects. `settings` is the
    content of the stack's file.
    """

    target: str
    store: Store
    ledger: Ledger
    served: Callable[[], Release | None]
    tool: Callable[[str], DatabaseTool]
    artifacts: Artifacts
    vault: Secrets
    staging: str
    own: Destination
    stack: str
    settings: bytes = field(default=b"", repr=False)

    def clear_staging(self) -> None:
        """Delete every dump in plain that a backup or a restore left. Only for whoever holds the lock of backups."""
        self.own.clear(STAGING)
        self.own.clear_unfinished()


@dataclass(frozen=True, kw_only=True)
class DeployedSource(Source):
    """A deployed backend that is restored to, too. `used` counts what users have written to it, by table.

    `renewed` returns the revision that is another one's release with the secrets in force: the same one, if servers
    read them when they start.
    """

    deployed: DeployedBackend
    vault: Vault
    used: Callable[[], Mapping[str, int]]
    renewed: Callable[[str], str]


def source_of(  # noqa: PLR0913 - the parts of a backend, by name
    deployed: DeployedBackend,
    *,
    tool: Callable[[str], DatabaseTool],
    artifacts: Artifacts,
    vault: Vault,
    own: Destination,
    stack: str,
    settings: bytes,
    used: Callable[[], Mapping[str, int]],
    renewed: Callable[[str], str] = lambda revision: revision,
) -> DeployedSource:
    """Return a deployed backend as backups see it; nothing is asked yet."""
    platform = deployed.platform

    def served() -> Release | None:
        current = platform.current()
        return None if current is None else current.release

    return DeployedSource(
        target=platform.target,
        store=deployed.store,
        ledger=deployed.ledger,
        served=served,
        tool=tool,
        artifacts=artifacts,
        vault=vault,
        staging=f"{platform.dumps.removesuffix(DUMPS)}{STAGING}",
        own=own,
        stack=stack,
        settings=settings,
        deployed=deployed,
        used=used,
        renewed=renewed,
    )


def recorded(ledger: Ledger) -> Release | None:
    """Return the release that serves by the ledger's word: the pinned one, else the one that was verified last."""
    found = ledger.read()
    pin = found.state.pin
    verified = (record.release for record in reversed(found.releases) if record.release is not None)
    release = next((each for each in verified if pin is None or each.revision == pin.revision), None)
    if release is None:
        return None
    return Release(
        revision=release.revision,
        mlflow_version=release.mlflow_version,
        image_digest=release.image_digest,
        environment_lock=release.environment_lock,
    )


def no_task() -> Refused:
    """Return the refusal of a backup for which the platform has no task."""
    return Refused(
        "The backend has no task that takes backups yet.",
        code="backup-not-deployed",
        fix="Update it: `pulumi up`.",
    )
