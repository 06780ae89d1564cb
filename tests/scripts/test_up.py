"""The update command: which commands of Pulumi it runs for which target, under which pack, and when it stops."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.contract import ExitCode
from scripts import up
from tests.engine.calls import eventually
from tests.tools.projects import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PULUMI = """#!{python}
import json, os, pathlib, sys
root = pathlib.Path({root!r})
argv = sys.argv[1:]
if "--event-log" in argv and os.environ.get("PULUMI_DEBUG_COMMANDS") != "true":
    sys.exit("error: unknown flag: --event-log")
config = argv[argv.index("--policy-pack-config") + 1] if "--policy-pack-config" in argv else None
levels = json.loads(pathlib.Path(config).read_text()) if config else None
pack = pathlib.Path(argv[argv.index("--policy-pack") + 1]) if config else None
runtime = (pack / "PulumiPolicy.yaml").read_text() if pack and (pack / "__main__.py").exists() else ""
with (root / "calls").open("a") as calls:
    calls.write(json.dumps({{"argv": argv, "levels": levels, "runtime": runtime}}) + "\\n")
if argv[0] == "preview":
    summary = {{"isPreview": True, "result": "succeeded", "resourceChanges": {{}}}}
    pathlib.Path(argv[argv.index("--event-log") + 1]).write_text(json.dumps({{"summaryEvent": summary}}))
if argv[0] == "up" and "PULUMI_UP_SAYS" in os.environ:
    said = json.loads(os.environ["PULUMI_UP_SAYS"])
    said = [{{"diagnosticEvent": {{"severity": "error", "message": message}}}} for message in said]
    pathlib.Path(argv[argv.index("--event-log") + 1]).write_text("\\n".join(map(json.dumps, said)))
    print("what was deployed before")
sys.exit(int(os.environ.get("PULUMI_" + argv[0].upper() + "_ENDS", "0")))
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in which a program instead of `pulumi` notes its calls; the shipped stacks are beside it."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "pulumi"
    program.write_text(PULUMI.format(python=sys.executable, root=str(tmp_path)))
    program.chmod(0o755)
    for path in ROOT.glob("Pulumi.*.yaml"):
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PULUMI_DEBUG_PROVIDERS", "aws:1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path / "calls"


def noted(calls: Path) -> list[tuple[str, bool, dict[str, str] | None]]:
    """Return what was called: the verb, whether the pack runs in this environment, and the levels."""
    lines = [json.loads(line) for line in calls.read_text().splitlines()]
    return [
        (line["argv"][0], f"virtualenv: {json.dumps(sys.prefix)}" in line["runtime"], line["levels"]) for line in lines
    ]


def test_an_update_is_previewed_and_made_under_the_same_pack(calls: Path) -> None:
    """The update sees values that its preview could not know, and must not be held to less."""
    assert up.main(["--stack", "dev"]) == ExitCode.DONE
    levels = {"deletion-protected": "disabled", "stateful-protected": "disabled", "listener-tls": "advisory"}
    assert noted(calls) == [("preview", True, levels), ("up", True, levels)]


def test_nothing_is_made_after_a_preview_that_failed(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The update is not begun."""
    monkeypatch.setenv("PULUMI_PREVIEW_ENDS", "255")
    assert up.main(["--stack", "staging"]) == ExitCode.PLATFORM_FAILED
    assert [verb for verb, _, _ in noted(calls)] == ["preview"]


def test_a_failed_update_is_the_platforms(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pulumi's own code says nothing."""
    monkeypatch.setenv("PULUMI_UP_ENDS", "255")
    assert up.main(["--stack", "staging"]) == ExitCode.PLATFORM_FAILED
    assert len(noted(calls)) == 2


@pytest.mark.parametrize("stack", ["local", "staging"])
def test_the_cause_of_a_failed_update_is_the_last_that_is_said(
    stack: str, calls: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Pulumi prints the outputs of the last good update after it, a page that ends with a verdict of that one."""
    monkeypatch.setenv("PULUMI_UP_ENDS", "255")
    said = ("update failed", "<{%reset%}>server.worker is no setting\nDid you mean workers?")
    own = (
        "an unhandled error occurred: the program ended with exit code 1",
        "Resource monitor has terminated, shutting",
    )
    monkeypatch.setenv("PULUMI_UP_SAYS", json.dumps([*said, *own]))
    assert up.main(["--stack", stack]) == ExitCode.PLATFORM_FAILED
    out, err = capfd.readouterr()
    assert "what was deployed before" in out
    assert err.splitlines()[-2:] == ["  server.worker is no setting", "  Did you mean workers?"]
    assert str(calls.parent) not in err


def test_a_stack_file_that_is_no_yaml_is_named_with_its_line(
    calls: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Pulumi says what its parser met, and neither the file nor anything of its events."""
    monkeypatch.setenv("PULUMI_UP_ENDS", "255")
    path = calls.parent / "Pulumi.local.yaml"
    path.write_text(path.read_text() + "\thunter2: [1\n")
    line = len(path.read_text().splitlines())
    assert up.main(["--stack", "local"]) == ExitCode.PLATFORM_FAILED
    err = capfd.readouterr().err
    assert f"Pulumi.local.yaml is not YAML (line {line})" in err
    assert "hunter2" not in err


def noted_down(path: Path, text: str) -> bool:
    """Whether this is what the program has written."""
    return path.exists() and path.read_text() == text


def test_an_update_that_is_interrupted_twice_ends_without_a_traceback(calls: Path) -> None:
    """People press Ctrl-C again while Pulumi ends what it has begun; each goes to both, as a terminal sends it."""
    (calls.parent / "bin" / "pulumi").write_text(
        f"#!{sys.executable}\nimport pathlib, signal, sys\n"
        f"noted, times = pathlib.Path({str(calls)!r}), []\n"
        "def note(*_):\n    times.append(1)\n    noted.write_text(str(len(times)))\n"
        "signal.signal(signal.SIGINT, note)\n"
        "noted.write_text('0')\n"
        "while len(times) < 2:\n    signal.pause()\n"
        "print('ended by itself')\nsys.exit(255)\n"
    )
    command = (sys.executable, "-c", "import sys; from scripts import up; sys.exit(up.main(['--stack', 'local']))")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command,
        cwd=calls.parent,
        env=environment,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        for times in ("0", "1"):
            eventually(partial(noted_down, calls, times), within_s=20, what=f"{times} interrupts noted")
            os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert b"ended by itself" in out
    assert b"Traceback" not in err
    assert process.returncode == ExitCode.PLATFORM_FAILED


def test_a_local_update_costs_nothing_more(calls: Path) -> None:
    """No preview, no analyzer, no settings library, and of the reports nothing unless it fails."""
    program = (
        "import os, sys\n"
        "from scripts import up\n"
        "unused = {'pydantic', 'yaml', 'pulumi', 'mlflow_backend.commands.preview', 'mlflow_backend.report'}\n"
        "assert not unused & set(sys.modules)\n"
        f"os.chdir({str(calls.parent)!r})\n"
        "up.main(['--stack', 'local'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0
    assert [(verb, levels) for verb, _, levels in noted(calls)] == [("up", None)]
    # What is done is reported once: nobody is asked after the engine's own preview.
    assert "--skip-preview" in calls.read_text()
