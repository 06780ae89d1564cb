"""An update from a workflow: how it ends, and what it leaves for people, whatever happened."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend import ending
from mlflow_backend.contract import ExitCode
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.report import CheckReport, Report
from scripts.ci import deploy

if TYPE_CHECKING:
    from pathlib import Path

OUTPUTS = {"release": {"revision": "4"}, "trackingUrl": "https://mlflow.example", "password": "[secret]"}

STAND_IN = """
import json, os, pathlib, shutil, sys
root = pathlib.Path({root!r})
with (root / "calls").open("a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
if sys.argv[1:3] == ["stack", "output"]:
    print(json.dumps({outputs!r}))
    sys.exit({told})
pathlib.Path(sys.argv[sys.argv.index("--markdown") + 1]).write_text("what the preview says")
told = {{name: os.environ[name] for name in ("PULUMI_OPTION_REFRESH", "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION")}}
(root / "told.json").write_text(json.dumps(told))
if {ending!r} is not None:
    pathlib.Path(os.environ[{variable!r}]).write_text({ending!r})
if (root / "made.json").exists():
    target = root / ".backend" / "dev" / "verification.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(root / "made.json", target)
sys.exit({code})
"""


def stand_in(root: Path, *, code: int, ended: str | None = None, told: int = 0) -> tuple[str, ...]:
    """A program instead of `pulumi` and scripts/up.py: notes its calls, leaves made.json, ends with `code`."""
    path = root / "stand_in.py"
    text = STAND_IN.format(
        root=str(root), outputs=OUTPUTS, told=told, ending=ended, variable=ending.VARIABLE, code=code
    )
    path.write_text(text)
    return (sys.executable, str(path))


def report(result: Result) -> Report:
    """A report of one check."""
    check = CheckReport(name="health", part="server", shows="it answers", result=result, sentence="it says so")
    return Report(
        url="https://mlflow.example",
        profile="core",
        deadline_s=180,
        started="2026-11-21T15:00:00+00:00",
        finished="2026-11-21T15:00:05+00:00",
        checks=(check,),
        verdict=result,
    )


def run(root: Path, surroundings: dict[str, str], command: tuple[str, ...]) -> tuple[int, dict[str, Any], str]:
    """Deploy dev; the exit code, the status document and the summary."""
    into = root / "report"
    arguments = ["--stack", "dev", "--into", str(into)]
    code = deploy.main(arguments, environment=surroundings, root=root, pulumi_command=command, update_command=command)
    return code, json.loads((into / "status.json").read_text()), (root / "summary.md").read_text()


@pytest.mark.parametrize(
    ("pulumi", "verdict", "ends"),
    [
        (0, Result.PASS, ExitCode.DONE),
        (255, Result.FAIL, ExitCode.VERIFICATION_FAILED),
        (255, Result.INCONCLUSIVE, ExitCode.INCONCLUSIVE),
        (255, Result.PASS, ExitCode.PLATFORM_FAILED),
        (255, None, ExitCode.PLATFORM_FAILED),
    ],
)
def test_an_update_ends_as_its_verification_did(
    surroundings: dict[str, str], tmp_path: Path, pulumi: int, verdict: Result | None, ends: ExitCode
) -> None:
    """Pulumi has one code for every failure; the report tells a red backend from a broken platform."""
    if verdict is not None:
        report(verdict).save(tmp_path / "made.json")
    code, status, summary = run(tmp_path, surroundings, stand_in(tmp_path, code=pulumi))
    assert code == status["exitCode"] == ends
    assert status["verdict"] == (verdict and verdict.value)
    assert status["release"] == OUTPUTS["release"]
    assert status["commit"] == "c0ffee"
    assert ("it says so" in summary) == (verdict is not None)
    assert (tmp_path / "report" / "verification.json").exists() == (verdict is not None)
    assert json.loads((tmp_path / "report" / "outputs.json").read_text()) == OUTPUTS


def test_what_the_program_decided_counts(surroundings: dict[str, str], tmp_path: Path) -> None:
    """A refusal is no failure of the platform, and its sentence stands on the page."""
    note = tmp_path / "note"
    ending.record(ExitCode.REFUSED, "The soak is not over. Wait.", {ending.VARIABLE: str(note)})
    code, status, summary = run(tmp_path, surroundings, stand_in(tmp_path, code=255, ended=note.read_text()))
    assert code == status["exitCode"] == ExitCode.REFUSED
    assert "refused, nothing was touched" in summary
    assert "The soak is not over. Wait." in summary


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        (ExitCode.REFUSED, ExitCode.REFUSED),
        (ExitCode.USAGE, ExitCode.USAGE),
        # What Python ends with after a traceback, which is no verdict of a verification.
        (1, ExitCode.PLATFORM_FAILED),
        (255, ExitCode.PLATFORM_FAILED),
    ],
)
def test_a_refused_preview_is_on_the_page(
    surroundings: dict[str, str], tmp_path: Path, ended: int, code: ExitCode
) -> None:
    """Whoever reads the run sees which policy stopped it; a crash is the platform's."""
    found, _, summary = run(tmp_path, surroundings, stand_in(tmp_path, code=ended))
    assert found == code
    assert ("what the preview says" in summary) == (code == ExitCode.REFUSED)


def test_an_older_report_is_no_evidence(surroundings: dict[str, str], tmp_path: Path) -> None:
    """An update that died before its verification must not show the last green one."""
    old = tmp_path / ".backend" / "dev" / "verification.json"
    old.parent.mkdir(parents=True)
    report(Result.PASS).save(old)
    os.utime(old, (1, 1))
    code, status, _ = run(tmp_path, surroundings, stand_in(tmp_path, code=255))
    assert code == ExitCode.PLATFORM_FAILED
    assert status["verdict"] is None
    assert not (tmp_path / "report" / "verification.json").exists()


def test_a_damaged_report_is_no_evidence(
    surroundings: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is no report is named, and the status is written all the same."""
    (tmp_path / "made.json").write_text("{")
    code, status, _ = run(tmp_path, surroundings, stand_in(tmp_path, code=255))
    assert code == ExitCode.PLATFORM_FAILED
    assert status["verdict"] is None
    assert "verification.json" in capsys.readouterr().err


def test_it_refreshes_and_never_asks(surroundings: dict[str, str], tmp_path: Path) -> None:
    """A backend that died since is found, and a workflow has nobody to ask; secrets are never asked for."""
    run(tmp_path, surroundings, stand_in(tmp_path, code=0))
    up, outputs = (tmp_path / "calls").read_text().splitlines()
    assert up.split() == ["--stack", "dev", "--markdown", str(tmp_path / "report" / "preview.md")]
    # The engine itself fetches no plugin: it would hold it to no checksum.
    assert set(json.loads((tmp_path / "told.json").read_text()).values()) == {"true"}
    assert "--show-secrets" not in outputs


def test_outputs_that_cannot_be_read_do_not_hide_the_rest(
    surroundings: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The status is written also when the state is locked."""
    _, status, _ = run(tmp_path, surroundings, stand_in(tmp_path, code=255, told=1))
    assert status["release"] is None
    assert "outputs cannot be read" in capsys.readouterr().err


def test_without_the_state_nothing_is_touched(surroundings: dict[str, str], tmp_path: Path) -> None:
    """An update on an empty local state would make a second backend."""
    del surroundings["MLFLOW_BACKEND_STATE"]
    command = stand_in(tmp_path, code=0)
    arguments = ["--stack", "dev", "--into", str(tmp_path / "report")]
    told = {"pulumi_command": command, "update_command": command}
    assert deploy.main(arguments, environment=surroundings, root=tmp_path, **told) == ExitCode.USAGE
    assert not (tmp_path / "calls").exists()
