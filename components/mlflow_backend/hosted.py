"""Common parts of backends that are not on this machine: the locator, and the rules of the live side.

Its store is below a root in a bucket, its database is private, so that every question to it is a one-shot task, and its
login is among the server's secrets.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlsplit, urlunsplit

from mlflow_backend.bucket_root import ARTIFACTS, BucketRoot
from mlflow_backend.contract import PlatformFailed, Release
from mlflow_backend.identity import OBJECT
from mlflow_backend.locator import Locator
from mlflow_backend.migrate.tool import Code
from mlflow_backend.server import allowed_callers, keys, login
from mlflow_backend.server.environment import ACCESS_VARIABLE, PREFIX_VARIABLE
from mlflow_backend.target import Described
from mlflow_backend.verify.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.backup.task_backups import TaskBackups
    from mlflow_backend.backup.task_maintenance import TaskMaintenance
    from mlflow_backend.migrate.tool import DatabaseTool
    from mlflow_backend.releases.stores import Store
    from mlflow_backend.schema import Heads
    from mlflow_backend.settings import Settings
    from mlflow_backend.target import Candidate, OneShot, TaskPlatform

UNKNOWN_VERSION: Final = "unknown"


@dataclass(frozen=True, kw_only=True)
class HostedLocator(Locator):
    """A backend that is reached over a network.

    `url` is what users call, and `inside` whether it can be called from the backend's network only. `access` is the
    mode of access. `bucket` and `root` are where its store is.
    """

    kept_in: ClassVar[type[BucketRoot]]
    """Whose bucket that is."""
    url: str
    access: str = "basic"
    inside: bool = False
    bucket: str
    root: str = ""

    @property
    def store(self) -> BucketRoot:
        """The backend's root in its bucket."""
        return self.kept_in(bucket=self.bucket, root=self.root)

    @property
    def address(self) -> str:
        """The backend's root in its bucket, as a URL."""
        return self.store.address("").rstrip("/")

    def reference(self, secret: str) -> str:
        """Return the reference to one of the server's secrets."""
        raise NotImplementedError

    @property
    def credentials(self) -> dict[str, str]:
        """Where verification finds the users' kind of login; references, never values."""
        return login.references(self.access, self.reference)

    @property
    def credentials_inside(self) -> dict[str, str]:
        """Where verification finds it within its own task."""
        return login.references_inside(self.access)


@dataclass(frozen=True, kw_only=True)
class ServerContainer:
    """A server's container as a revision has it, in the words of no platform; nothing is said of one that is not known.

    `variables` are those in plain, `secrets` the names of the others.
    """

    image: str = ""
    version: str | None = None
    identity: str = ""
    command: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()

    def release(self, revision: str) -> Release:
        """Return what a revision with this container runs."""
        return Release(
            revision=revision,
            mlflow_version=self.version or UNKNOWN_VERSION,
            image_digest=self.image.partition("@")[2] or None,
            access=self.variables.get(ACCESS_VARIABLE),
            keyed=self.secrets >= keys.VARIABLES.keys() if self.image else None,
        )

    def described(self, revision: str) -> Described:
        """Return what a revision with this container runs, whom it lets in, and below which path."""
        return Described(
            release=self.release(revision),
            identity=self.identity,
            callers=allowed_callers(self.command),
            path_prefix=self.variables.get(PREFIX_VARIABLE, ""),
        )


@dataclass(kw_only=True)
class StoreReader:
    """What a one-shot task needs to verify within the network (target.OneShot): a login, and the way to the store."""

    credentials: Mapping[str, str]
    locator: Any
    fetch: str

    def arguments(self, key: str) -> tuple[str, ...]:
        """Return bucket and key."""
        return self.locator.bucket, self.locator.store.prefix(key)


class HostedTarget:
    """What of `target.Target` is the same on every such target."""

    loopback = False

    def unverified_between_updates(self, settings: Settings) -> str:
        """Return nothing: most platforms can verify on a schedule, whatever the settings."""
        del settings
        return ""

    def backups(self, locator: Any, file: Path) -> TaskBackups:
        """Return what takes backups of a backend by a task, and restores them."""
        from mlflow_backend.backup.task_backups import TaskBackups  # noqa: PLC0415 - for one command, as in targets

        return TaskBackups(self.platform(locator), file)

    def maintenance(self, locator: Any) -> TaskMaintenance:
        """Return what maintains a backend by a task."""
        from mlflow_backend.backup.task_maintenance import TaskMaintenance  # noqa: PLC0415 - as above

        return TaskMaintenance(self.platform(locator))

    def platform(self, locator: Any) -> TaskPlatform:
        """Return the live side of a backend."""
        raise NotImplementedError


class HostedPlatform:
    """What of `target.Platform` is the same on every such target; the rest is the target's own class."""

    asks_at_once = False
    locator: Any
    store: Store

    @property
    def report(self) -> Path | None:
        """Where a copy of the last verification report is kept on this machine."""
        return report_path(self.locator.stack)

    def heads(self) -> Heads | None:
        """Return the schema heads, asked by a one-shot task; None if no database answers."""
        try:
            return self.tool(None).status().heads
        except PlatformFailed as failure:
            if failure.code == Code.UNREACHABLE.error:
                return None
            raise

    def row_counts(self, tables: Sequence[str]) -> dict[str, int]:
        """Return nothing: rows are shown in a preview, in which the database is not asked."""
        del tables
        return {}

    def mark_store(self, content: bytes) -> None:
        """Write the object by which the store is known again, and which the server's own role may only read."""
        self.store.replace(f"{ARTIFACTS}/{OBJECT}", content)

    def stage(self, revision: str) -> Candidate | None:
        """Return nothing: most platforms put a server before users as soon as it is healthy, or stage before that."""
        del revision
        return None

    def subject(self, revision: str) -> Subject:
        """Return the subject of a verification of a revision; it may have another path than the newest one."""
        found = self.describe(revision)
        url = str(urlunsplit((*urlsplit(self.locator.url)[:2], found.path_prefix, "", "")))
        return replace(self.subject_at(url, revision, found.release.mlflow_version), report_path=str(self.report))

    def subject_at(self, url: str, revision: str, version: str) -> Subject:
        """Return the subject of a verification of a revision at an address, with the users' kind of credentials."""
        locator = self.locator
        return Subject(
            url=url,
            expected_version=version,
            expected_revision=revision,
            locator=locator,
            stack=locator.stack,
            credentials=locator.credentials,
            access=locator.access != "none",
        )

    def inside(self) -> OneShot | None:
        """Return the task that verifies, if the URL can be called from the backend's network only."""
        return self.verifier() if self.locator.inside else None

    def describe(self, revision: str) -> Described:
        """Return what a revision runs."""
        raise NotImplementedError

    def tool(self, version: str | None) -> DatabaseTool:
        """Return the database tool of an MLflow version."""
        raise NotImplementedError

    def verifier(self) -> OneShot:
        """Return the task that verifies within the backend's network."""
        raise NotImplementedError


def report_path(stack: str) -> Path:
    """Return where a copy of the last report of a stack is kept: below the folder that Pulumi or a command works in."""
    return Path.cwd() / ".backend" / stack / "verification.json"
