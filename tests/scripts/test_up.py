"""The update command: which commands of Pulumi it runs for which target, under which pack, and when it stops."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.contract import ExitCode
from scripts import up
from tests.tools.projects import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PULUMI = """#!{python}
import json, os, pathlib, sys
root = pathlib.Path({root!r})
argv = sys.argv[1:]
config = argv[argv.index("--policy-pack-config") + 1] if "--policy-pack-config" in argv else None
levels = json.loads(pathlib.Path(config).read_text()) if config else None
pack = pathlib.Path(argv[argv.index("--policy-pack") + 1]) if config else None
runtime = (pack / "PulumiPolicy.yaml").read_text() if pack and (pack / "__main__.py").exists() else ""
with (root / "calls").open("a") as calls:
    calls.write(json.dumps({{"argv": argv, "levels": levels, "runtime": runtime}}) + "\\n")
if argv[0] == "preview":
    summary = {{"isPreview": True, "result": "succeeded", "resourceChanges": {{}}}}
    pathlib.Path(argv[argv.index("--event-log") + 1]).write_text(json.dumps({{"summaryEvent": summary}}))
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


def test_a_local_update_costs_nothing_more(calls: Path) -> None:
    """No preview, no analyzer, no settings library: the command becomes Pulumi's own process."""
    program = (
        "import os, sys\n"
        "from scripts import up\n"
        "assert not {'pydantic', 'yaml', 'pulumi', 'mlflow_backend.commands.preview'} & set(sys.modules)\n"
        f"os.chdir({str(calls.parent)!r})\n"
        "up.main(['--stack', 'local'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0
    assert [(verb, levels) for verb, _, levels in noted(calls)] == [("up", None)]
    # What is done is reported once: nobody is asked after the engine's own preview.
    assert "--skip-preview" in calls.read_text()
