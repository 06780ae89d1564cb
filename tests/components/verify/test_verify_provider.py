"""The dynamic resource: its frozen names, its diff, and what a red verdict leaves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pulumi.output import Unknown

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local.locator import LocalLocator
from mlflow_backend.local.platform import LocalPlatform
from mlflow_backend.local.state import StateDir
from mlflow_backend.locator import from_document
from mlflow_backend.releases.reports import LATEST, Reports
from mlflow_backend.releases.stores import FileStore
from mlflow_backend.verification import provider, resource
from mlflow_backend.verify import report as reports
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.report import Stage

if TYPE_CHECKING:
    from tests.components.verify.fake_mlflow import FakeMLflow

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def inputs(server: FakeMLflow, tmp_path: Path) -> dict[str, Any]:
    """The inputs as the engine gives them: numbers are floats."""
    return {
        "url": server.url,
        "release": {"revision": "1", "mlflowVersion": "3.17.2"},
        "servingDigest": "a",
        "locator": {},
        "credentials": {},
        "access": False,
        "jobs": False,
        "profile": "core",
        "deadline": 30.0,
        "extraChecks": [],
        "reportPath": str(tmp_path / "report.json"),
        "updateId": "first",
    }


def test_importing_the_provider_is_light() -> None:
    """The provider's process starts with every run of the engine: the module brings nothing of weight but pulumi."""
    heavy = "{'urllib3', 'boto3', 'pydantic', 'rich'}"
    new = f"sorted({heavy} & (set(sys.modules) - before))"
    ours = "mlflow_backend.verification.provider, mlflow_backend.verification.resource"
    line = f"import sys, pulumi.dynamic; before = set(sys.modules); import {ours}; print({new})"
    done = subprocess.run(
        [sys.executable, "-c", line], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_green_gives_outputs_and_a_report(inputs: dict[str, Any]) -> None:
    """A pass gives an identifier, the inputs for the next diff, and the verdict with release and time."""
    created = provider.VerificationProvider().create(inputs)
    assert created.id
    assert created.outs is not None
    assert created.outs["verdict"] == "pass"
    assert {key: created.outs[key] for key in inputs} == inputs
    assert reports.load(Path(inputs["reportPath"])).stage is Stage.INITIALIZED


def test_red_raises_with_the_table_and_keeps_the_report(server: FakeMLflow, inputs: dict[str, Any]) -> None:
    """A red verdict fails the update, tells cause and next step, and is what the report says."""
    server.version = "3.4.0"
    with pytest.raises(resource.VerificationFailed, match=r"FAIL  version(.|\n)*cause:(.|\n)*next:"):
        provider.VerificationProvider().create(inputs)
    assert reports.load(Path(inputs["reportPath"])).verdict is Result.FAIL


def test_a_killed_verification_leaves_no_green(server: FakeMLflow, inputs: dict[str, Any]) -> None:
    """While it runs, the report says `initializing`, whatever an earlier one said."""
    provider.VerificationProvider().create(inputs)
    seen = []

    def look(_asked: object) -> None:
        seen.append(reports.load(Path(inputs["reportPath"])).stage)

    server.fault = look
    provider.VerificationProvider().create(inputs)
    assert set(seen) == {Stage.INITIALIZING}


@pytest.mark.parametrize("key", resource.INPUTS)
def test_every_change_of_an_input_replaces_deleted_first(inputs: dict[str, Any], key: str) -> None:
    """An update that fails would keep the old green entry: there is no update, only replacement."""
    for value in ("other", Unknown(), {"nested": [Unknown()]}):
        diff = provider.VerificationProvider().diff("id", inputs, inputs | {key: value})
        assert (diff.changes, diff.replaces, diff.delete_before_replace) == (True, [key], True)


def test_each_real_update_verifies_again_deleted_first(inputs: dict[str, Any]) -> None:
    """An update that changes nothing is green only if the backend works now."""
    outs = provider.VerificationProvider().create(inputs).outs
    assert outs is not None
    diff = provider.VerificationProvider().diff("id", outs, inputs | {"updateId": "second"})
    assert (diff.changes, diff.replaces, diff.delete_before_replace) == (True, ["updateId"], True)


@pytest.mark.parametrize(
    "update_id", [pytest.param("", id="a preview"), pytest.param("first", id="a refresh compares with what it has")]
)
def test_without_a_real_update_nothing_changed_is_no_change(inputs: dict[str, Any], update_id: str) -> None:
    """A preview of a stack that is up to date says so, and so does a refresh, which hands in the state's own inputs."""
    outs = provider.VerificationProvider().create(inputs).outs
    assert outs is not None
    assert provider.VerificationProvider().diff("id", outs, inputs | {"updateId": update_id}).changes is False


def test_an_entry_from_before_updates_had_ids_is_no_change_in_a_preview(inputs: dict[str, Any]) -> None:
    """A state that an older version of this program wrote has no id."""
    outs = {key: value for key, value in inputs.items() if key != "updateId"}
    assert provider.VerificationProvider().diff("id", outs, inputs | {"updateId": ""}).changes is False
    assert provider.VerificationProvider().diff("id", outs, inputs).changes is True


def test_check_tolerates_what_a_preview_does_not_know(inputs: dict[str, Any]) -> None:
    """In a preview any input may be unknown."""
    for key in resource.INPUTS:
        assert provider.VerificationProvider().check({}, inputs | {key: Unknown()}).failures == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("profile", "most"),
        ("deadline", 0),
        ("deadline", "long"),
        ("url", "http://u:p@host"),
        ("locator", {"kind": "moon"}),
    ],
)
def test_check_refuses_what_cannot_be_verified(inputs: dict[str, Any], key: str, value: object) -> None:
    """A wrong input fails the preview, by its key."""
    failures = provider.VerificationProvider().check({}, inputs | {key: value}).failures
    assert [failure.property.partition(".")[0] for failure in failures] == [key]


def test_only_create_asks_the_backend(server: FakeMLflow, inputs: dict[str, Any]) -> None:
    """A preview (check, diff), a refresh (read, diff) and a destroy (delete) send a backend nothing at all."""
    made = provider.VerificationProvider().create(inputs)
    assert made.outs is not None
    server.asked.clear()
    made_by = provider.VerificationProvider()
    for update_id in ("", "first", "second"):
        made_by.check(made.outs, inputs | {"updateId": update_id})
        made_by.diff(made.id, made.outs, inputs | {"updateId": update_id})
    assert made_by.read(made.id, made.outs).id == made.id
    made_by.delete(made.id, made.outs)
    assert server.asked == []


@pytest.fixture
def kept(inputs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], FileStore]:
    """Inputs that name a backend with a store, and that store."""
    monkeypatch.setattr(LocalPlatform, "serving", lambda _self: "1")
    state = StateDir(tmp_path / "stack")
    return inputs | {"locator": LocalLocator.of(state).document()}, FileStore(state.backend_store)


def test_the_report_is_in_the_backends_store_whatever_the_verdict(
    server: FakeMLflow, kept: tuple[dict[str, Any], FileStore]
) -> None:
    """Another machine reads it there: while it runs, red and green."""
    inputs, store = kept
    seen = []

    def look(_asked: object) -> None:
        seen.append(Reports(store).latest())

    server.fault = look
    server.version = "3.4.0"
    with pytest.raises(resource.VerificationFailed):
        provider.VerificationProvider().create(inputs)
    assert {report.stage for report in seen if report} == {Stage.INITIALIZING}
    red = Reports(store).latest()
    assert red is not None
    assert red.verdict is Result.FAIL
    server.version = "3.17.2"
    provider.VerificationProvider().create(inputs)
    assert Reports(store).latest() == reports.load(Path(inputs["reportPath"]))


def test_a_red_verdict_is_reported_also_if_the_store_is_away(
    server: FakeMLflow, kept: tuple[dict[str, Any], FileStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store may be what broke: the table of checks must not be lost for it, and a green must not stand alone."""
    inputs, _ = kept

    def fail(_self: object, key: str, _content: bytes) -> None:
        raise PlatformFailed("gone", code="of-a-test", fix="Bring it back", part=key)

    monkeypatch.setattr(FileStore, "replace", fail)
    server.version = "3.4.0"
    with pytest.raises(resource.VerificationFailed, match=r"gone(.|\n)*FAIL  version"):
        provider.VerificationProvider().create(inputs)
    server.version = "3.17.2"
    with pytest.raises(PlatformFailed):
        provider.VerificationProvider().create(inputs)


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"schema": "another"}'])
def test_with_when_changed_what_is_no_report_is_verified_again(
    kept: tuple[dict[str, Any], FileStore], content: bytes | None
) -> None:
    """`verify.when: changed` spares only what is known to have passed."""
    inputs, store = kept
    if content is not None:
        store.replace(LATEST, content)
    assert not resource.passed(from_document(inputs["locator"]))


@pytest.mark.parametrize("verdict", [None, *Result])
def test_with_when_changed_only_a_passing_report_is_enough(
    kept: tuple[dict[str, Any], FileStore], verdict: Result | None
) -> None:
    """A red report, one without a verdict, and a verification that was killed are verified again."""
    inputs, store = kept
    report = reports.Report(url="http://x", profile="core", deadline_s=1.0, started="now", verdict=verdict)
    Reports(store).save(report, copy=None)
    assert resource.passed(from_document(inputs["locator"])) is (verdict is Result.PASS)
