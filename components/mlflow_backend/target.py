"""The two protocols that a target fulfils: `Target` before anything is deployed, `Platform` for a backend that is.

A target is a folder with a `target.py` that has `TARGET`, and a line in the registry (`targets`). It owns no rule of
releases, migrations or verification: those are written once, over a `Platform` (`deployed`, `backend`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from mlflow_backend.contract import History, Release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from mlflow_backend.backend import Backend
    from mlflow_backend.backup.destination import Destination
    from mlflow_backend.backup.source import DeployedSource
    from mlflow_backend.findings import Finding
    from mlflow_backend.locator import Locator
    from mlflow_backend.maintenance import Maintained
    from mlflow_backend.migrate.tool import DatabaseTool
    from mlflow_backend.releases.stores import Store
    from mlflow_backend.report.policies import RenderedParts
    from mlflow_backend.report.quantities import Billing
    from mlflow_backend.schema import Heads
    from mlflow_backend.server import AllowedCallers
    from mlflow_backend.settings import Settings
    from mlflow_backend.verify.subjects import Subject


class Target(Protocol):
    """Where a backend can run, as `__main__` and the commands see it; its name is the setting `target`."""

    name: str
    loopback: bool
    """Whether nobody but this machine reaches its backends."""
    platforms: frozenset[str]
    """The sections of the settings, such as `aws`, that are for its platform."""

    @property
    def backups(self) -> Callable[[Any, Path], Backups]:
        """From a locator and the stack's file: how backups are taken."""

    @property
    def maintenance(self) -> Callable[[Any], Maintenance] | None:
        """From a locator: what maintains a backend; None if scripts.maintain does nothing here."""

    @property
    def locator(self) -> type[Locator]:
        """How its backends are found."""

    def unverified_between_updates(self, settings: Settings) -> str:
        """Return why nothing can verify the backend on a schedule; empty if something can."""

    def store_at(self, address: str) -> Store | None:
        """Return the store that an address names; None for one of another form than this target's."""

    def locate(self, settings: Callable[[], Settings], *, project: str, stack: str, folder: Path) -> Locator:
        """Return the locator of a deployed stack, without Pulumi. Raises Refused if it is not deployed.

        `folder` is where a target that runs on this machine keeps its stacks. The settings are read only if the backend
        is found by them.
        """

    def doctor(self, settings: Settings, *, project: str, stack: str, folder: Path) -> Sequence[Finding]:
        """Look at everything that a first update needs."""

    def rendered(self, settings: Settings, *, project: str, stack: str, image: str | None) -> RenderedParts:
        """Return what the settings are rendered to before any resource is there; `image` is pinned, None if unknown.

        Raises Refused and ValueError for settings that cannot be rendered.
        """

    def billing(self) -> Mapping[str, Billing]:
        """Return, by the type of a resource, what it is billed for."""

    def platform(self, locator: Any) -> Platform:
        """Return the live side of the backend that a locator of this target names; nothing is asked yet."""

    def build(self, settings: Settings, *, project: str, stack: str, folder: Path) -> Backend:
        """Register the resources of a stack. Raises Refused for settings that cannot be fulfilled."""


@dataclass(frozen=True, kw_only=True)
class Described:
    """A revision as the platform itself keeps it.

    `identity` is the digest of what it runs; `callers` says whom its server lets in; `path_prefix` is the path below
    which it is called.
    """

    release: Release
    identity: str
    callers: AllowedCallers
    path_prefix: str = ""


@dataclass(frozen=True, kw_only=True)
class PartStatus:
    """One part of a deployed backend, for people. `runs` is None for a line that says nothing about running."""

    name: str
    state: str
    runs: bool | None = None


@dataclass(frozen=True, kw_only=True)
class LogPart:
    """A part whose log can be read; one of a one-shot task is shown only on request."""

    name: str
    one_shot: bool = False


class Candidate(Protocol):
    """A release that runs beside the active one at an address of its own, and that no user meets yet."""

    @property
    def revision(self) -> str:
        """Its revision."""

    @property
    def subject(self) -> Subject:
        """What is verified: the candidate's own address, and what is expected there."""

    def promote(self) -> None:
        """Make it the active one."""

    def discard(self) -> None:
        """End it; the active one serves on."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a one-shot task ended. `exit_code` is None if its container never ran; `reasons` are the platform's words."""

    exit_code: int | None
    lines: tuple[str, ...]
    reasons: tuple[str, ...]


class Task(Protocol):
    """A task in the backend's network that runs one command and ends."""

    def run(self, command: Sequence[str], *, deadline_s: float, complete: Callable[[Sequence[str]], bool]) -> Finished:
        """Run `command` once, at most `deadline_s` seconds from when it runs. Raises PlatformFailed.

        `complete` says whether the log has all that is wanted of it.
        """


class OneShot(Task, Protocol):
    """A task that verifies."""

    credentials: Mapping[str, str]
    """Where the verification's login is found within the task; references, never values."""
    fetch: str
    """Python statements by which the task reads an object of the backend's store, named by `arguments`, into `data`."""

    def arguments(self, key: str) -> tuple[str, ...]:
        """Return what `fetch` takes from the command line for an object, from `sys.argv[1]` on."""


TaskAsDeployed: TypeAlias = "tuple[Task, Sequence[str], str]"
"""A one-shot task of the last update, the command that it runs, and the platform's name of it."""


class Backups(Protocol):
    """How the backups of one deployed backend are taken and restored; nothing is asked before a call.

    Each method raises PlatformFailed.
    """

    store: Store
    """The backend's own objects, which have the lock of backups."""
    as_deployed: bool
    """Whether the last update said where to, because a task in the backend's own network takes them."""

    def take(
        self, destination: Destination, *, recovery_key: str, dry_run: bool, say: Callable[[str], None]
    ) -> Mapping[str, Any]:
        """Take a backup, and return its report: `backup`, its manifest, or with `dry_run` what would be copied.

        A task's has the exit code of the task too, and `error` if it failed. `recovery_key` is the public one.
        """

    def schedules(self) -> Mapping[str, str]:
        """Return in a few words how the work of each schedule went, by its name."""

    def source(self) -> DeployedSource:
        """Return the backend as this command restores to it."""


class Maintenance(Protocol):
    """What maintains one deployed backend; nothing is asked before a call.

    Each method raises Refused and PlatformFailed.
    """

    def maintain(self, *, keep_deleted_days: int, dry_run: bool) -> Maintained:
        """Remove for good what was deleted so many days ago, vacuum and measure; with `dry_run` only say what."""

    def remove(self, name: str, *, dry_run: bool) -> int:
        """Remove what was listed by a name of its own, and return how many files it was. Raises UsageError too."""


class Platform(History, Protocol):
    """The live side of one deployed backend. Every method may be repeated after an interruption."""

    target: str
    """The target's name."""
    store: Store
    """The backend's own objects: ledger, dumps, journals, reports, locks."""
    dumps: str
    """The address below which the database tool writes and finds dumps."""
    artifacts: str
    """The address below which servers keep artifacts, as the settings name it."""
    asks_at_once: bool
    """Whether the database answers `heads` and `row_counts` at once; if not, a preview does not ask it."""
    start_deadline_s: float
    """How long a revision of any release may take until it serves."""

    @property
    def report(self) -> Path | None:
        """Where a copy of the last verification report is kept on this machine, if anywhere."""

    # The database.

    def heads(self) -> Heads | None:
        """Return the schema heads of the live database; None if it does not answer."""

    def row_counts(self, tables: Sequence[str]) -> Mapping[str, int]:
        """Return the number of rows of those of the tables that exist; none if that takes a one-shot task."""

    def tool(self, version: str | None) -> DatabaseTool:
        """Return the database tool in the image or environment of an MLflow version, of any if None is given.

        Raises Refused if no revision of that version is left.
        """

    def mark_store(self, content: bytes) -> None:
        """Write the artifact store's identity, which the server may only read."""

    # The servers.

    def serving(self) -> str | None:
        """Return the revision that answers users now."""

    def busy(self) -> str | None:
        """Return, as a clause, what is being deployed right now; None if nothing is."""

    def stop_deployment(self) -> None:
        """End what is being deployed."""

    def stop_servers(self) -> None:
        """End every server, with its grace period."""

    def start_servers(self, revision: str) -> None:
        """Serve a revision with as many servers as before `stop_servers`, whatever is being deployed.

        It need not serve yet when this returns: `wait` says whether it does. Raises Refused if it is gone.
        """

    def stage(self, revision: str) -> Candidate | None:
        """Start a revision that was served before beside the active one, at an address of its own, and wait for it.

        None if this platform cannot serve one apart, if nothing serves, and if it serves itself. Repeated after an
        interruption it goes on with what is there. If it raises, nothing of the candidate is left.
        """

    def describe(self, revision: str) -> Described:
        """Return what a revision runs, from the revision itself. Raises Refused if it is gone."""

    def rotate_keys(self, *, lost: bool) -> str:
        """Draw new encryption keys, which the next update puts in force, and return what was done. Raises Refused.

        `lost` gives up what was encrypted with keys that nobody has any more.
        """

    # Verification, and what people ask.

    def subject(self, revision: str) -> Subject:
        """Return the subject of a verification of a revision: the URL that users call, references to a login."""

    def inside(self) -> OneShot | None:
        """Return what verifies within the backend's network; None if its URL can be called from here."""

    def count(self, verdict: str) -> None:
        """Bring the line of a verdict that is not pass to the alarm, if this platform has one. Changes no verdict."""

    def secrets(self) -> Mapping[str, Callable[[str], tuple[str, str]]]:
        """Return by their scheme what reads references to this platform's secrets (verify.credentials)."""

    def parts(self) -> Iterable[PartStatus]:
        """Return every part of the backend; none if it is not deployed."""

    def log_parts(self) -> Sequence[LogPart]:
        """Return the parts whose logs can be read."""

    def tails(self, part: str, *, lines: int) -> Iterable[str]:
        """Return the last lines of each process of a part as a text, without passwords."""

    def audit(self) -> Iterable[str]:
        """Return the lines in which servers noted changes of users, permissions and the registry."""


class TaskPlatform(Platform, Protocol):
    """A platform on which one-shot tasks do what is done on a schedule: backups, maintenance."""

    def task_of(self, part: str) -> TaskAsDeployed | None:
        """Return the task of a part (schedules.BACKUP, MAINTENANCE); None if the backend has none."""

    def schedules(self) -> Mapping[str, str]:
        """Return in a few words how the work of each schedule went, by its name."""

    def source(self, settings: bytes) -> DeployedSource:
        """Return the backend as a restore sees it; `settings` is the stack's file. Nothing is asked yet."""
