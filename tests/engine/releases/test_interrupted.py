"""3.4.0 -> 3.17.2 under a full disk, a dying Postgres, a bad release, a killed Pulumi; restores killed and refused."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from mlflow_backend.local import one_shot, schema
from mlflow_backend.local.supervisor import Supervisor
from mlflow_backend.releases.stores import DUMPS, LEDGER
from mlflow_backend.schema_tables import schema_table
from tests.engine.calls import eventually
from tests.engine.releases.support import client, kill_at, releases, run, run_offered, serving, start
from tests.engine.stack import LocalStack

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.xdist_group("releases-interrupted")]

OLD, NEW = "3.4.0", "3.17.2"
RUNS = 200
BAD = {"no-such-flag": True}
NEVER = {"name": "never", "path": "/health", "status": 204}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalStack, object]]:
    """A stack of the old version that a client has written to, and what it reads; the settings ask for the new one."""
    stack = LocalStack(tmp_path_factory.mktemp("interrupted") / "stack")
    try:
        stack.write_settings(server={"mlflowVersion": OLD})
        stack.must_up("--skip-preview")
        client(stack, "write", "before", str(RUNS))
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
        # pg_dump waits for this lock, so that it is surely there when Postgres dies. No pending revision touches the
        # table: the tool's status counts the rows of those that one does.
        cursor.execute("BEGIN")
        cursor.execute("LOCK TABLE input_tags IN ACCESS EXCLUSIVE MODE")
        killer = threading.Thread(target=kill_under_dump, args=(stack, database.pid))
        killer.start()
        outcome = stack.up("--skip-preview")
        killer.join()
    assert not outcome.ok
    assert "No dump could be taken" in outcome.text
    is_untouched(stack, content)


def kill_under_dump(stack: LocalStack, postgres: int) -> None:
    """Kill Postgres as soon as pg_dump runs."""
    eventually(lambda: bool(tools(stack, "pg_dump")), within_s=240, what="pg_dump runs")
    os.kill(postgres, signal.SIGKILL)


def test_a_new_release_that_fails_a_check_after_its_migration_is_made_good_by_a_restore(
    written: tuple[LocalStack, object],
) -> None:
    """With migrate.onFailure: restore the dump is put back and the old release serves again, with all content.

    Its server was healthy and met no user: what users write to the new schema would be lost by a restore.
    """
    stack, content = written
    stack.write_settings(verify={"extraChecks": [NEVER]}, migrate={"onFailure": "restore"})
    outcome = stack.up("--skip-preview")
    assert not outcome.ok
    assert re.search(r"FAIL +extra-never", outcome.text), outcome.text
    assert "Traceback" not in outcome.text
    assert "Revision 2 does not pass its verification" in outcome.text
    assert "taken before was restored, and revision 1 serves again" in outcome.text
    is_untouched(stack, content)


def test_without_a_restore_nothing_serves_and_the_named_command_goes_back(
    written: tuple[LocalStack, object],
) -> None:
    """With migrate.onFailure: stop nothing half-migrated serves; the command in the message ends at the old release."""
    stack, content = written
    stack.write_settings(server={"mlflowVersion": NEW, "extraFlags": BAD}, verify={}, migrate={"onFailure": "stop"})
    outcome = stack.up("--skip-preview")
    assert not outcome.ok
    assert "no-such-flag" in outcome.text
    assert (serving(stack), stack.server_numbers()) == (None, [])
    back = run_offered(stack, outcome.text, "--yes", "--reason", "a bad flag")
    assert back.code == 0, back.text
    is_untouched(stack, content)
    assert run(stack, "rollback", "--unpin").code == 0
    stack.write_settings(server={"mlflowVersion": NEW, "extraFlags": {}})


def test_pulumi_killed_in_the_middle_of_the_migration(written: tuple[LocalStack, object]) -> None:
    """Kill -9 of Pulumi and of the tool under the upgrade: the next update ends at the head, with all content."""
    stack, content = written
    update = stack.start_up()
    eventually(lambda: bool(tools(stack, "upgrade")), within_s=240, what="the upgrade runs")
    for process in tools(stack, "upgrade"):
        process.kill()
    stack.kill(update)
    stack.pulumi("cancel", "--yes", "--stack", stack.name)
    stack.must_up("--refresh", "--skip-preview")
    assert stack.output("release")["mlflowVersion"] == NEW
    assert schema.heads(stack.state) == schema.Heads(tracking=schema_table().heads[NEW].tracking)
    assert client(stack, "read") == content
    assert releases(stack).migration.load() is None


def tools(stack: LocalStack, word: str) -> list[psutil.Process]:
    """Return the database tool's processes of which a word of the command line is this one."""
    found = []
    for process in stack.processes(one_shot.TOOL):
        # One that ends meanwhile must not end the thread that waits for another.
        with contextlib.suppress(psutil.Error):
            found += [process] if word in {Path(each).name for each in process.cmdline()} else []
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
    assert "no restorable dump" in refused.text
    assert serving(stack) == before
    assert run(stack, "rollback", "--to-version", OLD, "--restore", "--dry-run").code == 0


def test_a_damaged_old_record_is_reported_and_costs_its_line_only(written: tuple[LocalStack, object]) -> None:
    """The release whose record is gone counts as not verified; everything else goes on."""
    stack, _ = written
    first = stack.state.backend_store / LEDGER / "00000001.json"
    content = first.read_bytes()
    first.write_bytes(content[:50])
    listed = run(stack, "releases")
    first.write_bytes(content)
    assert listed.code == 0
    assert "record 1 is not a whole JSON object" in listed.text


STEPS = ("stop", "restore", "activate", "wait", "verify", "record")


@pytest.mark.parametrize("step", STEPS)
def test_a_restoring_rollback_killed_at_a_step_goes_on_from_there(
    written: tuple[LocalStack, object], step: str
) -> None:
    """One rollback over a schema change, killed at each of its steps in turn: each next run goes on with it."""
    stack, _ = written
    begun = ("--to", "1", "--restore", "--reason", "a test") if step == STEPS[0] else ()
    kill_at(stack, start(stack, "rollback", *begun, "--yes"), step, signal.SIGKILL)
    entry = releases(stack).rollback.load()
    # A step of a few milliseconds may be over before the signal comes.
    assert entry is None or STEPS.index(entry["steps"][0]) >= STEPS.index(step)
    if entry is not None and step == "restore":
        assert "Finish it first" in stack.up("--skip-preview").text


def test_after_all_kills_the_old_release_serves_with_all_content(written: tuple[LocalStack, object]) -> None:
    """Run to its end the rollback has restored once, serves, and is pinned; what clients wrote before is there."""
    stack, content = written
    if releases(stack).rollback.load() is not None:
        finished = run_offered(stack, stack.up("--skip-preview").text, "--yes")
        assert finished.code == 0, finished.text
    assert serving(stack) == "1"
    assert len(stack.server_numbers()) == 1
    assert schema.heads(stack.state) == schema.Heads(tracking=schema_table().heads[OLD].tracking)
    pin = releases(stack).ledger.state().pin
    assert pin is not None
    assert (pin.revision, pin.reason) == ("1", "a test")
    assert client(stack, "read") == content
