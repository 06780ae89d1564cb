"""The dynamic resource: its frozen names, its diff, and what a red verdict leaves."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pulumi.output import Unknown

from components.verify import provider, resource
from components.verify import report as reports
from components.verify.model import Result
from components.verify.report import Stage
from components.verify.subjects import Subject
from tests.components.verify.fake_mlflow import FakeMLflow, error

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
    }


def test_module_and_class_names_are_frozen() -> None:
    """Pulumi keeps the provider by these names in every stack's state: a change makes `destroy` fail there."""
    made = provider.VerificationProvider
    assert f"{made.__module__}.{made.__qualname__}" == "components.verify.provider.VerificationProvider"
    assert provider.Verification._resource_type_name == "dynamic/mlflow-backend:Verification"


def test_the_provider_holds_nothing() -> None:
    """An attribute of the provider would be written into the state."""
    assert vars(provider.VerificationProvider()) == {}


def test_importing_the_provider_is_light() -> None:
    """The provider's process starts with every run of the engine: the module brings nothing of weight but pulumi."""
    heavy = "{'urllib3', 'boto3', 'pydantic', 'rich'}"
    new = f"sorted({heavy} & (set(sys.modules) - before))"
    ours = "components.verify.provider, components.verify.resource"
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


def test_a_red_verdict_prints_no_traceback(server: FakeMLflow, inputs: dict[str, Any]) -> None:
    """The message goes to the engine; the log of grpc must not repeat it with a traceback."""
    server.version = "3.4.0"
    with pytest.raises(resource.VerificationFailed) as caught:
        provider.VerificationProvider().create(inputs)
    logger = logging.getLogger("grpc._server")
    verdict = logger.makeRecord("grpc._server", logging.ERROR, "", 0, "", (), (caught.type, caught.value, caught.tb))
    other = logger.makeRecord("grpc._server", logging.ERROR, "", 0, "", (), (ValueError, ValueError(), None))
    assert not logger.filter(verdict)
    assert logger.filter(other)


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


def test_nothing_changed_is_no_change(inputs: dict[str, Any]) -> None:
    """Verification is never run again by a clock."""
    outs = provider.VerificationProvider().create(inputs).outs
    assert outs is not None
    assert provider.VerificationProvider().diff("id", outs, inputs).changes is False


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


def test_read_keeps_a_ready_backend(inputs: dict[str, Any]) -> None:
    """A refresh of a backend that answers changes nothing."""
    assert provider.VerificationProvider().read("id", inputs).id == "id"


def test_read_drops_a_backend_without_its_database(server: FakeMLflow, inputs: dict[str, Any]) -> None:
    """/health stays 200 with the database dead: a refresh must see it, so that the next update verifies."""
    server.fault = lambda asked: error(503, "TEMPORARILY_UNAVAILABLE") if "experiments" in asked.path else None
    assert provider.VerificationProvider().read("id", inputs).id == ""


def test_read_drops_another_revision(inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A platform that moved to another revision behind Pulumi's back is verified again."""
    monkeypatch.setattr(Subject, "running_revision", lambda _self: lambda: "2")
    assert provider.VerificationProvider().read("id", inputs).id == ""


def test_read_makes_nothing(server: FakeMLflow, inputs: dict[str, Any]) -> None:
    """A refresh asks; it makes no experiment."""
    provider.VerificationProvider().read("id", inputs)
    assert server.experiments == {}
