"""Backups of a local stack's real services, without a server: what a restore changes and leaves, and its undoing.

And what is left of a backup that is killed at any step, runs out of disk, or meets another one or a pruning.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.backup import catalogue, create, prune, restore, sealing, undo
from mlflow_backend.backup.destination import FolderDestination, Written
from mlflow_backend.backup.retention import PrunePlan
from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.local import environment, render, revisions, schema
from mlflow_backend.local.backups import source_of
from mlflow_backend.local.platform import LocalPlatform
from mlflow_backend.local.scratch import scratch_stack
from mlflow_backend.local.state import StateDir, write
from mlflow_backend.pace import wait_until
from mlflow_backend.settings import Settings
from mlflow_backend.settings.models import DEFAULT_MLFLOW_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mlflow_backend.backup.manifest import Manifest
    from mlflow_backend.backup.source import DeployedSource

pytestmark = [pytest.mark.slow, pytest.mark.full]

DEADLINE_S = 120.0
KEY = sealing.new_key()
PUBLIC = sealing.public_key(KEY)
ORIGINAL, OTHER = {"database": "d1", "store": "s1"}, {"database": "d2", "store": "s2"}
ARTIFACTS = {"1/r/artifacts/näme & ü.txt": b"x" * 3_000_000, "1/r/artifacts/same.txt": b"same", "1/r/empty": b""}


class Unserved(DeployedBackend):
    """A deployed backend whose server is not the point: what is asked of it is counted."""

    def __init__(self, platform: LocalPlatform) -> None:
        super().__init__(platform)
        self.served: list[str] = []

    def serve(self, revision: str) -> None:
        """Count it."""
        self.served.append(revision)


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One stack with its services."""

    state: StateDir
    source: DeployedSource

    def experiments(self) -> set[str]:
        """Return the names of its experiments."""
        with schema.reading(self.state) as cursor:
            cursor.execute("SELECT name FROM experiments")
            return {row[0] for row in cursor.fetchall()}

    def add(self, name: str) -> None:
        """Make an experiment."""
        with schema.reading(self.state) as cursor:
            cursor.execute("INSERT INTO experiments (name, lifecycle_stage) VALUES (%s, 'active')", (name,))

    def artifacts(self) -> dict[str, bytes]:
        """Return its artifacts by path."""
        files = self.source.artifacts
        return {file.path: b"".join(files.reading(file.path)) for file in files.listing()}


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Stack]]:
    """The stack that is backed up, with data, and an empty one elsewhere."""
    folder = tmp_path_factory.mktemp("stacks")
    with ExitStack() as around:
        made = []
        for name, identity in (("original", ORIGINAL), ("other", OTHER)):
            base = StateDir(folder / name)
            base.path.mkdir()
            state = around.enter_context(scratch_stack(base, Settings(target="local"), {})).state
            LocalPlatform(state).tool(DEFAULT_MLFLOW_VERSION).upgrade()
            program = render.Program(name=revisions.program_name(1), argv=("/bin/true",))
            lock = environment.locate(DEFAULT_MLFLOW_VERSION).lock
            record = revisions.Record(
                number=1, mlflow_version=DEFAULT_MLFLOW_VERSION, environment_lock=lock, port=1, program=program,
                created_at=datetime.now(UTC),
            )  # fmt: skip
            revisions.save(state, record)
            write(state.active, record.address)
            source = replace(source_of(state, settings=b"config: {}\n"), deployed=Unserved(LocalPlatform(state)))
            source.deployed.ledger.add_restore("none", before={}, identity=identity)
            source.deployed.ledger.add_undone_restore("none", identity=identity)
            made.append(Stack(state=state, source=source))
        original, other = made
        original.add("research")
        for path, content in ARTIFACTS.items():
            original.source.artifacts.create(path, iter([content[:1000], content[1000:]]), size_bytes=len(content))
        yield original, other


@pytest.fixture(scope="module")
def kept(stacks: tuple[Stack, Stack], tmp_path_factory: pytest.TempPathFactory) -> tuple[FolderDestination, Manifest]:
    """A backup of the first stack."""
    destination = FolderDestination(tmp_path_factory.mktemp("destination") / "local")
    return destination, create.create(stacks[0].source, destination, recovery_key=PUBLIC, say=lambda _line: None)


class Waiting(FolderDestination):
    """A destination that lets a backup write its first object only when it is told to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked, self.may = threading.Event(), threading.Event()

    def write(self, key: str | Callable[[str], str], fill: Callable[[Callable[[bytes], object]], object]) -> Written:
        """Wait before the object is written."""
        self.asked.set()
        assert self.may.wait(timeout=DEADLINE_S)
        return super().write(key, fill)


# A backup in a process of its own, which is killed as it puts its object number N in its place (0: never).
BACKUP = """
import os, signal, sys
from pathlib import Path
from mlflow_backend.backup import create
from mlflow_backend.backup.destination import FolderDestination, Written
from mlflow_backend.backup.retention import PrunePlan
from mlflow_backend.commands.command import platform_errors
from mlflow_backend.local.backups import source_of
from mlflow_backend.local.state import StateDir

class Destination(FolderDestination):
    left = int(sys.argv[4])
    def _settle(self, folder):
        Destination.left -= 1
        if Destination.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        super()._settle(folder)

try:
    made = create.create(
        source_of(StateDir(Path(sys.argv[1])), settings=b"config: {}"), Destination(Path(sys.argv[2])),
        recovery_key=sys.argv[3], say=lambda line: None,
    )
except platform_errors() as failure:
    sys.exit(f"{failure.code}: {failure}")
"""


# A restore in a process of its own, which is killed as it begins what it says, or before it writes the identity.
RESTORE = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from mlflow_backend.backup import catalogue, restore
from mlflow_backend.backup.destination import FolderDestination
from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.local.backups import source_of
from mlflow_backend.local.platform import LocalPlatform
from mlflow_backend.local.state import StateDir

class Unserved(DeployedBackend):
    def serve(self, revision):
        pass

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

state, destination = StateDir(Path(sys.argv[1])), FolderDestination(Path(sys.argv[2]))
source = replace(source_of(state), deployed=Unserved(LocalPlatform(state)))
found = catalogue.read(destination).get(sys.argv[3]).manifest
if sys.argv[5] == "identity":
    restore.write_identity = kill
planned = restore.plan(source, destination, found, has_key=True)
restore.restore(
    source, destination, planned, key=sys.argv[4], say=lambda line: kill() if line.startswith(sys.argv[5]) else None
)
"""
STEPS = ("opening", "writing", "ending", "restoring", "identity")


def backup_in_a_process(
    stack: Stack, folder: Path, *, killed_at: int = 0, around: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Take a backup into a folder, by a process that may be killed; `around` is what starts it."""
    command = (sys.executable, "-c", BACKUP, str(stack.state.path), str(folder), PUBLIC, str(killed_at))
    return subprocess.run((*around, *command), capture_output=True, text=True, timeout=DEADLINE_S, check=False)


def restored(stack: Stack, destination: FolderDestination, found: Manifest, key: str = KEY) -> None:
    """Plan and carry out a restore."""
    planned = restore.plan(stack.source, destination, found, has_key=True)
    restore.restore(stack.source, destination, planned, key=key, say=lambda _line: None)


def test_a_restore_elsewhere_that_fails_leaves_all_as_it_was(
    stacks: tuple[Stack, Stack], kept: tuple[FolderDestination, Manifest]
) -> None:
    """By a damaged dump or another key: databases, secrets and identity are the stack's own, and it serves again."""
    (_, other), (destination, found) = stacks, kept
    before = dict(other.source.vault.read())
    dump = destination.path(f"{catalogue.folder(found.id)}/tracking.dump.age")
    content = dump.read_bytes()
    wrong = replace(found, databases={"tracking": replace(found.databases["tracking"], rows={"runs": 7})})
    with pytest.raises(PlatformFailed):
        restored(other, destination, found, key=sealing.new_key())
    with pytest.raises(PlatformFailed, match="7"):
        restored(other, destination, wrong)
    with pytest.raises(PlatformFailed, match="experiments"):
        restored(other, destination, replace(found, samples={**found.samples, "experiments": "1 rows, 0"}))
    dump.write_bytes(content[:-1])
    with pytest.raises(PlatformFailed, match="cut"):
        restored(other, destination, found)
    dump.write_bytes(content)
    assert other.experiments() == set()
    assert dict(other.source.vault.read()) == before
    assert other.source.deployed.ledger.state().identity == OTHER
    assert other.source.deployed.served == ["1", "1"], "two of them ended the server"
    assert not other.source.own.path("_backend/staging").exists()


def test_a_restore_elsewhere_is_the_backend_until_it_is_undone(
    stacks: tuple[Stack, Stack], kept: tuple[FolderDestination, Manifest]
) -> None:
    """Databases, artifacts, secrets and identity; undone, the stack has its own again, and keeps the artifacts."""
    (original, other), (destination, found) = stacks, kept
    before = dict(other.source.vault.read())
    with pytest.raises(Refused, match="recovery"):
        restore.plan(other.source, destination, found, has_key=False)
    restored(other, destination, found)
    assert other.experiments() == original.experiments() == {"research"}
    assert other.artifacts() == original.artifacts() == ARTIFACTS
    assert dict(other.source.vault.read()) == dict(original.source.vault.read()) != before
    assert other.source.deployed.ledger.state().identity == ORIGINAL
    assert undo.undo(other.source, say=lambda _line: None) == found.id
    assert other.experiments() == set()
    assert dict(other.source.vault.read()) == before
    assert other.source.deployed.ledger.state().identity == OTHER
    assert other.artifacts() == ARTIFACTS
    with pytest.raises(Refused):
        undo.undo(other.source, say=lambda _line: None)


def test_an_artifact_whose_writing_breaks_is_not_there(stacks: tuple[Stack, Stack]) -> None:
    """A restore that is repeated takes what is there for whole, or for another one that it does not overwrite."""
    _, other = stacks

    def broken() -> Iterator[bytes]:
        yield b"x" * 2_000_000
        raise ConnectionAbortedError("the backup cannot be read any more")

    with pytest.raises(PlatformFailed):
        other.source.artifacts.create("1/broken", broken(), size_bytes=3_000_000)
    with pytest.raises(PlatformFailed):
        other.source.artifacts.create("1/short", iter([b"x"]), size_bytes=2)
    # The S3 server removes what it has when it notices that the client is gone.
    assert wait_until(lambda: not {"1/broken", "1/short"} & other.artifacts().keys(), timeout_s=DEADLINE_S, poll_s=0.1)


def test_a_restore_onto_the_same_stack_overwrites_no_artifact_and_needs_no_person(
    stacks: tuple[Stack, Stack], kept: tuple[FolderDestination, Manifest]
) -> None:
    """What was made since is gone from the database and kept beside it; a changed artifact stays, and is named."""
    (original, _), (destination, found) = stacks, kept
    original.add("later")
    changed = original.state.store / "mlflow/artifacts/1/r/artifacts/same.txt"
    changed.write_bytes(b"changed")
    planned = restore.plan(original.source, destination, found, has_key=False)
    assert (planned.elsewhere, planned.missing, planned.different) == (False, (), ("1/r/artifacts/same.txt",))
    restored(original, destination, found, key=original.source.vault.private_key())
    assert original.experiments() == {"research"}
    assert changed.read_bytes() == b"changed"
    assert len(schema.kept(original.state)) == 1


def test_a_backup_that_is_killed_at_any_step_is_none_and_the_next_one_is_whole(
    stacks: tuple[Stack, Stack], tmp_path: Path
) -> None:
    """Its dump, each content, index, settings, keys, manifest: until the manifest is there, there is no backup."""
    (original, _), folder, step = stacks, tmp_path / "killed", 1
    while (done := backup_in_a_process(original, folder, killed_at=step)).returncode:
        assert done.returncode == -signal.SIGKILL, done.stderr
        found = catalogue.read(FolderDestination(folder))
        # The manifest is linked into its place before the folder is settled: the last step kills a whole backup.
        assert [catalogue.damages(FolderDestination(folder), each, read_all=True) for each in whole(found)] in (
            [],
            [()],
        )
        step += 1
    assert step > len(("dump", "index", "settings", "keys", "manifest"))
    found = catalogue.read(FolderDestination(folder))
    assert len(found.unfinished) == step - 2
    assert catalogue.damages(FolderDestination(folder), whole(found)[-1], read_all=True) == ()
    assert not list(folder.glob(".unfinished-*"))
    assert not original.source.own.path("_backend/staging").exists()


def whole(found: catalogue.Catalogue) -> list[Manifest]:
    """Return the manifests of the backups that have one."""
    return [each.manifest for each in found.backups if each.manifest is not None]


def test_a_backup_that_fills_the_disk_says_so_and_is_none(stacks: tuple[Stack, Stack], tmp_path: Path) -> None:
    """A real file system of one megabyte: what was written is no backup, and no dump in plain is left."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = ("unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=1m none "$0" && exec "$@"', str(disk))
    done = backup_in_a_process(stacks[0], disk / "backups", around=mounted)
    assert done.returncode == 1, done.stderr
    assert "store-folder-refused" in done.stderr
    assert "No space left" in done.stderr
    assert not stacks[0].source.own.path("_backend/staging").exists()


def test_while_a_backup_is_taken_another_one_and_a_restore_are_refused(
    stacks: tuple[Stack, Stack], kept: tuple[FolderDestination, Manifest], tmp_path: Path
) -> None:
    """The first one goes on and is whole: nobody clears its dumps away."""
    (original, _), (destination, found), slow = stacks, kept, Waiting(tmp_path / "slow")
    with ThreadPoolExecutor(max_workers=1) as pool:
        first = pool.submit(create.create, original.source, slow, recovery_key=PUBLIC, say=lambda _line: None)
        assert slow.asked.wait(timeout=DEADLINE_S)
        try:
            with pytest.raises(Refused, match=r"scripts\.backup"):
                create.create(original.source, destination, recovery_key=PUBLIC, say=lambda _line: None)
            with pytest.raises(Refused, match=r"scripts\.backup"):
                restored(original, destination, found)
        finally:
            slow.may.set()
        taken = first.result(timeout=DEADLINE_S)
    assert catalogue.damages(slow, taken, read_all=True) == ()


def test_a_backup_that_is_pruned_while_its_restore_begins_changes_nothing(
    stacks: tuple[Stack, Stack], tmp_path: Path
) -> None:
    """Between the plan and the lock a pruning may come: the restore finds the backup damaged, and ends no server."""
    (original, _), destination = stacks, FolderDestination(tmp_path / "pruned")
    found = create.create(original.source, destination, recovery_key=PUBLIC, say=lambda _line: None)
    planned = restore.plan(original.source, destination, found, has_key=True)
    gone = PrunePlan(deleted={found.id: "older than 30 days"}, kept={})
    served, experiments = list(original.source.deployed.served), original.experiments()
    prune.prune(
        destination, prune.Pruning(plan=gone, contents=tuple(catalogue.contents_of(destination)), content_bytes=0)
    )
    with pytest.raises(PlatformFailed) as failed:
        restore.restore(original.source, destination, planned, key=KEY, say=lambda _line: None)
    assert failed.value.code == "backup-damaged"
    assert original.experiments() == experiments
    assert original.source.deployed.served == served


def test_a_restore_elsewhere_that_is_killed_at_any_step_is_repeated(
    stacks: tuple[Stack, Stack], tmp_path: Path
) -> None:
    """Also after the switch: what it brought itself is not taken for data of the stack's own, nor put aside as such."""
    (original, other), destination = stacks, FolderDestination(tmp_path / "killed")
    with schema.reading(original.state) as cursor:
        cursor.execute("INSERT INTO registered_models (name) VALUES ('churn')")
    found = create.create(original.source, destination, recovery_key=PUBLIC, say=lambda _line: None)
    before, own, kept = dict(other.source.vault.read()), other.experiments(), len(schema.kept(other.state))
    for step in STEPS:
        command = (RESTORE, str(other.state.path), str(destination.folder), found.id, KEY, step)
        done = subprocess.run(
            (sys.executable, "-c", *command), capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert other.experiments() == (original.experiments() if step == "identity" else own)
    restored(other, destination, found)
    assert len(schema.kept(other.state)) == kept + 1
    assert dict(other.source.vault.read()) == dict(original.source.vault.read())
    assert other.source.deployed.ledger.state().identity == ORIGINAL
    undo.undo(other.source, say=lambda _line: None)
    assert (other.experiments(), dict(other.source.vault.read())) == (own, before)
    assert other.source.deployed.ledger.state().identity == OTHER


def test_what_the_database_names_is_known_in_each_table_of_the_newest_schema(stacks: tuple[Stack, Stack]) -> None:
    """Runs, logged models, versions of models and traces; a tag of a trace that is no location is not taken for one."""
    (original, _), root = stacks, "mlflow-artifacts:/1"
    with schema.reading(original.state) as cursor:
        cursor.execute("INSERT INTO experiments (experiment_id, name) VALUES (77, 'named')")
        cursor.execute(
            "INSERT INTO runs (run_uuid, artifact_uri, experiment_id) VALUES ('r1', %s, 77)", (f"{root}/r1",)
        )
        cursor.execute("INSERT INTO registered_models (name) VALUES ('named')")
        cursor.execute(
            "INSERT INTO model_versions (name, version, storage_location) VALUES ('named', 3, %s)", (f"{root}/m",)
        )
        cursor.execute(
            "INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, status) VALUES ('t1', 77, 1, 'OK')"
        )
        cursor.execute(
            "INSERT INTO trace_tags (request_id, key, value) VALUES ('t1', %s, %s), ('t1', 'a', 'b')",
            ("mlflow.artifactLocation", f"{root}/t1"),
        )
    found = schema.named_artifacts(original.state)
    assert {(each.owner, each.location, each.expected) for each in found} == {
        ("run r1", f"{root}/r1", False),
        ("model version named/3", f"{root}/m", True),
        ("trace t1", f"{root}/t1", False),
    }


def test_a_stack_with_data_of_its_own_takes_no_other_backup(
    stacks: tuple[Stack, Stack], kept: tuple[FolderDestination, Manifest]
) -> None:
    """Whoever types the wrong stack's name loses nothing."""
    (_, other), (destination, found) = stacks, kept
    with schema.reading(other.state) as cursor:
        cursor.execute("INSERT INTO registered_models (name) VALUES ('mine')")
    with pytest.raises(Refused, match="registered_models"):
        restore.plan(other.source, destination, found, has_key=True)
