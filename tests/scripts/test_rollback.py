"""The command: what it prints for people and for programs, its exit codes, and that a refusal touches nothing."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.commands import releases, rollback, stacks
from mlflow_backend.contract import ExitCode
from tests.components.releases.world import World

if TYPE_CHECKING:
    from pathlib import Path

SAME = {"1": "3.4.0", "2": "3.4.0", "3": "3.4.0"}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A backend with three verified releases of one schema, which the commands take for the stack."""
    made = World(tmp_path, SAME, live="3.4.0")
    monkeypatch.setattr(stacks.Stack, "locator", lambda _: None)
    monkeypatch.setattr(stacks, "deployed", lambda _: made)
    return made


@pytest.fixture
def migrated(world: World) -> World:
    """The same after a migration to 3.17.2, before which a dump was taken and after which 12 runs were written."""
    world.ledger.add_dump(world.dump("3.17.2"))
    world.versions = {**SAME, "4": "3.17.2"}
    world.database = {"head": "head-3.17.2", "rows": 12}
    world.running = "4"
    world.ledger.add_release(world.verified("4", "3.17.2"))
    world.calls.clear()
    return world


def call(tmp_path: Path, *arguments: str) -> ExitCode:
    """Run the command on the stack."""
    return rollback.main(["--stack", "local", *arguments], root=tmp_path)


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the one JSON document that was printed."""
    return dict(json.loads(capsys.readouterr().out))


def test_the_plan_is_printed_and_nothing_is_done_without_a_yes(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody can be asked it is refused, and so it is for any answer but yes."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert call(tmp_path) is ExitCode.REFUSED
    shown = capsys.readouterr()
    assert "to         Revision 2 (MLflow 3.4.0)" in shown.out
    assert "Add --yes." in shown.err
    for answer, code, serving in (("n", ExitCode.REFUSED, "3"), ("y", ExitCode.DONE, "2")):
        monkeypatch.setattr(sys, "stdin", Terminal(f"{answer}\n"))
        assert call(tmp_path) is code
        assert world.running == serving


class Terminal(io.StringIO):
    """Somebody who can be asked."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_a_result_as_json_is_one_document(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The plan is the document of a dry run; of a rollback it is the result, with the verification's table."""
    assert call(tmp_path, "--dry-run", "--json") is ExitCode.DONE
    plan = document(capsys)
    assert (plan["from"], plan["to"], plan["schema"]["verdict"], plan["losses"]) == ("3", "2", "SAFE", {})
    assert world.deeds == []
    assert call(tmp_path, "--yes", "--json", "--reason", "slow") is ExitCode.DONE
    result = document(capsys)
    assert (result["exitCode"], result["serving"]) == (0, "2")
    assert result["result"] == "Revision 2 (MLflow 3.4.0) serves and is pinned; verified."
    assert result["verification"]
    assert call(tmp_path, "--unpin", "--json") is ExitCode.DONE
    assert document(capsys)["exitCode"] == 0
    assert world.ledger.state().pin is None


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--to", "9"], "Revision 9 does not exist"),
        (["--to", "3"], "serves already"),
        (["--to", "1", "--to-version", "3.4.0"], "not both"),
        (["--to-version", "2.9.2"], "No release of MLflow 2.9.2 is known"),
        (["--unpin"], "Nothing is pinned"),
    ],
)
def test_a_refusal_is_exit_code_3_and_a_document_too(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    """A program that asked for JSON reads why; a person finds it on standard error; nothing is touched."""
    before = dict(world.database)
    assert call(tmp_path, *arguments, "--yes", "--json") is ExitCode.REFUSED
    shown = capsys.readouterr()
    assert why in shown.err
    assert json.loads(shown.out)["exitCode"] == ExitCode.REFUSED
    assert why in json.loads(shown.out)["result"]
    assert (world.deeds, world.database, world.running) == ([], before, "3")


def test_another_rollback_and_a_deployment_are_not_disturbed(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lock of rollbacks, and an update in progress, unless that is stopped by --force."""
    world.another = True
    assert call(tmp_path, "--yes") is ExitCode.REFUSED
    assert "Another rollback" in capsys.readouterr().err
    world.another, world.deploying = False, "an update migrates the database"
    assert call(tmp_path, "--yes") is ExitCode.REFUSED
    assert "A deployment is in progress: an update migrates the database." in capsys.readouterr().err
    assert world.deeds == []
    assert call(tmp_path, "--yes", "--force") is ExitCode.DONE
    assert (world.deploying, world.running) == (None, "2")


def test_without_verification_it_is_pinned_and_said_so(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--no-verify leaves the check out, and neither the ledger nor the sentence claims one."""
    releases_before = len(world.ledger.read().releases)
    assert call(tmp_path, "--to", "1", "--yes", "--no-verify") is ExitCode.DONE
    assert "not verified" in capsys.readouterr().out
    assert "verify" not in world.deeds
    pin = world.ledger.state().pin
    assert pin is not None
    assert pin.revision == "1"
    assert len(world.ledger.read().releases) == releases_before


def test_a_restore_is_asked_for_and_its_losses_are_reported(
    migrated: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Across a schema: refused, planned with the losses counted, then done."""
    assert call(tmp_path, "--yes") is ExitCode.REFUSED
    assert "Add --restore" in capsys.readouterr().err
    assert call(tmp_path, "--to-version", "3.4.0", "--restore", "--dry-run", "--json") is ExitCode.DONE
    assert document(capsys)["losses"] == {"runs": 12}
    assert call(tmp_path, "--to-version", "3.4.0", "--restore", "--yes") is ExitCode.DONE
    assert "Lost: 12 runs." in capsys.readouterr().out
    assert (migrated.running, migrated.database["rows"]) == ("3", 0)


def test_what_a_restore_kept_is_dropped_by_command_only(
    migrated: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is what a restore lost: asked for first, and refused while a rollback that may need it is unfinished."""
    assert call(tmp_path, "--restore", "--to", "3", "--yes") is ExitCode.DONE
    assert call(tmp_path, "--drop-kept") is ExitCode.REFUSED
    migrated.rollback.write({"to": "1", "begun": "today"})
    assert call(tmp_path, "--drop-kept", "--yes") is ExitCode.REFUSED
    migrated.rollback.close()
    assert [database["rows"] for database in migrated.kept] == [12]
    for told in ("Dropped: head-3.17.2.", "No restore has left a database."):
        capsys.readouterr()
        assert call(tmp_path, "--drop-kept", "--yes", "--json") is ExitCode.DONE
        assert document(capsys) == {"exitCode": 0, "result": told}
    assert migrated.kept == []


def test_a_target_that_fails_its_verification_is_exit_code_1(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What served serves again, and the command says so."""
    world.red = {"2"}
    assert call(tmp_path, "--yes", "--json") is ExitCode.VERIFICATION_FAILED
    result = document(capsys)
    assert (result["exitCode"], result["serving"]) == (1, "3")
    assert "revision 3 serves" in result["result"]


def test_an_unfinished_rollback_is_finished_first(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dry run names it, another target is refused, and the command without one goes on with it."""
    world.failing["start"] = [KeyboardInterrupt()]  # type: ignore[list-item]
    assert call(tmp_path, "--yes") is ExitCode.PLATFORM_FAILED
    assert "run it again" in capsys.readouterr().err
    assert call(tmp_path, "--dry-run") is ExitCode.REFUSED
    assert call(tmp_path, "--to", "1", "--yes") is ExitCode.REFUSED
    assert "was interrupted" in capsys.readouterr().err
    assert call(tmp_path) is ExitCode.DONE
    assert "finishing the rollback to revision 2" in capsys.readouterr().err
    assert world.running == "2"


def test_the_list_as_json_has_all_that_the_table_has(
    migrated: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which one serves, what a rollback to each needs, and what holds the stack."""
    migrated.ledger.add_rollback(to="3", rolled_back_from="4", reason="slow", detail={"id": "x"})
    assert releases.main(["--stack", "local", "--json"], root=tmp_path) is ExitCode.DONE
    told = document(capsys)
    assert [(each["revision"], each["rollback"]["verdict"], each["pinned"]) for each in told["releases"]] == [
        ("4", "SAFE", False),
        ("3", "RESTORE", True),
        ("2", "RESTORE", False),
        ("1", "RESTORE", False),
    ]
    assert told["ledger"][0].startswith("pinned to 3 since")
