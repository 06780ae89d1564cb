"""What the dynamic resource does, free of pulumi but for the mark of unknown values: inputs, verdict, outputs, refresh.

`provider` is frozen where it stands; this module may be changed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pulumi.output import Unknown

from components.verify import checks
from components.verify.model import Result
from components.verify.subjects import Subject, SubjectError

if TYPE_CHECKING:
    from components.verify.report import Report

INPUTS: Final = (
    "url",
    "release",
    "servingDigest",
    "locator",
    "credentials",
    "access",
    "jobs",
    "maxUploadMib",
    "profile",
    "deadline",
    "extraChecks",
    "reportPath",
)
READY_DEADLINE_S: Final = 20.0
"""What a refresh waits; one request may take a sixth of it. A backend slower than that is verified again."""


class VerificationFailed(Exception):
    """The verdict is not pass. The message is the table of checks, with causes and next steps."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """An input that cannot be worked with."""

    key: str
    text: str


def problems(inputs: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the inputs, as far as they are known."""
    found = []
    if not isinstance(profile := inputs.get("profile"), Unknown) and profile not in checks.PROFILES:
        found.append(Problem(key="profile", text=f"not known: {profile}. Known are: {', '.join(checks.PROFILES)}"))
    deadline = inputs.get("deadline")
    if not isinstance(deadline, Unknown) and not (isinstance(deadline, int | float) and deadline > 0):
        found.append(Problem(key="deadline", text="not a positive number of seconds"))
    if not any(_unknown(inputs.get(key)) for key in INPUTS):
        try:
            subject_of(inputs).running_revision()
        except SubjectError as error:
            found.append(Problem(key=str(error).partition(":")[0], text=str(error)))
    return found


def changed_inputs(olds: Mapping[str, Any], news: Mapping[str, Any]) -> list[str]:
    """The inputs that differ from those of the last verification. What is not known yet equals nothing."""
    return [key for key in INPUTS if olds.get(key) != news.get(key)]


def verify(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Verify, keep the report whatever the verdict, and give the resource's outputs.

    Raises `VerificationFailed`; OSError when the report cannot be written.
    """
    from components.verify import places  # noqa: PLC0415 - an update without changes only compares

    path = Path(inputs["reportPath"])
    report = places.run(
        subject_of(inputs),
        profile=inputs["profile"],
        deadline_s=float(inputs["deadline"]),
        begun=lambda begun: begun.save(path),
    )
    report.save(path)
    if report.verdict is not Result.PASS:
        _say_once()
        done = _after_failure(inputs, report)
        raise VerificationFailed(f"The backend does not pass its verification.{done} Report: {path}\n{report.text()}")
    return {key: inputs.get(key) for key in INPUTS} | _outputs(report)


def _after_failure(inputs: Mapping[str, Any], report: Report) -> str:
    """Roll back where that is wished and the verdict is fail, never on an inconclusive one; say what was done."""
    if inputs.get("onFailure") != "rollback" or report.verdict is not Result.FAIL:
        return ""
    from components.releases import automatic  # noqa: PLC0415 - only after a failure

    deadline_s = float(inputs["deadline"])
    return " " + automatic.roll_back(inputs["locator"], report, profile=inputs["profile"], deadline_s=deadline_s)


def still_ready(state: Mapping[str, Any]) -> bool:
    """Whether the verified backend still answers, reaches its database, and runs the revision."""
    from components.verify import places  # noqa: PLC0415 - the same

    try:
        report = places.run(subject_of(state), profile="core", deadline_s=READY_DEADLINE_S, only=checks.READY)
    except (SubjectError, KeyError):
        return False
    return report.verdict is Result.PASS


def subject_of(inputs: Mapping[str, Any]) -> Subject:
    """The subject that the resource's inputs describe.

    Raises `SubjectError`.
    """
    release = inputs.get("release") or {}
    return Subject.from_document(
        {
            "url": inputs.get("url"),
            "expectedVersion": release.get("mlflowVersion"),
            "expectedRevision": release.get("revision"),
            "locator": inputs.get("locator"),
            "credentials": inputs.get("credentials"),
            "access": inputs.get("access"),
            "jobs": inputs.get("jobs"),
            "maxUploadMib": inputs.get("maxUploadMib"),
            "reportPath": inputs.get("reportPath"),
            "extraChecks": inputs.get("extraChecks"),
        }
    )


def _outputs(report: Report) -> dict[str, Any]:
    return {
        "verdict": report.verdict.value if report.verdict else None,
        "revision": report.served_revision,
        "finished": report.finished,
        "table": report.text(),
    }


def _unknown(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_unknown(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_unknown(item) for item in value)
    return isinstance(value, Unknown)


def _say_once() -> None:
    # grpc logs an exception of a provider with its traceback, and the engine prints that below the message it got.
    logging.getLogger("grpc._server").addFilter(_not_a_verdict)


def _not_a_verdict(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], VerificationFailed))
