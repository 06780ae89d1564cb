"""Restores and their undoing that are killed at any step: the next command ends them, and no update comes in between.

A small backend stands in for the platform; journal, ledger, steps and plans are real. What opens a backup is not the
point here (test_backups of `local`).
"""

from __future__ import annotations

import contextlib
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.backup import restore, undo
from mlflow_backend.backup.destination import FolderDestination
from mlflow_backend.backup.restore import RestorePlan
from mlflow_backend.backup.source import DeployedSource
from mlflow_backend.contract import Refused, Release
from mlflow_backend.releases.journal import refuse_unfinished, restore_journal
from tests.components.backup.manifests import manifest
from tests.components.releases.world import Killed, World

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

OWN, TAKEN = {"database": "d2", "store": "s2"}, dict(manifest().identity)
VERSION = "3.17.2"


def silent(_line: str) -> None:
    """Say nothing."""


class Backend(World):
    """A backend of two secrets whose database is named by what is in it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {"1": VERSION}, live=VERSION)
        self.folder = folder
        self.content, self.marked = OWN["database"], OWN["store"]
        self.replaced: dict[str, str] = {}
        self.secrets = {"first": "own", "second": "own"}
        self.aside: dict[str, dict[str, str]] = {}
        self.dead = False
        self.ledger.add_restore("none", before={}, identity=OWN)
        self.ledger.add_undone_restore("none", identity=OWN)
        self.calls.clear()

    @contextlib.contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """As any world does, but a process that was killed does nothing any more, whatever wants to clean up."""
        if getattr(self, "dead", False):
            raise Killed(what)
        try:
            with super().doing(what):
                yield
        except Killed:
            self.dead = True
            raise

    @property
    def state(self) -> tuple[str, str, Mapping[str, str], set[str]]:
        """What is in force: database, store, the ledger's identity, secrets."""
        return self.content, self.marked, self.ledger.state().identity or {}, set(self.secrets.values())

    def swap(self, content: str) -> None:
        """Replace the database, and keep the present one."""
        self.replaced[f"mlflow__before_{len(self.calls)}"] = self.content
        self.content = content

    def undo_restore(self) -> None:
        """Swap the newest kept database in."""
        with self.doing("undo"):
            self.swap(self.replaced.pop(list(self.replaced)[-1]))

    @contextlib.contextmanager
    def migration_lock(self) -> Iterator[None]:
        """Hold nothing."""
        yield

    def mark_store(self, content: bytes) -> None:
        """Take the identity."""
        with self.doing("mark"):
            self.marked = next(name for name in (OWN["store"], TAKEN["store"]) if name.encode() in content)

    # The vault, which writes one secret after another.

    def take_over(self, secrets: Mapping[str, str], *, label: str) -> None:
        """Write the backup's."""
        self.aside.setdefault(label, dict(self.secrets))
        self._put(secrets)

    def put_back(self, label: str) -> None:
        """Write what was kept."""
        if label in self.aside:
            self._put(self.aside[label])
            del self.aside[label]

    def _put(self, secrets: Mapping[str, str]) -> None:
        for name, text in secrets.items():
            with self.doing("secret"):
                self.secrets[name] = text

    def source(self) -> DeployedSource:
        """Return it as restores see it."""
        backend: Any = self
        tool: Any = ToolOf(self)
        release = Release(revision="1", mlflow_version=VERSION, environment_lock="lock")
        return DeployedSource(
            target="local",
            store=self.store,
            ledger=self.ledger,
            served=lambda: release,
            tool=lambda _version: tool,
            artifacts=backend,
            vault=backend,
            staging="staging",
            own=FolderDestination(self.folder / "own"),
            stack="stack",
            deployed=backend,
            used=dict,
            renewed=lambda revision: revision,
        )

    def restored(self) -> None:
        """Restore the backup."""
        elsewhere = (self.ledger.state().identity or {}) != TAKEN
        planned = RestorePlan(manifest=manifest(), elsewhere=elsewhere, missing=(), different=())
        restore.restore(self.source(), FolderDestination(self.folder), planned, key="", say=silent)

    def undone(self) -> None:
        """Undo the restore."""
        undo.undo(self.source(), say=silent)


class ToolOf:
    """The database tool of a backend."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def kept(self) -> list[str]:
        """Return the databases that were kept."""
        return list(self._backend.replaced)

    def restore(self, _address: str) -> None:
        """Switch to the backup's database."""
        with self._backend.doing("restore"):
            self._backend.swap(TAKEN["database"])


BEFORE = (OWN["database"], OWN["store"], OWN, {"own"})
AFTER = (TAKEN["database"], TAKEN["store"], TAKEN, {"taken"})


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup that is whole and open, of the schema that is served."""
    monkeypatch.setattr(restore.catalogue, "damages", lambda *_, **__: ())
    monkeypatch.setattr(restore, "required_heads", lambda *_, **__: manifest().heads)
    monkeypatch.setattr(restore, "refuse_unknown_schema", lambda *_: None)
    monkeypatch.setattr(restore, "stage", lambda *_: "address")
    monkeypatch.setattr(restore, "opened_secrets", lambda *_: {"first": "taken", "second": "taken"})


def killed(folder: Path, what: str, *, prepared: bool = False) -> Iterator[Backend]:
    """Yield a backend for each step at which `restored` or `undone` may be killed, just before and just after it."""
    for step in count(1):
        for after in (False, True):
            backend = Backend(folder / f"{step}{after}")
            if prepared:
                backend.restored()
                backend.calls.clear()
            backend.kill_at = (step, after)
            try:
                getattr(backend, what)()
            except Killed:
                backend.kill_at, backend.dead = None, False
                yield backend
            else:
                assert step > 5, "steps that can be killed"
                return


def refused(backend: Backend) -> str:
    """Return the code by which an update is refused, empty if it is not."""
    try:
        refuse_unfinished(backend.store)
    except Refused as refusal:
        return refusal.code
    return ""


def test_a_restore_that_was_killed_is_repeated_and_no_update_deploys_its_mixture(tmp_path: Path) -> None:
    """Secrets are written one after another: an update between two of them would deploy both backends' keys."""
    mixed = 0
    for backend in killed(tmp_path, "restored"):
        if backend.state not in (BEFORE, AFTER):
            mixed += 1
            assert refused(backend) == "restore-interrupted"
        if (backend.state, refused(backend)) != (AFTER, ""):
            backend.restored()
        assert (backend.state, refused(backend)) == (AFTER, "")
        backend.undone()
        assert (backend.state, refused(backend)) == (BEFORE, "")
    assert mixed > 5


def test_a_restore_that_was_killed_can_be_undone(tmp_path: Path) -> None:
    """Whoever has lost the backup meanwhile gets back what was in force."""
    for backend in killed(tmp_path, "restored"):
        begun = refused(backend) == "restore-interrupted"
        if begun or backend.state == AFTER:
            backend.undone()
        assert (backend.state, refused(backend)) == (BEFORE, "")
        with pytest.raises(Refused, match="no restore"):
            undo.plan(backend.source())


def test_an_undoing_that_was_killed_is_repeated(tmp_path: Path) -> None:
    """The databases are not swapped twice, which would bring the backup's back under the stack's own keys."""
    for backend in killed(tmp_path, "undone", prepared=True):
        if backend.state != BEFORE or refused(backend):
            backend.undone()
        assert (backend.state, refused(backend)) == (BEFORE, "")


def test_an_undoing_of_a_killed_restore_that_was_killed_is_repeated(tmp_path: Path) -> None:
    """Twice interrupted, and both times in the worst place."""
    for number, first in enumerate(killed(tmp_path, "restored")):
        if refused(first) != "restore-interrupted":
            continue
        for after in (False, True):
            first.calls.clear()
            first.kill_at = (4 + number % 3, after)
            with contextlib.suppress(Killed):
                first.undone()
            first.kill_at, first.dead = None, False
            if refused(first):
                first.undone()
            assert (first.state, refused(first)) == (BEFORE, "")
            break


def test_what_a_killed_restore_still_switches_is_undone(tmp_path: Path) -> None:
    """The database tool outlives a command that is killed, until the servers are ended."""
    backend = Backend(tmp_path)
    backend.kill_at = (5, False)
    with pytest.raises(Killed):
        backend.restored()
    assert backend.calls[4] == "restore"
    backend.kill_at, backend.dead = None, False
    stop = backend.stop_servers

    def late() -> None:
        backend.swap(TAKEN["database"])
        stop()

    backend.stop_servers = late  # type: ignore[method-assign]
    backend.undone()
    assert (backend.state, refused(backend)) == (BEFORE, "")


def test_undoing_the_second_restore_of_a_backup_keeps_its_keys(tmp_path: Path) -> None:
    """The second replaced no secrets: what was kept aside is of the first, and is another backend's now."""
    backend = Backend(tmp_path)
    backend.restored()
    backend.restored()
    backend.undone()
    assert backend.state == AFTER


def test_another_restore_does_not_begin_between(tmp_path: Path) -> None:
    """Its kept secrets would be those of the first one, which nobody finished."""
    backend = Backend(tmp_path)
    entry = {"backup": "another", "before": OWN, "elsewhere": True, "kept": [], "ledger": 3, "undoing": False}
    restore_journal(backend.store).write(entry)
    with pytest.raises(Refused, match="another") as failed:
        restore.plan(backend.source(), FolderDestination(tmp_path), manifest(), has_key=True)
    assert failed.value.code == "restore-of-another"


def test_a_pinned_stack_takes_no_backup_of_another_backend(tmp_path: Path) -> None:
    """The pin names a revision that was made with the keys which a restore replaces."""
    backend = Backend(tmp_path)
    backend.ledger.add_rollback(to="1", rolled_back_from=None, reason="slow", detail={})
    with pytest.raises(Refused, match="revision 1") as failed:
        restore.plan(backend.source(), FolderDestination(tmp_path), manifest(), has_key=True)
    assert failed.value.code == "restore-pinned"
