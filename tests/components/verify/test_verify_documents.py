"""What is read and written: subjects, credentials by reference, reports."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.codec import from_document, to_document
from mlflow_backend.contract import PlatformFailed, Refused, UsageError
from mlflow_backend.local.locator import LocalLocator
from mlflow_backend.verification.resource import subject_of
from mlflow_backend.verify import job
from mlflow_backend.verify import report as reports
from mlflow_backend.verify.context import Timing
from mlflow_backend.verify.credentials import resolve
from mlflow_backend.verify.model import Certainty, Result
from mlflow_backend.verify.report import CheckReport, Report, Stage
from mlflow_backend.verify.request import VerifyRequest
from mlflow_backend.verify.subjects import Live, Subject

if TYPE_CHECKING:
    from pathlib import Path

CHECK = CheckReport(name="health", part="server", shows="It answers.", result=Result.PASS, sentence="ok", latency_ms=3)
REPORT = Report(
    url="http://127.0.0.1:1",
    profile="core",
    deadline_s=180,
    started="2026-01-01T00:00:00Z",
    finished="2026-01-01T00:00:01Z",
    verdict=Result.PASS,
    checks=(CHECK,),
    timings=(Timing(check="health", endpoint="GET /health", status=200, latency_ms=2.5),),
)


def test_a_report_reads_back_equal(tmp_path: Path) -> None:
    """What is kept on disk is the whole report."""
    REPORT.save(tmp_path / "deep" / "report.json")
    assert reports.load(tmp_path / "deep" / "report.json") == REPORT


def test_a_report_is_replaced_whole(tmp_path: Path) -> None:
    """A reader never sees a part, and no temporary file stays."""
    path = tmp_path / "report.json"
    REPORT.save(path)
    replace(REPORT, verdict=Result.FAIL).save(path)
    assert [item.name for item in tmp_path.iterdir()] == ["report.json"]
    assert reports.load(path).verdict is Result.FAIL


@pytest.mark.parametrize(
    ("verdict", "stage"),
    [
        (None, Stage.INITIALIZING),
        (Result.PASS, Stage.INITIALIZED),
        (Result.FAIL, Stage.FAILED),
        (Result.INCONCLUSIVE, Stage.FAILED),
    ],
)
def test_only_a_pass_is_initialized(verdict: Result | None, stage: Stage) -> None:
    """Jobs that wait for `initialized` never start on an inconclusive verdict."""
    assert replace(REPORT, verdict=verdict).to_document()["stage"] == stage


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "mlflow-backend/verification/1"}', '{"schema": "other"}'])
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    """A broken or foreign file is an error that says what to do, never a verdict."""
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(PlatformFailed, match="Verify again"):
        reports.load(tmp_path / "report.json")


def test_a_missing_report_is_reported(tmp_path: Path) -> None:
    """Where nothing was verified yet, that is the answer."""
    with pytest.raises(PlatformFailed, match="Nothing was verified here yet"):
        reports.load(tmp_path / "report.json")


def test_the_table_shows_cause_and_next_step() -> None:
    """A red line is followed by its cause and the next step."""
    red = replace(CHECK, result=Result.FAIL, sentence="it does not", cause="It is dead.", next_step="Start it.")
    for certainty, cause in ((Certainty.KNOWN, "It is dead."), (Certainty.LIKELY, "Likely: It is dead.")):
        checks = (replace(red, certainty=certainty),)
        text = replace(REPORT, verdict=Result.FAIL, checks=checks).text()
        assert [part in text for part in ("FAIL  health", f"cause: {cause}", "next:  Start it.")] == [True] * 3


def test_an_insecure_verification_says_so_in_its_table() -> None:
    """Unchecked certificates are never silent."""
    assert "INSECURE" in replace(REPORT, insecure=True).text()


FULL = Subject(
    url="https://mlflow.example.com/team",
    expected_version="3.17.2",
    expected_revision="4",
    locator=LocalLocator(stack="state", folder="/state"),
    stack="state",
    credentials={"username": "env:U", "password": "file:/p"},
    access=True,
    jobs=True,
    proxied_artifacts=False,
    ca_file="/ca",
    insecure=True,
    report_path="/report.json",
)


@pytest.mark.parametrize("subject", [FULL, Subject(url="http://127.0.0.1:5000")])
def test_a_job_takes_all_of_a_subject_and_what_the_platform_runs(subject: Subject) -> None:
    """What verifies within a network gets all but the locator, by which it could ask nobody."""
    asked = job.job_of(replace(subject, locator=None, live=Live(running=lambda: "4")), VerifyRequest(only=("health",)))
    assert from_document(job.Job, json.loads(json.dumps(to_document(asked)))) == asked


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"url": "ftp://host"},
        {"url": "http://"},
        {"url": "http://user:s3cret@host"},
        {"url": "http://host/?token=s3cret"},
    ],
)
def test_a_bad_subject_is_refused_without_its_secrets(inputs: dict[str, str]) -> None:
    """A subject that cannot be verified is refused by key; a secret in a URL is never repeated."""
    with pytest.raises(UsageError) as caught:
        subject_of(inputs)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "locator", [{"kind": "moon"}, {"stack": "x"}, {"kind": "local"}, {"kind": "local", "stack": "x", "folder": 1}]
)
def test_a_locator_that_leads_nowhere_is_refused(locator: dict[str, str]) -> None:
    """A platform that cannot be asked is found out before any check."""
    with pytest.raises(UsageError, match="locator"):
        subject_of({"url": "http://host", "locator": locator})


def test_credentials_come_from_files_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind becomes the header that its server expects."""
    (tmp_path / "password").write_text("s3cret\n")
    monkeypatch.setenv("PROBE_NAME", "verifier")
    both = {"username": "env:PROBE_NAME", "password": f"file:{tmp_path / 'password'}"}
    assert resolve(both).headers == {"Authorization": "Basic dmVyaWZpZXI6czNjcmV0"}
    assert resolve({"token": "env:PROBE_NAME"}).headers == {"Authorization": "Bearer verifier"}
    assert resolve({"identityToken": "env:PROBE_NAME"}).headers == {"Authorization": "Bearer verifier"}
    assert resolve({"apiKey": "env:PROBE_NAME"}).headers == {"X-Api-Key": "verifier"}
    assert resolve({"apiKey": "env:PROBE_NAME", "apiKeyHeader": "X-Key"}).headers == {"X-Key": "verifier"}
    assert resolve({}).headers == {}
    monkeypatch.setenv("PROBE_GATE", "of-google")
    two = resolve({**both, "gateToken": "env:PROBE_GATE", "gateHeader": "X-Gate"})
    assert (two.kind, two.gate, two.headers) == ("basic", {"X-Gate": "Bearer of-google"}, resolve(both).headers)
    assert {"s3cret", "of-google"} <= set(two.secrets)


@pytest.mark.parametrize(
    "references",
    [
        {"username": "env:PROBE_NAME"},
        {"token": "s3cret-value"},
        {"token": "s3cret:value"},
        {"token": "env:PROBE_NONE"},
        {"token": "file:/nonexistent/file"},
        {"token": "env:PROBE_BROKEN"},
        {"colour": "env:PROBE_NAME"},
    ],
)
def test_credentials_that_cannot_be_had_name_the_reference_only(
    references: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error names the key; a value put where its reference belongs is not repeated."""
    monkeypatch.setenv("PROBE_NAME", "verifier")
    monkeypatch.setenv("PROBE_BROKEN", "two\nlines-s3cret")
    with pytest.raises(Refused) as caught:
        resolve(references)
    assert "s3cret" not in str(caught.value)


def test_credentials_hide_in_a_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    """A credential cannot slip into a log by way of an object's text."""
    monkeypatch.setenv("PROBE_NAME", "s3cret")
    assert "s3cret" not in repr(resolve({"token": "env:PROBE_NAME"}))
