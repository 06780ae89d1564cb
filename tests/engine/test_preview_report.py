"""The preview command with the real engine: the report of a stack that is not deployed, and no secret in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import jsonschema
import pytest

from mlflow_backend.commands import preview
from mlflow_backend.contract import ExitCode
from tests.engine.project import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.stack import LocalStack

pytestmark = pytest.mark.engine

# What the local target takes, and a value that it refuses in the program, with words of its own.
TAKEN = {
    "verify": {"extraChecks": [{"name": "mine", "path": "/pl4nted-in-a-check"}]},
    "server": {"extraFlags": {"pl4nted-flag": "pl4nted-value"}},
}
REFUSED = {"tags": {"note": "pl4nted-in-a-tag"}, "release": {"pin": "pl4nted-pin"}}


@pytest.fixture
def previewed(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> LocalStack:
    """A stack that is not deployed, and the command in its folder."""
    monkeypatch.chdir(stack.project)
    for name, value in stack.environment.items():
        monkeypatch.setenv(name, value)
    return stack


def test_a_stack_that_is_not_deployed_is_reported(
    previewed: LocalStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything is created, every policy has run and found nothing to judge, and CI learns that there are changes."""
    comment = tmp_path / "comment.md"
    flags = ["--stack", previewed.name, "--json", "--markdown", str(comment), "--detailed-exit-code"]
    assert preview.main(flags) is ExitCode.CHANGES
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, json.loads((ROOT / "schema" / "preview-1.json").read_text()))
    assert set(document["counts"]) == {"create"}
    assert {policy["outcome"] for policy in document["policies"]} == {"not applicable"}
    assert "mlflow-database" in comment.read_text()


def test_no_secret_setting_is_in_any_output(
    previewed: LocalStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sections that were set with --secret are used, and what they hold is nowhere, not even in a refusal."""
    comment = tmp_path / "comment.md"
    for sections, ends in ((TAKEN, ExitCode.DONE), (REFUSED, ExitCode.REFUSED)):
        for section, value in sections.items():
            told = previewed.pulumi("config", "set", "--secret", f"mlflow-backend:{section}", json.dumps(value))
            assert told.ok, told.text
        for flags in (["--json"], []):
            assert preview.main(["--stack", previewed.name, "--markdown", str(comment), *flags]) is ends
    shown = capsys.readouterr()
    outputs = (shown.out, shown.err, comment.read_text() if comment.exists() else "")
    assert any(outputs)
    assert not any("pl4nted" in output for output in outputs)
