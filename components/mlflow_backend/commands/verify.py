"""Verify an MLflow backend: a stack of this project, or any MLflow server by its URL.

It ends with one of the project's exit codes: 0 passed, 1 failed, 2 usage, 3 the stack is not deployed, 5
inconclusive. No credential is ever taken as an argument or printed: they are named by
reference.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlflow_backend import packaged
from mlflow_backend.commands.command import platform_errors, show_no_more
from mlflow_backend.contract import ExitCode, PlatformFailed, Refused, UsageError, VerificationFailed, next_step
from mlflow_backend.verification import execution
from mlflow_backend.verify import latency, publish
from mlflow_backend.verify.checks import PROFILES
from mlflow_backend.verify.credentials import resolve
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.request import VerifyRequest
from mlflow_backend.verify.subjects import Subject

if TYPE_CHECKING:
    from mlflow_backend.verify.report import Report

EXIT_CODES: Final = {
    Result.PASS: ExitCode.DONE,
    Result.FAIL: ExitCode.VERIFICATION_FAILED,
    Result.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
}
REFERENCES: Final = {
    "username": "username",
    "password": "password",
    "token": "token",
    "identityToken": "identity_token",
    "apiKey": "api_key",
}
"""Key of a reference -> option that names it."""
GATE_EXPERIMENT: Final = "mlflow-backend-gate"
"""Holds the runs that `--gate` starts and ends."""
CLIENT_VARIABLES: Final = (
    {"token": "MLFLOW_TRACKING_TOKEN"},
    {"username": "MLFLOW_TRACKING_USERNAME", "password": "MLFLOW_TRACKING_PASSWORD"},
)
"""What MLflow's own clients read, tried in their order when no reference is given with a URL."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    line = argparse.ArgumentParser(prog="verify.py", description="Verify that an MLflow backend works.")
    line.add_argument("url", nargs="?", help="tracking URL of any MLflow server, with its path prefix")
    line.add_argument("--stack", help="verify what this stack of the project deployed")
    line.add_argument("--locator", metavar="ADDRESS", help="verify the backend at this address, of any program")
    line.add_argument(
        "--profile", default="core", choices=sorted(PROFILES), help="set of checks (default: %(default)s)"
    )
    line.add_argument(
        "--client",
        dest="clients",
        action="append",
        default=[],
        metavar="V",
        help="version of MLflow's client for the profile client, once for each (default: the server's)",
    )
    line.add_argument(
        "--deadline", type=float, default=180.0, metavar="S", help="seconds for all checks (default: %(default)s)"
    )
    line.add_argument("--only", type=_names, default=(), metavar="A,B", help="these checks and what they need")
    line.add_argument("--skip", type=_names, default=(), metavar="A,B", help="leave these checks out, visibly")
    line.add_argument("--expect-version", metavar="V", help="MLflow version that must be served")
    line.add_argument("--json", metavar="FILE", help="write the report as JSON; - prints it instead of the table")
    line.add_argument("--publish", action="store_true", help="put the JSON beside the artifacts as verification.json")
    line.add_argument("--gate", action="store_true", help="first wait up to four minutes until a run can be started")
    line.add_argument("--ca-file", metavar="FILE", help="trust the certificate authorities in this file")
    line.add_argument("--insecure", action="store_true", help="do not check certificates (said loudly)")
    refs = line.add_argument_group("credentials, each named as file:PATH or env:NAME")
    for key, option in REFERENCES.items():
        refs.add_argument(f"--{option.replace('_', '-')}", dest=option, metavar="REF", help=f"reference to the {key}")
    refs.add_argument("--api-key-header", metavar="NAME", help="header of the API key (default: X-Api-Key)")
    return line


def main(arguments: list[str] | None = None) -> ExitCode:
    """Run the command. Returns the exit code; argparse itself ends with 2 on a wrong command line."""
    options = parser().parse_args(arguments)
    try:
        subject = _subject(options)
        report = _report(options, subject)
    except platform_errors() as failure:
        _say(str(failure))
        return ExitCode.PLATFORM_FAILED
    except UsageError as error:
        _say(str(error))
        return ExitCode.USAGE
    except (Refused, VerificationFailed) as refusal:
        _say(str(refusal))
        return refusal.exit_code
    try:
        _write(options, subject, report)
    except BrokenPipeError:
        # The verdict still is the exit code.
        show_no_more()
    except PlatformFailed as error:
        _say(f"the report cannot be kept in the backend's store: {error}")
        return ExitCode.INCONCLUSIVE
    except OSError as error:
        _say(f"the report cannot be written to {error.filename}: {error.strerror}. {next_step(error)}.")
        return ExitCode.INCONCLUSIVE
    verdict = report.verdict or Result.INCONCLUSIVE
    if options.publish and (problem := publish.publish(execution.asking(subject), report)):
        _say(problem)
        verdict = Result.INCONCLUSIVE if verdict is Result.PASS else verdict
    return EXIT_CODES[verdict]


def _subject(options: argparse.Namespace) -> Subject:
    if [options.url, options.stack, options.locator].count(None) != 2:  # noqa: PLR2004 (one of three)
        raise UsageError("Give one of: a URL, --stack, --locator", code="subject-ambiguous")
    if options.stack is not None or options.locator is not None:
        # A second of imports that the verification of a URL, and the gate before each job, must not wait for.
        from mlflow_backend.commands import stacks  # noqa: PLC0415

        subject = stacks.opened(options, Path.cwd()).subject()
    else:
        subject = Subject(url=options.url, credentials=_references(options), proxied_artifacts=False)
    return replace(
        subject,
        expected_version=options.expect_version or subject.expected_version,
        ca_file=options.ca_file or subject.ca_file,
        insecure=options.insecure or subject.insecure,
    )


def _references(options: argparse.Namespace) -> dict[str, str]:
    named = {key: getattr(options, option) for key, option in REFERENCES.items() if getattr(options, option)}
    if named and options.api_key_header:
        named["apiKeyHeader"] = options.api_key_header
    if named:
        return named
    for variables in CLIENT_VARIABLES:
        if all(os.environ.get(name) for name in variables.values()):
            return {key: f"env:{name}" for key, name in variables.items()}
    return {}


def _report(options: argparse.Namespace, subject: Subject) -> Report:
    if subject.insecure:
        _say("INSECURE, certificates are not checked: anyone in between can read and answer")
    if options.deadline <= 0:
        raise UsageError("--deadline: not a positive number of seconds", code="deadline-malformed")
    if options.clients and options.profile != "client":
        raise UsageError("--client: only with --profile client", code="client-without-profile")
    if options.gate:
        _pass_gate(subject)
    return execution.run(
        subject,
        VerifyRequest(
            profile=options.profile,
            deadline_s=options.deadline,
            only=options.only,
            skip=options.skip,
            clients=tuple(options.clients),
        ),
    )


def _pass_gate(subject: Subject) -> None:
    """Start and end a run as a pipeline does, once the server has come up. Raises VerificationFailed, Refused."""
    gate = packaged.gate()
    asked = execution.asking(subject)
    login = resolve(asked.credentials, asked.live.secrets)
    options = {"headers": login.headers, "ca_file": subject.ca_file, "insecure": subject.insecure, "say": _say}
    try:
        gate.gate(subject.url, experiment=GATE_EXPERIMENT, **options).end()
    except gate.GateClosed as closed:
        raise VerificationFailed(str(closed), code="gate-closed") from closed


def _write(options: argparse.Namespace, subject: Subject, report: Report) -> None:
    # A part of the checks says nothing about the backend as a whole, so it must not replace the last verdict.
    if not (options.only or options.skip):
        _keep(subject, report)
    if options.json == "-":
        print(report.json())
        return
    if options.json:
        report.save(Path(options.json))
    print(report.text())
    if options.profile == "full" or subject.extra_checks:
        print(f"\n{latency.text(latency.table(report.timings))}")


def _keep(subject: Subject, report: Report) -> None:
    """Keep the report of a backend that has a store. Raises OSError, PlatformFailed."""
    if subject.locator is not None:
        from mlflow_backend.releases.reports import reports_of  # noqa: PLC0415 - as in `_subject`

        copy = Path(subject.report_path) if subject.report_path else None
        reports_of(subject.locator).save(report, copy=copy)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _say(message: str) -> None:
    print(f"verify: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
