"""The preview command: what is refused early, how Pulumi is run, each ending's exit code, and the three outputs."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest
import yaml

from mlflow_backend import ending
from mlflow_backend.commands import preview
from mlflow_backend.contract import ExitCode
from mlflow_backend.policy.catalogue import POLICIES
from mlflow_backend.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
STREAMS = ROOT / "tests" / "components" / "report" / "streams"
ENDED = '{"summaryEvent":{"result":"succeeded"}}'
_STAND_IN = """#!/bin/sh
[ "$1" = config ] && exec cat {folder}/config
echo "$@" >> {folder}/arguments
while [ $# -gt 0 ]; do
  case "$1" in --event-log) log=$2 ;; --policy-pack-config) cp "$2" {folder}/levels ;; esac
  shift
done
. {folder}/does
"""


@pytest.fixture
def stand_in_pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a `pulumi` on PATH that notes its arguments and runs what the test writes into `does`.

    The engine itself is exercised by the engine tests; here it is the translation of its endings that is shown.
    """
    folder = tmp_path / "bin"
    folder.mkdir()
    command = folder / "pulumi"
    command.write_text(_STAND_IN.format(folder=tmp_path), encoding="utf-8")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return tmp_path


def _does(folder: Path, script: str) -> None:
    (folder / "does").write_text(script, encoding="utf-8")


def _plays(folder: Path, stream: str, *, code: int = 0) -> None:
    _does(folder, f'cp {STREAMS / stream}.jsonl "$log"; exit {code}')


def _settings(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (folder / "Pulumi.x.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(folder)


def test_a_stack_of_an_unknown_target_is_refused(
    stand_in_pulumi: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is a mistake in the file, which names the targets that there are, and Pulumi is not even started."""
    _settings(stand_in_pulumi, monkeypatch, "config:\n  mlflow-backend:target: moon\n")
    assert preview.main(["--stack", "x"]) is ExitCode.USAGE
    assert "mlflow-backend:target is text outside the choices" in capsys.readouterr().err
    assert not (stand_in_pulumi / "arguments").exists()


def test_a_stack_without_a_file_is_a_usage_error(stand_in_pulumi: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, naming the file that was looked for."""
    assert preview.main(["--stack", "nowhere"]) is ExitCode.USAGE
    assert "Pulumi.nowhere.yaml" in capsys.readouterr().err
    assert not (stand_in_pulumi / "arguments").exists()


def test_settings_that_are_mistaken_are_reported_before_pulumi_starts(
    stand_in_pulumi: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 with every problem."""
    _settings(stand_in_pulumi, monkeypatch, "config:\n  mlflow-backend:target: lokal\n")
    assert preview.main(["--stack", "x"]) is ExitCode.USAGE
    assert "Did you mean local?" in capsys.readouterr().err


def test_encrypted_settings_are_read_by_pulumi(stand_in_pulumi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An encrypted entry is not taken for a missing one, and is judged like any other."""
    _settings(stand_in_pulumi, monkeypatch, "config:\n  mlflow-backend:target: {secure: v1:abc}\n")
    config = {"mlflow-backend:target": {"value": "local", "secret": True}}
    (stand_in_pulumi / "config").write_text(json.dumps(config))
    _does(stand_in_pulumi, f"echo '{ENDED}' > \"$log\"")
    assert preview.main(["--stack", "x"]) is ExitCode.DONE


def test_encrypted_settings_that_pulumi_cannot_read_are_a_failure_of_the_platform(
    stand_in_pulumi: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the key nobody knows what would be previewed: exit code 4, with Pulumi's reason."""
    _settings(stand_in_pulumi, monkeypatch, "config:\n  mlflow-backend:target: {secure: v1:abc}\n")
    assert preview.main(["--stack", "x"]) is ExitCode.PLATFORM_FAILED
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (f"echo '{ENDED}' > \"$log\"; exit 0", ExitCode.DONE),
        # Code 0 without a summary is an engine that did not end what it began.
        ("exit 0", ExitCode.PLATFORM_FAILED),
        ("exit 255", ExitCode.PLATFORM_FAILED),
        (f'echo \'[3, "Refused it."]\' > "${ending.VARIABLE}"; exit 255', ExitCode.REFUSED),
        (f'echo \'[2, "Mistaken."]\' > "${ending.VARIABLE}"; exit 255', ExitCode.USAGE),
    ],
)
def test_pulumis_ending_is_translated(stand_in_pulumi: Path, script: str, code: ExitCode) -> None:
    """A refusal by the program is told apart from a failure of Pulumi, which has one exit code for both."""
    _does(stand_in_pulumi, script)
    assert preview.main(["--stack", "local"]) is code
    arguments = (stand_in_pulumi / "arguments").read_text(encoding="utf-8")
    assert arguments.startswith("preview --stack local --non-interactive --color never --event-log ")
    assert re.search(r"--policy-pack \S+/policy --policy-pack-config ", arguments)
    assert "--refresh" not in arguments


def test_a_stack_that_pulumi_does_not_know_is_reported_with_the_command_that_makes_it(
    stand_in_pulumi: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A newcomer's first preview ends with what to do, in the comment too."""
    _does(stand_in_pulumi, "echo \"error: no stack named 'local' found\"; exit 255")
    comment = stand_in_pulumi / "comment.md"
    assert preview.main(["--stack", "local", "--markdown", str(comment)]) is ExitCode.PLATFORM_FAILED
    for shown in (capsys.readouterr().out, comment.read_text()):
        assert "no stack named 'local' found" in shown
        assert "make preview STACK=local" in shown


@pytest.mark.parametrize(
    ("stream", "engine", "code", "detailed"),
    [
        ("local-unchanged", 0, ExitCode.DONE, ExitCode.DONE),
        ("local-upgrade", 0, ExitCode.DONE, ExitCode.CHANGES),
        ("local-downgrade", 1, ExitCode.REFUSED, ExitCode.REFUSED),
    ],
)
def test_ci_can_gate_on_the_exit_code(
    stand_in_pulumi: Path, stream: str, engine: int, code: ExitCode, detailed: ExitCode
) -> None:
    """6 is only for changes that nothing refused, and only if it is asked for."""
    _plays(stand_in_pulumi, stream, code=engine)
    assert preview.main(["--stack", "local"]) is code
    assert preview.main(["--stack", "local", "--detailed-exit-code"]) is detailed


def test_the_outputs_say_the_same(stand_in_pulumi: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON is alone on standard output and keeps to its schema; the Markdown begins with its heading."""
    _plays(stand_in_pulumi, "local-upgrade")
    comment = stand_in_pulumi / "comment.md"
    assert preview.main(["--stack", "local", "--json", "--markdown", str(comment)]) is ExitCode.DONE
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, json.loads((ROOT / "schema" / "preview-1.json").read_text()))
    assert (document["verdict"], document["exitCode"]) == ("changes", 0)
    assert comment.read_text().startswith("## :arrows_counterclockwise: Preview of `local`")


def test_the_stacks_levels_reach_the_pack(stand_in_pulumi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is given the levels of the settings, and a disabled policy is not in the report."""
    text = "config:\n  mlflow-backend:target: local\n  mlflow-backend:policy: {levels: {tagged: disabled}}\n"
    _settings(stand_in_pulumi, monkeypatch, text)
    _plays(stand_in_pulumi, "local-unchanged")
    assert preview.main(["--stack", "x"]) is ExitCode.DONE
    assert json.loads((stand_in_pulumi / "levels").read_text()) == {"tagged": "disabled"}


def test_options_reach_pulumi(stand_in_pulumi: Path) -> None:
    """--refresh is Pulumi's; --live reaches the program by its environment."""
    _does(stand_in_pulumi, f"env > {stand_in_pulumi}/environment; echo '{ENDED}' > \"$log\"")
    assert preview.main(["--stack", "local", "--refresh", "--live"]) is ExitCode.DONE
    assert "--refresh" in (stand_in_pulumi / "arguments").read_text()
    assert "MLFLOW_BACKEND_LIVE=1" in (stand_in_pulumi / "environment").read_text().splitlines()


def _planted(value: object, path: str, secrets: dict[str, str]) -> object:
    """Put a secret of its own into every text of a value."""
    if isinstance(value, dict):
        return {key: _planted(item, f"{path}-{key}", secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [_planted(item, f"{path}-{index}", secrets) for index, item in enumerate(value)]
    secrets[path] = f"pl4nted-{path}"
    return secrets[path]


def test_no_secret_is_in_any_output(
    stand_in_pulumi: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A secret planted in every setting, and told by every kind of message, is in no output at all."""
    monkeypatch.setenv("MLFLOW_BACKEND_TEST_PASSWORD", "pl4nted-environment")
    sections = {field.alias or name: {"text": "x", "list": ["x"]} for name, field in Settings.model_fields.items()}
    secrets = {"environment": "pl4nted-environment"}
    planted = _planted(sections, "setting", secrets)
    assert isinstance(planted, dict)
    _settings(stand_in_pulumi, monkeypatch, yaml.safe_dump({"config": {"mlflow-backend:verify": {"secure": "v1:abc"}}}))
    config: Mapping[str, object] = {
        f"mlflow-backend:{key}": {"value": json.dumps(value), "secret": True} for key, value in planted.items()
    }
    (stand_in_pulumi / "config").write_text(json.dumps(config))
    # What these settings are is not the point here, but what becomes of them.
    monkeypatch.setattr(preview, "load", lambda _source: Settings(target="local"))
    (stand_in_pulumi / "stream").write_text("".join(f"{json.dumps(event)}\n" for event in _telling(secrets)))
    comment = stand_in_pulumi / "comment.md"
    for flags in (["--json"], ["--markdown", str(comment)], []):
        for code in (0, 1):
            _does(stand_in_pulumi, f'cp {stand_in_pulumi}/stream "$log"; cat {stand_in_pulumi}/stream; exit {code}')
            preview.main(["--stack", "x", "--refresh", *flags])
    shown = capsys.readouterr()
    for secret in secrets.values():
        assert secret not in shown.out
        assert secret not in shown.err
        assert secret not in comment.read_text()
    assert "[secret]" in shown.out


def _telling(secrets: Mapping[str, str]) -> list[dict[str, object]]:
    """Return events that tell every secret wherever an event has words."""
    words = " ".join(secrets.values())
    urn = "urn:pulumi:x::mlflow-backend::aws:rds/instance:Instance::database"
    look = "urn:pulumi:x::mlflow-backend::pulumi-python:dynamic/mlflow-backend:Preflight::preflight"
    state = {"inputs": {"password": words}, "outputs": {"password": words}}
    hold = {"inputs": {"withheld": words}, "outputs": {}}
    return [
        {"preludeEvent": {"config": dict(secrets)}},
        {"resourcePreEvent": {"metadata": {"op": "update", "urn": urn, "type": "aws:rds/instance:Instance",
                                           "old": state, "new": state, "diffs": [f"tags.{words}"]}}},
        {"resOutputsEvent": {"metadata": {"op": "refresh", "urn": urn, "type": "aws:rds/instance:Instance",
                                          "old": state, "new": {"inputs": {}, "outputs": {"password": "other"}}}}},
        {"resourcePreEvent": {"metadata": {"op": "create", "urn": f"{urn}-hold",
                                           "type": "pulumi-python:dynamic/mlflow-backend:Hold", "new": hold}}},
        {"diagnosticEvent": {"severity": "error", "urn": look, "message": f"value {{{words}}} has a problem: {words}"}},
        {"diagnosticEvent": {"severity": "error", "message": words}},
        {"diagnosticEvent": {"severity": "warning", "message": words}},
        {"policyEvent": {"policyName": POLICIES[0].name, "resourceUrn": urn, "message": words}},
        {"policyAnalyzeSummaryEvent": {"resourceUrn": urn, "failed": [POLICIES[0].name]}},
        {"summaryEvent": {"result": "succeeded", "PolicyPacks": {"mlflow-backend": "v1"}}},
    ]  # fmt: skip


def test_a_pulumi_that_hangs_is_interrupted_at_the_deadline(
    stand_in_pulumi: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The engine is asked to stop before it is killed, so that it can release its lock and its plugins."""
    monkeypatch.setattr(preview, "DEADLINE_S", 3)
    heard = stand_in_pulumi / "heard"
    _does(stand_in_pulumi, f"trap 'touch {heard}; exit 1' INT\nwhile :; do sleep 0.1; done")
    assert preview.main(["--stack", "local"]) is ExitCode.PLATFORM_FAILED
    assert "had not ended" in capsys.readouterr().err
    assert heard.exists()


def test_a_pulumi_that_cannot_be_interrupted_is_killed(stand_in_pulumi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command ends, whatever Pulumi does."""
    monkeypatch.setattr(preview, "DEADLINE_S", 0.2)
    monkeypatch.setattr(preview, "INTERRUPT_S", 0.2)
    _does(stand_in_pulumi, "trap '' INT\nwhile :; do sleep 0.1; done")
    assert preview.main(["--stack", "local"]) is ExitCode.PLATFORM_FAILED


def test_without_pulumi_the_fix_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing command is no traceback."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert preview.main(["--stack", "local"]) is ExitCode.PLATFORM_FAILED
    assert "make preview" in capsys.readouterr().err
