"""The outcome of a verification, as a value, as JSON (a versioned schema) and as text.

The report on disk is the verdict that people and jobs are shown. It is written atomically, and says `initializing`
while a verification runs, so that a killed one never leaves an older green behind.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping  # noqa: TC003 - `codec` reads the declared types
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend import codec
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.verify.context import Timing  # noqa: TC001 - as above
from mlflow_backend.verify.model import Finding, Result

if TYPE_CHECKING:
    from collections.abc import Iterable

SCHEMA: Final = "mlflow-backend/verification/1"
MARKS: Final = {
    Result.PASS: "ok",
    Result.WARN: "warn",
    Result.FAIL: "FAIL",
    Result.SKIP: "skip",
    Result.INCONCLUSIVE: "?",
}


class Stage(StrEnum):
    """Where a backend stands for those who wait for it: only `initialized` means that it works."""

    INITIALIZING = "initializing"
    INITIALIZED = "initialized"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class CheckReport(Finding):
    """What one check found. `started_ms` counts from the verification's start, `latency_ms` from the check's own."""

    name: str
    part: str
    shows: str
    started_ms: float = 0.0
    latency_ms: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Report:
    """One verification. `verdict` is None while it runs. Times are UTC, ISO 8601; durations in milliseconds.

    `served_identity` is what the server said of its database and its store (mlflow_backend/identity).
    `start_s` and `migration_s` are seconds: how long the served revision took from its start until it was healthy, and
    the migration before that; None for what is not known or was not needed.
    """

    url: str
    profile: str
    deadline_s: float
    started: str
    finished: str | None = None
    verdict: Result | None = None
    expected_version: str | None = None
    served_version: str | None = None
    expected_revision: str | None = None
    served_revision: str | None = None
    served_identity: Mapping[str, Any] = field(default_factory=dict)
    insecure: bool = False
    checks_ms: float = 0.0
    cleanup_ms: float = 0.0
    sweep_ms: float = 0.0
    start_s: float | None = None
    migration_s: float | None = None
    checks: tuple[CheckReport, ...] = ()
    timings: tuple[Timing, ...] = ()

    @property
    def stage(self) -> Stage:
        """The stage that the verdict stands for."""
        if self.verdict is None:
            return Stage.INITIALIZING
        return Stage.INITIALIZED if self.verdict is Result.PASS else Stage.FAILED

    def result_of(self, name: str) -> CheckReport:
        """The check of that name. Raises KeyError."""
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)

    def to_document(self) -> dict[str, Any]:
        """The report as JSON-like data."""
        return {"schema": SCHEMA, "stage": self.stage.value, **codec.to_document(self)}

    def json(self) -> str:
        """The report as JSON text."""
        return json.dumps(self.to_document(), indent=2) + "\n"

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Report:
        """Read what `to_document` gave.

        Raises `PlatformFailed` for another schema or shape.
        """
        if document.get("schema") != SCHEMA:
            raise PlatformFailed(
                f"schema {document.get('schema')!r} is not {SCHEMA}. Verify again to write it anew",
                code="report-of-other-schema",
            )
        fields = {key: value for key, value in document.items() if key not in {"schema", "stage"}}
        try:
            return codec.from_document(cls, fields)
        except codec.CodecError as error:
            raise PlatformFailed(
                f"not a report of {SCHEMA} ({error}). Verify again to write it anew", code="report-malformed"
            ) from None

    def save(self, path: Path) -> None:
        """Write the report so that a reader sees the old or the new one, never a part. Raises OSError."""
        write_whole(path, self.json())

    def text(self, *, latencies: bool = True) -> str:
        """The verdict as a table of plain text, with cause and next step under each check that is not green.

        Without latencies two tables of the same findings are the same but for the first line.
        """
        width = max((len(check.name) for check in self.checks), default=0)
        lines = [self.headline(), *self._ready()]
        if self.insecure:
            lines.append("INSECURE: certificates were not checked, so this says nothing about who answered")
        explained: dict[str, str] = {}
        for check in self.checks:
            latency = f"{check.latency_ms:7.0f} ms" if check.result is not Result.SKIP else " " * 10
            named = f"{MARKS[check.result]:>4}  {check.name:<{width}}  {f'{latency}  ' if latencies else ''}"
            lines.append(f"{named}{check.sentence}")
            indent = " " * len(named)
            if check.cause in explained:
                lines.append(f"{indent}cause: the same as of {explained[check.cause]}")
            elif check.cause:
                explained[check.cause] = check.name
                lines.append(f"{indent}cause: {check.stated_cause}")
                lines.append(f"{indent}next:  {check.next_step}")
        return "\n".join(lines)

    def _ready(self) -> list[str]:
        """How long the revision took to be ready, in one line."""
        said = [] if self.start_s is None else [f"revision {self.served_revision} was healthy in {self.start_s:.1f} s"]
        said += [] if self.migration_s is None else [f"its migration took {self.migration_s:.1f} s"]
        return ["; ".join(said)] if said else []

    def headline(self) -> str:
        """The verdict in one line."""
        if self.verdict is None:
            return f"{self.url}: verification ({self.profile}) began at {self.started} and has not finished"
        counts = {result: sum(check.result is result for check in self.checks) for result in Result}
        counted = ", ".join(f"{count} {result.value}" for result, count in counts.items() if count)
        seconds = (self.checks_ms + self.cleanup_ms + self.sweep_ms) / 1000
        return f"{self.url}: {self.verdict.value.upper()} ({self.profile}: {counted}; {seconds:.1f} s; {self.finished})"


def verdict_of(checks: tuple[CheckReport, ...]) -> Result:
    """One verdict for all checks: a fail outweighs an inconclusive, and if nothing passed nothing is proved."""
    results = {check.result for check in checks}
    if Result.FAIL in results:
        return Result.FAIL
    if Result.INCONCLUSIVE in results or Result.PASS not in results:
        return Result.INCONCLUSIVE
    return Result.PASS


def redacted(report: Report, secrets: Iterable[str]) -> Report:
    """The report with every secret blanked wherever a server's words are quoted: a server may echo what it was sent."""
    blanked = [secret for secret in secrets if secret]

    def clean(text: str) -> str:
        for secret in blanked:
            text = text.replace(secret, "***")
        return text

    checks = tuple(replace(check, sentence=clean(check.sentence), cause=clean(check.cause)) for check in report.checks)
    return replace(report, checks=checks)


def load(path: Path) -> Report:
    """Read a report from disk.

    Raises `PlatformFailed` when the file is missing or is no report.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PlatformFailed(
            f"{path}: {error.strerror}. Nothing was verified here yet (make verify)", code="report-missing"
        ) from None
    return parse(content, source=str(path))


def parse(content: bytes, *, source: str) -> Report:
    """Read a report from JSON text; `source` names where it is from.

    Raises `PlatformFailed` for what is no report.
    """
    try:
        document = json.loads(content)
    except ValueError:
        raise PlatformFailed(
            f"{source}: not JSON. Verify again to write it anew (make verify)", code="report-not-json"
        ) from None
    if not isinstance(document, dict):
        raise PlatformFailed(
            f"{source}: not a JSON object. Verify again to write it anew (make verify)", code="report-not-object"
        )
    try:
        return Report.from_document(document)
    except PlatformFailed as error:
        raise PlatformFailed(f"{source}: {error}", code="report-unreadable") from None


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new one, never a part. Raises OSError, which names the file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as error:
        # A disk that is full says so while nothing is known of a name.
        raise type(error)(error.errno, error.strerror, str(path)) from None


def now() -> str:
    """The present as reports write it."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
