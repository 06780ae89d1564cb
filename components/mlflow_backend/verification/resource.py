"""The work of the dynamic resource Verification: its inputs' problems and differences, the verdict, and the outputs."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pulumi.output import Unknown

from mlflow_backend.contract import PlatformFailed, UsageError, VerificationFailed
from mlflow_backend.dynamic import UPDATE_ID, asked_again, input_names, is_unknown
from mlflow_backend.locator import from_document
from mlflow_backend.verification.arguments import VerificationArgs
from mlflow_backend.verify import checks
from mlflow_backend.verify.extra import extra_check
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.request import VerifyRequest
from mlflow_backend.verify.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.locator import Locator
    from mlflow_backend.verify.report import Report

INPUTS: Final = tuple(name for name in input_names(VerificationArgs).values() if name not in {"onFailure", "when"})
"""What is verified: the two others say what is done with it."""


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
    if not any(is_unknown(inputs.get(key)) for key in INPUTS):
        try:
            subject_of(inputs)
        except UsageError as error:
            found.append(Problem(key=str(error).partition(":")[0], text=str(error)))
    return found


def changed_inputs(olds: Mapping[str, Any], news: Mapping[str, Any]) -> list[str]:
    """The inputs that differ from those of the last verification. What is not known yet equals nothing.

    The id of a real update always differs: it verifies whatever changed.
    """
    differing = [key for key in INPUTS if olds.get(key) != news.get(key)]
    return [*differing, UPDATE_ID] if asked_again(olds, news) else differing


def passed(locator: Locator) -> bool:
    """Whether the last report of a backend, as its store has it, says that it passed."""
    from mlflow_backend.releases.reports import reports_of  # noqa: PLC0415 - as below

    try:
        report = reports_of(locator).latest()
    except PlatformFailed:
        return False
    return report is not None and report.verdict is Result.PASS


def verify(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Verify, keep the report whatever the verdict, and give the resource's outputs.

    Raises `VerificationFailed`; OSError or PlatformFailed when a passing report cannot be kept.
    """
    from mlflow_backend.releases.reports import reports_of  # noqa: PLC0415 - a preview only compares
    from mlflow_backend.verification import execution  # noqa: PLC0415

    copy, reports = Path(inputs["reportPath"]) if inputs["reportPath"] else None, reports_of(_locator(inputs))

    def begun(report: Report) -> None:
        # A store that fails now fails again at the end, when the checks have said more about it.
        with contextlib.suppress(PlatformFailed):
            reports.save(report, copy=copy)

    report = execution.run(
        subject_of(inputs), VerifyRequest(profile=inputs["profile"], deadline_s=float(inputs["deadline"])), begun=begun
    )
    not_kept = ""
    try:
        report = reports.save(report, copy=copy)
    except PlatformFailed as error:
        if report.verdict is Result.PASS:
            raise
        not_kept = f" The report is on this machine only: {error}"
    if report.verdict is not Result.PASS:
        done = _after_failure(inputs, report)
        said = f"The backend does not pass its verification.{done}{not_kept}{f' Report: {copy}' if copy else ''}"
        raise VerificationFailed(f"{said}\n{report.text()}", code="verification-failed")
    return {key: inputs.get(key) for key in (*INPUTS, UPDATE_ID)} | _outputs(inputs, report)


def _after_failure(inputs: Mapping[str, Any], report: Report) -> str:
    """Roll back if the settings ask for it and the verdict is fail, never on an inconclusive one; say what was done."""
    if inputs.get("onFailure") != "rollback" or report.verdict is not Result.FAIL:
        return ""
    from mlflow_backend.releases import automatic  # noqa: PLC0415 - only after a failure

    deadline_s, locator = float(inputs["deadline"]), from_document(inputs["locator"])
    return " " + automatic.roll_back(locator, report, profile=inputs["profile"], deadline_s=deadline_s)


def subject_of(inputs: Mapping[str, Any]) -> Subject:
    """The subject that the resource's inputs describe.

    Raises `UsageError`.
    """
    release, locator, limit = inputs.get("release") or {}, _locator(inputs), inputs.get("maxUploadMib")
    if not isinstance(inputs.get("url"), str):
        raise UsageError("url: missing. Give the URL that clients use", code="subject-without-url")
    return Subject(
        url=inputs["url"],
        expected_version=release.get("mlflowVersion"),
        expected_revision=release.get("revision"),
        locator=locator,
        stack=locator.stack if locator else Subject.stack,
        credentials=inputs.get("credentials") or {},
        access=inputs.get("access"),
        jobs=bool(inputs.get("jobs")),
        # Pulumi's numbers are floats.
        max_upload_mib=None if limit is None else int(limit),
        report_path=inputs.get("reportPath") or None,
        extra_checks=tuple(map(extra_check, inputs.get("extraChecks") or ())),
    )


def _outputs(inputs: Mapping[str, Any], report: Report) -> dict[str, Any]:
    again = "release unchanged, verified again" if _is_recorded(inputs) else "verified"
    return {
        "summary": f"{again}: {report.headline()}",
        "verdict": report.verdict.value if report.verdict else None,
        "revision": report.served_revision,
        "finished": report.finished,
        "table": report.text(latencies=False),
    }


def _is_recorded(inputs: Mapping[str, Any]) -> bool:
    """Whether the release was verified before, and nothing else has served since."""
    from mlflow_backend.releases.resource import is_recorded  # noqa: PLC0415 - as in `verify`

    locator = _locator(inputs)
    return locator is not None and is_recorded(locator, inputs["release"]["revision"])


def _locator(inputs: Mapping[str, Any]) -> Locator | None:
    """Return the locator among the inputs; None for an MLflow that no target of this project deploys."""
    return from_document(inputs["locator"]) if inputs.get("locator") else None
