"""The machine that a workflow runs on: its files for outputs and summary, and programs.

Outside of GitHub the files are not named, and nothing is written.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend.commands import running
from tools.bootstrap import shell
from tools.bootstrap.layout import find_layout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STATE = "MLFLOW_BACKEND_STATE"
"""Names the address of the Pulumi state that a team shares, such as s3://BUCKET; a repository variable."""
INTERRUPT_S = 120
"""Seconds that an interrupted program has to end: the engine waits for what it has begun in the cloud."""


class MissingStateError(Exception):
    """The address of the shared state is not given."""


def output(name: str, value: str, environment: Mapping[str, str] = os.environ) -> None:
    """Give the workflow an output of this step. The value is one line."""
    if "\n" in value:
        message = f"the output {name} has several lines"
        raise ValueError(message)
    _append(environment.get("GITHUB_OUTPUT"), f"{name}={value}\n")


def summary(markdown: str, environment: Mapping[str, str] = os.environ) -> None:
    """Show `markdown` on the page of the workflow's run."""
    _append(environment.get("GITHUB_STEP_SUMMARY"), f"{markdown.rstrip()}\n")


def _append(path: str | None, text: str) -> None:
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)


def pulumi_environment(base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment in which Pulumi works on the shared state, with the project's own CLI.

    The stack's secrets are encrypted by the key that its file names (`secretsprovider`): there is no passphrase here.
    Raises MissingStateError.
    """
    if not base.get(STATE):
        message = f"{STATE} is not set: it names the address of the shared Pulumi state, such as s3://BUCKET"
        raise MissingStateError(message)
    changed = shell.environment(find_layout(dict(base)), base)
    for name in ("PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER"):
        del changed[name]
    # The engine would hold a plugin that it fetches to nothing; scripts/preview.py brings it.
    return {**changed, "PULUMI_BACKEND_URL": base[STATE], "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true"}


def run(argv: Sequence[str], *, cwd: Path, environment: Mapping[str, str], deadline_s: float) -> int:
    """Run a program, its output going where ours goes; its exit code (see running.wait)."""
    process = running.start(argv, cwd=cwd, env=environment, stdin=subprocess.DEVNULL)
    return running.wait(process, argv[0], deadline_s=deadline_s, interrupt_s=INTERRUPT_S)
