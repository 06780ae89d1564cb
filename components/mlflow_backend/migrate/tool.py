"""The database tool as the project calls it: `python -m mlflow_backend_server.db`, one shot, somewhere.

Where it runs (a process here, a task in a cloud) is a Runner's matter; this module knows its words only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.logged import is_whole, split, without_passwords
from mlflow_backend.releases.records import Dump, DumpedDatabase
from mlflow_backend.schema import Direction, Heads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.target import Task

MODULE = "mlflow_backend_server.db"
COMMAND = ("python", "-m", MODULE)
"""What a container runs for it."""
STATUS_DEADLINE_S = 120.0
# 2.9.2 to 3.18.0 took 6.6 s with 201 runs (docs/facts.md, C); a large database takes as long as it takes.
UPGRADE_DEADLINE_S = 6 * 3600.0
DUMP_DEADLINE_S = 3600.0
# A VACUUM reads each table once; what is not done by then is done the next time.
MAINTAIN_DEADLINE_S = 6 * 3600.0
# For another writer: one that was killed in the middle is gone as soon as its connection is.
_WAIT_S = 60


class Code(IntEnum):
    """The tool's exit codes, and UNREADABLE for a run that ended without a report."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    AHEAD = 10
    UNSUPPORTED = 11
    UNREACHABLE = 12
    NOT_AT_HEAD = 13
    REVISION_UNKNOWN = 14
    WORTH_RETRYING = 15
    LOCKED = 16
    UNREADABLE = 255

    @property
    def error(self) -> str:
        """The code of the error that this exit code becomes."""
        return f"database-tool-{self.name.lower().replace('_', '-')}"


RETRYABLE = frozenset({Code.WORTH_RETRYING.error, Code.LOCKED.error})
_STANDINGS = frozenset({Code.DONE, Code.AHEAD, Code.UNSUPPORTED, Code.REVISION_UNKNOWN, Code.NOT_AT_HEAD})
_TAIL_LINES = 12
_LOST = {
    "webhooks": "Webhook {} is disabled: its secret was encrypted with a key that nobody kept. Give it one again",
    "secrets": "Gateway secret {} was encrypted with a key that nobody kept. Give it its value again",
}


def tool_failed(code: Code, finding: str, fix: str) -> PlatformFailed:
    """Return the error of a run of the tool that did not do what it was asked for, in the tool's own words."""
    return PlatformFailed(finding, code=code.error, fix=fix)


@dataclass(frozen=True, kw_only=True)
class ToolResult:
    """How one run ended: its exit code, its standard output and the last of its standard error."""

    code: int
    output: str
    log: str


class Runner(Protocol):
    """Runs the tool of one MLflow version once in the backend's network, with the server's database in its reach."""

    def run(self, arguments: Sequence[str], *, deadline_s: float) -> ToolResult:
        """Run `python -m mlflow_backend_server.db ARGUMENTS`. Raises PlatformFailed if it cannot be run in time."""


@dataclass(frozen=True)
class TaskRunner:
    """Runs the tool as a one-shot task of the backend's platform (Runner)."""

    task: Task

    def run(self, arguments: Sequence[str], *, deadline_s: float) -> ToolResult:
        """Run the tool with `arguments`. Raises PlatformFailed if it cannot be run in time."""
        try:
            finished = self.task.run([*COMMAND, *arguments], deadline_s=deadline_s, complete=is_whole)
        except PlatformFailed as error:
            raise tool_failed(Code.UNREADABLE, f"The database tool: {error}", "Fix that, and repeat.") from None
        if finished.exit_code is None:
            words = "; ".join(finished.reasons) or "the platform gave no reason"
            raise tool_failed(Code.UNREADABLE, f"The database tool never ran: {words}.", "Fix that, and repeat.")
        output, log = split(finished.lines)
        words = "\n".join((*finished.reasons, without_passwords(log)))
        return ToolResult(code=finished.exit_code, output=output, log=words)


@dataclass(frozen=True, kw_only=True)
class Pending:
    """One revision that an upgrade would apply: why it is breaking, and which of the existing tables it touches."""

    revision: str
    title: str
    breaking: bool
    chain: str = "tracking"
    reasons: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Status:
    """Where the databases stand for the MLflow version that the tool runs beside."""

    mlflow_version: str
    direction: Direction
    reason: str
    heads: Heads
    expected: Heads
    pending: tuple[Pending, ...] = ()

    @property
    def breaking(self) -> bool:
        """Whether servers of the release before cannot go on beside the upgrade."""
        return any(revision.breaking for revision in self.pending)


class DatabaseTool:
    """The tool's commands as typed calls."""

    def __init__(self, runner: Runner) -> None:
        """Name where it runs; nothing is run yet."""
        self._runner = runner

    def status(self) -> Status:
        """Return where the databases stand, whatever that is. Raises PlatformFailed if it cannot be found out."""
        return parse_status(self._report(["status"], deadline_s=STATUS_DEADLINE_S, accepted=_STANDINGS))

    def upgrade(self) -> tuple[str, ...]:
        """Bring the databases to the head; return the revisions applied. Raises PlatformFailed."""
        report = self._report(["upgrade", "--wait", str(_WAIT_S)], deadline_s=UPGRADE_DEADLINE_S)
        return tuple(revision for entry in report["databases"].values() for revision in entry["applied"])

    def dump(self, destination: str) -> Dump:
        """Dump the databases below `destination`. Raises PlatformFailed; what was written so far is then no dump."""
        return parse_manifest(self._report(["dump", "--to", destination], deadline_s=DUMP_DEADLINE_S))

    def restore(self, source: str) -> dict[str, str]:
        """Replace the databases by a dump; return, by chain, the name under which each was kept.

        Raises PlatformFailed; the databases are then as they were.
        """
        report = self._report(["restore", "--from", source, "--wait", str(_WAIT_S)], deadline_s=DUMP_DEADLINE_S)
        return {name: str(entry["kept"]) for name, entry in report["databases"].items()}

    def losses(self, source: str) -> dict[str, int]:
        """Count what restoring a dump would lose, by name, only what is not zero. Raises PlatformFailed."""
        report = self._report(["losses", "--from", source], deadline_s=DUMP_DEADLINE_S)
        return {str(name): int(count) for name, count in report["losses"].items()}

    def roots(self) -> dict[str, dict[str, int]]:
        """Count by table in which bucket or at which host rows keep their artifacts. Raises PlatformFailed."""
        return dict(self._report(["roots"], deadline_s=DUMP_DEADLINE_S)["roots"])

    def reencrypt(self) -> tuple[str, ...]:
        """Put what is stored encrypted under the keys in force; return what no key can read, a sentence each.

        Raises PlatformFailed; nothing is changed then.
        """
        report = self._report(["reencrypt", "--wait", str(_WAIT_S)], deadline_s=STATUS_DEADLINE_S + _WAIT_S)
        return tuple(sentence.format(name) for table, sentence in _LOST.items() for name in report[table]["lost"])

    def maintain(self, *, days: float, at_once: str, dry_run: bool) -> dict[str, Any]:
        """Remove for good what was deleted more than `days` ago, vacuum, and return the tool's report.

        Deleted experiments of names that begin with `at_once` are removed whenever they were. Raises PlatformFailed;
        what was removed until then is gone.
        """
        chosen = ["--days", str(days), "--at-once", at_once, *(["--dry-run"] if dry_run else [])]
        return self._report(["maintain", *chosen, "--wait", str(_WAIT_S)], deadline_s=MAINTAIN_DEADLINE_S)

    def undo(self) -> None:
        """Put back the databases that the last restore replaced. Raises PlatformFailed; they are then as they were."""
        self._report(["undo", "--wait", str(_WAIT_S)], deadline_s=STATUS_DEADLINE_S + _WAIT_S)

    def kept(self) -> tuple[str, ...]:
        """Return every database that a restore replaced, or left when it was killed. Raises PlatformFailed."""
        status = self._report(["status"], deadline_s=STATUS_DEADLINE_S, accepted=_STANDINGS)
        return tuple(str(name) for entry in status["databases"].values() for name in entry["kept_databases"])

    def drop_kept(self) -> tuple[str, ...]:
        """Drop every database that a restore replaced and kept; return their names. Raises PlatformFailed."""
        names = self.kept()
        for name in names:
            self._report(["drop", name], deadline_s=STATUS_DEADLINE_S)
        return names

    def _report(
        self, arguments: list[str], *, deadline_s: float, accepted: frozenset[Code] = frozenset({Code.DONE})
    ) -> dict[str, Any]:
        ended = self._runner.run(arguments, deadline_s=deadline_s)
        try:
            report: dict[str, Any] = json.loads(ended.output)
            code = Code(report["exit_code"])
        except (ValueError, KeyError, TypeError):
            words = " / ".join(ended.log.strip().splitlines()[-_TAIL_LINES:]) or "it said nothing"
            finding = f"The database tool's `{arguments[0]}` ended with {ended.code} and without a report: {words}."
            raise tool_failed(Code.UNREADABLE, finding, "Read its log, and repeat.") from None
        if code not in accepted or "error" in report:
            raise tool_failed(code, str(report.get("error", f"`{arguments[0]}` failed.")), str(report.get("fix", "")))
        return report


def parse_status(report: Mapping[str, Any]) -> Status:
    """Return what a report of `status` says of all databases together: the worst of them decides."""
    entries: Mapping[str, Mapping[str, Any]] = report["databases"]
    order = (Direction.FOREIGN, Direction.UNKNOWN, Direction.AHEAD, Direction.BEHIND, Direction.EMPTY, Direction.EQUAL)
    worst = min(entries.values(), key=lambda entry: order.index(Direction(entry["direction"])))
    auth = entries.get("auth", {})
    pending = [(chain, item) for chain, entry in entries.items() for item in entry["pending"]]
    return Status(
        mlflow_version=str(report["mlflow_version"]),
        direction=Direction(worst["direction"]),
        reason=str(worst["reason"]),
        heads=Heads(tracking=entries["tracking"]["head"], auth=auth.get("head")),
        expected=Heads(tracking=entries["tracking"]["expected_head"], auth=auth.get("expected_head")),
        pending=tuple(
            Pending(
                revision=item["revision"],
                title=item["title"],
                breaking=item["class"] != "safe",
                chain=chain,
                reasons=tuple(item["reasons"]),
                tables=tuple(item["tables"]),
            )
            for chain, item in pending
        ),
    )


def parse_manifest(report: Mapping[str, Any]) -> Dump:
    """Return the dump that a manifest describes."""
    address = str(report["address"])
    return Dump(
        id=address.rsplit("/", 1)[-1],
        address=address,
        mlflow_version=str(report["mlflow_version"]),
        taken_at=datetime.fromisoformat(report["made_at"]),
        databases={
            str(name): DumpedDatabase(
                object=entry["object"],
                sha256=entry["sha256"],
                size_bytes=int(entry["bytes"]),
                head=entry["head"],
                rows={str(table): int(count) for table, count in entry["row_counts"].items()},
            )
            for name, entry in report["databases"].items()
        },
    )
