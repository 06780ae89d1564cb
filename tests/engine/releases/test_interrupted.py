"""Migrations that meet a full disk, a dying Postgres, a killed Pulumi, and dumps that are not whole."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from typing import TYPE_CHECKING

import psutil
import pytest

from components.local import one_shot, schema
from components.local.supervisor import Supervisor
from components.migrate.known import schema_table
from components.releases.stores import DUMPS, LEDGER
from tests.engine.calls import eventually
from tests.engine.releases.support import client, releases, run, serving
from tests.engine.stack import LocalStack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.xdist_group("releases-interrupted")]

OLD, NEW = "2.9.2", "3.4.0"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalStack, object]]:
    """A stack of 2.9.2 that a client has written to, and what it reads; the settings ask for 3.4.0 from now on."""
    stack = LocalStack(tmp_path_factory.mktemp("interrupted") / "stack")
    try:
        stack.write_settings(server={"mlflowVersion": OLD})
        stack.must_up()
        client(stack, "write", "before", "20")
        stack.write_settings(server={"mlflowVersion": NEW})
        yield stack, client(stack, "read")
    finally:
        stack.close()


def is_untouched(stack: LocalStack, content: object) -> None:
    """Hold the stack against what it was: the old server on the old schema, with all that was written."""
    assert serving(stack) == "1"
    assert schema.heads(stack.state) == schema.Heads(tracking=schema_table().heads[OLD].tracking)
    assert client(stack, "read") == content
    assert releases(stack).migration.load() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="a full disk is made by mounting a small one, which needs root")
def test_a_full_disk_while_dumping_changes_nothing(written: tuple[LocalStack, object]) -> None:
    """Without a dump nothing is migrated: the update fails with the cause, and the server that it stopped is back."""
    stack, content = written
    with small_disk(stack.state.backend_store / DUMPS):
        outcome = stack.up("--skip-preview")
    assert not outcome.ok
    assert "No dump could be taken" in outcome.text
    assert "revision 1 serves again" in outcome.text
    is_untouched(stack, content)
    assert releases(stack).ledger.read().dumps == ()


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Put a disk of 16 KB in a folder's place; skip where mounting is forbidden."""
    folder.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)], check=False)
    if made.returncode != 0:
        pytest.skip("mounting is forbidden here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_postgres_that_dies_in_the_middle_of_a_dump_changes_nothing(written: tuple[LocalStack, object]) -> None:
    """Kill -9 of Postgres under pg_dump: the half dump is none, and the old server serves as soon as the database."""
    stack, content = written
    database = Supervisor(stack.state).status("database")
    assert database is not None
    with schema.reading(stack.state) as cursor:
        # pg_dump waits for this lock, so that it is surely there when Postgres dies. Nothing else reads this table.
        cursor.execute("BEGIN")
        cursor.execute("LOCK TABLE registered_model_aliases IN ACCESS EXCLUSIVE MODE")
        killer = threading.Thread(target=kill_under_dump, args=(stack, database.pid))
        killer.start()
        outcome = stack.up("--skip-preview")
        killer.join()
    assert not outcome.ok
    assert "No dump could be taken" in outcome.text
    is_untouched(stack, content)


def kill_under_dump(stack: LocalStack, postgres: int) -> None:
    """Kill Postgres as soon as pg_dump runs."""
    eventually(
        lambda: any(process.name() == "pg_dump" for process in stack.processes(one_shot.TOOL)),
        within_s=120,
        what="pg_dump runs",
    )
    os.kill(postgres, signal.SIGKILL)


def test_pulumi_killed_in_the_middle_of_the_migration(written: tuple[LocalStack, object]) -> None:
    """Kill -9 of Pulumi and of the tool under the upgrade: the next update ends at the head, with all content."""
    stack, content = written
    update = stack.start_up()
    eventually(lambda: bool(upgrading(stack)), within_s=180, what="the upgrade runs")
    for process in upgrading(stack):
        process.kill()
    stack.kill(update)
    stack.pulumi("cancel", "--yes", "--stack", stack.name)
    stack.must_up("--refresh")
    assert stack.output("release")["mlflowVersion"] == NEW
    assert schema.heads(stack.state) == schema.Heads(tracking=schema_table().heads[NEW].tracking)
    assert client(stack, "read") == content
    assert releases(stack).migration.load() is None


def upgrading(stack: LocalStack) -> list[psutil.Process]:
    """Return the processes of a running upgrade."""
    found = []
    for process in stack.processes(one_shot.TOOL):
        with contextlib.suppress(psutil.Error):
            found += [process] if "upgrade" in process.cmdline() else []
    return found


@pytest.mark.parametrize("damage", ["truncated", "changed", "missing"])
def test_a_dump_that_is_not_whole_is_never_restored(written: tuple[LocalStack, object], damage: str) -> None:
    """Size and checksum are compared before anything is stopped: refused, and the newer server serves on."""
    stack, _ = written
    before = serving(stack)
    for dump in releases(stack).ledger.read().dumps:
        path = stack.state.backend_store / DUMPS / dump.id / "tracking.dump"
        whole = path.with_suffix(".whole")
        path.rename(whole)
        content = whole.read_bytes()
        if damage != "missing":
            path.write_bytes(content[:-1] if damage == "truncated" else content[:-1] + bytes([content[-1] ^ 1]))
    refused = run(stack, "rollback", "--to-version", OLD, "--restore", "--yes")
    for whole in (stack.state.backend_store / DUMPS).rglob("*.whole"):
        whole.replace(whole.with_suffix(".dump"))
    assert refused.code == 3, refused.text
    assert "no intact dump" in refused.text
    assert serving(stack) == before
    assert run(stack, "rollback", "--to-version", OLD, "--restore", "--dry-run").code == 0


def test_a_damaged_old_record_is_told_and_costs_its_line_only(written: tuple[LocalStack, object]) -> None:
    """The release whose record is gone counts as not verified; everything else goes on."""
    stack, _ = written
    first = stack.state.backend_store / LEDGER / "00000001.json"
    content = first.read_bytes()
    first.write_bytes(content[:50])
    listed = run(stack, "releases")
    first.write_bytes(content)
    assert listed.code == 0
    assert "record 1 is not a whole JSON object" in listed.text


@pytest.mark.parametrize("step", ["stop", "restore", "activate"])
def test_a_restoring_rollback_killed_at_a_step_is_finished_by_the_next(
    written: tuple[LocalStack, object], step: str
) -> None:
    """Killed while it stops, restores or switches over a schema change: run again, it ends where it was going."""
    from tests.engine.releases.test_rollback import kill_at, start  # noqa: PLC0415 - one way of killing for both files

    stack, content = written
    if serving(stack) is None or releases(stack).ledger.standing().pin is not None:
        assert run(stack, "rollback", "--unpin").code == 0
        stack.must_up("--refresh")
    process = start(stack, "rollback", "--to", "1", "--restore", "--yes", "--reason", step)
    kill_at(stack, process, step, signal.SIGKILL)
    run(stack, "rollback", "--yes")
    assert releases(stack).rollback.load() is None
    assert serving(stack) == "1"
    pin = releases(stack).ledger.standing().pin
    assert pin is not None
    assert pin.revision == "1"
    assert client(stack, "read") == content
