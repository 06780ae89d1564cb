"""The database tool's words, as the project reads them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.migrate.tool import Code, DatabaseTool, ToolResult
from mlflow_backend.schema import Direction, Heads

if TYPE_CHECKING:
    from collections.abc import Sequence

ENTRY: dict[str, Any] = {
    "database": "mlflow",
    "direction": "behind",
    "reason": "2 revisions are pending.",
    "head": "a",
    "expected_head": "c",
    "pending": [
        {"revision": "b", "title": "add", "class": "safe", "reasons": [], "tables": []},
        {"revision": "c", "title": "drop", "class": "breaking", "reasons": ["DROP"], "tables": ["runs"]},
    ],
}
MANIFEST = {
    "address": "s3://_backend/dumps/20261121t120000-abc",
    "made_at": "2026-11-21T12:00:00+00:00",
    "mlflow_version": "3.4.0",
    "databases": {
        "tracking": {"object": "tracking.dump", "sha256": "0", "bytes": 5, "head": "a", "row_counts": {"runs": 3}}
    },
    "exit_code": 0,
}


class Answers:
    """A runner that gives one answer and keeps what it was asked."""

    def __init__(self, output: object, *, code: int = 0, log: str = "") -> None:
        """Take what the tool prints."""
        self.ended = ToolResult(code=code, output=output if isinstance(output, str) else json.dumps(output), log=log)
        self.asked: list[str] = []

    def run(self, arguments: Sequence[str], *, deadline_s: float) -> ToolResult:
        """Answer."""
        assert deadline_s > 0
        self.asked = list(arguments)
        return self.ended


def status(**entries: dict[str, Any]) -> Answers:
    """Return a runner that reports these databases."""
    return Answers({"mlflow_version": "3.4.0", "databases": entries, "exit_code": 0})


def test_a_status_has_direction_heads_and_what_is_breaking() -> None:
    """One breaking revision makes the migration breaking."""
    found = DatabaseTool(status(tracking=ENTRY)).status()
    assert (found.direction, found.heads, found.expected) == (
        Direction.BEHIND,
        Heads(tracking="a"),
        Heads(tracking="c"),
    )
    assert [(p.revision, p.breaking) for p in found.pending] == [("b", False), ("c", True)]
    assert found.breaking


@pytest.mark.parametrize(
    ("other", "expected"),
    [("equal", Direction.BEHIND), ("ahead", Direction.AHEAD), ("foreign", Direction.FOREIGN)],
)
def test_the_worst_database_decides(other: str, expected: Direction) -> None:
    """A tracking database that could be migrated is not, beside an auth database that is newer."""
    auth = {**ENTRY, "direction": other, "pending": []}
    assert DatabaseTool(status(tracking=ENTRY, auth=auth)).status().direction is expected


def test_a_newer_database_is_a_status_not_a_failure() -> None:
    """The tool ends with 10 and a report: the report is what is needed."""
    answers = status(tracking={**ENTRY, "direction": "ahead", "pending": []})
    answers.ended = ToolResult(
        code=10, output=answers.ended.output.replace('"exit_code": 0', '"exit_code": 10'), log=""
    )
    assert DatabaseTool(answers).status().direction is Direction.AHEAD


def test_a_manifest_becomes_a_dump() -> None:
    """Its last part names it, and its objects carry what shows that they are whole."""
    answers = Answers(MANIFEST)
    made = DatabaseTool(answers).dump("s3://_backend/dumps")
    assert answers.asked == ["dump", "--to", "s3://_backend/dumps"]
    assert (made.id, made.heads, made.size_bytes) == ("20261121t120000-abc", Heads(tracking="a"), 5)


@pytest.mark.parametrize(("code", "expected"), [(12, Code.UNREACHABLE), (15, Code.WORTH_RETRYING), (16, Code.LOCKED)])
def test_a_failure_keeps_the_tools_code_and_words(code: int, expected: Code) -> None:
    """Which failure it was decides whether it is tried again."""
    report = {"exit_code": code, "error": "The database is away.", "fix": "Start it."}
    with pytest.raises(PlatformFailed, match=r"The database is away\. Start it\.") as caught:
        DatabaseTool(Answers(report, code=code)).status()
    assert caught.value.code == expected.error


@pytest.mark.parametrize("output", ["", "Traceback", "[]", '{"exit_code": 77}', '{"databases": {}}'])
def test_a_run_without_a_report_is_a_failure_with_its_last_words(output: str) -> None:
    """A tool that was killed or could not be imported must never pass for done."""
    with pytest.raises(PlatformFailed, match="ModuleNotFoundError: no mlflow"):
        DatabaseTool(Answers(output, code=1, log="Traceback\nModuleNotFoundError: no mlflow")).upgrade()


def test_only_what_a_restore_left_is_dropped() -> None:
    """The names are the tool's own; if there is none, nothing is asked for."""
    runner = Answers({"databases": {"tracking": {"kept_databases": ["mlflow__before_x"]}}, "exit_code": 0})
    assert DatabaseTool(runner).drop_kept() == ("mlflow__before_x",)
    assert runner.asked == ["drop", "mlflow__before_x"]
    none = Answers({"databases": {"tracking": {"kept_databases": []}}, "exit_code": 0})
    assert DatabaseTool(none).drop_kept() == ()
    assert none.asked == ["status"]
