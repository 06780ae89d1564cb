"""Checks that have a real MLflow client do what a team's code does: one process a client, one check an action.

The process is started by the first check and does its actions in order; each action's check waits for its line. What it
makes has the names of a verification, so that a sweep finds what a client left that was killed.
"""

from __future__ import annotations

import ast
import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.verify.check import Check
from mlflow_backend.verify.clients import environment
from mlflow_backend.verify.clients.differences import difference
from mlflow_backend.verify.model import Finding, Part, failed, passed, skipped
from mlflow_backend.verify.tracking import PREFIX, TAG, TEXT

if TYPE_CHECKING:
    from mlflow_backend.verify.context import Context

SCRIPT: Final = Path(__file__).with_name("script.py")
QUIET: Final = {
    # A server that fails is found by two repetitions; MLflow's own seven take minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "PYTHONUTF8": "1",
}
OURS: Final = ("MLFLOW_", "PYTHON", "COVERAGE_")
"""Variables of whoever verifies that would change what the client does."""
PARTS: Final = {
    "nested_artifacts": Part.ARTIFACTS,
    "large_artifact": Part.ARTIFACTS,
    "threshold_higher": Part.SERVER,
    "threshold_greater": Part.SERVER,
}
"""The part that an action shows to work, if it is not the database."""


@cache
def actions() -> dict[str, str]:
    """What the script can do, in its order: the name of each action, and what it does."""
    classes = [node for node in ast.parse(SCRIPT.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    (team,) = (node for node in classes if node.name == "Team")
    methods = [node for node in team.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    return {method.name: ast.get_docstring(method) or method.name for method in methods}


@dataclass
class Session:
    """One client at work on one backend: its process, and the lines that it has printed."""

    version: str
    python: Path | None = None
    process: subprocess.Popen[str] | None = None
    folder: str = ""
    lines: queue.SimpleQueue[dict[str, Any] | None] = field(default_factory=queue.SimpleQueue)

    def prepare(self) -> None:
        """Install the client's environment. Raises PlatformFailed."""
        self.python = environment.install(self.version)

    def start(self, context: Context) -> Finding:
        """The client starts, and is the version that it should be."""
        self.folder = tempfile.mkdtemp(prefix="mlflow-client-")
        context.undo_later(f"the process of client {self.version}", lambda _: self.stop())
        asked = json.dumps(self._asked(context))
        self.process = subprocess.Popen(
            [str(self.python), str(SCRIPT)],
            env=self._variables(context),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=self.folder,
        )
        threading.Thread(target=self._read, args=(self.process, asked), daemon=True).start()
        if self._line(context).get("says") == self.version:
            return passed(f"MLflow's client {self.version} runs")
        return failed(
            f"MLflow's client {self.version} did not start",
            code="client-not-started",
            cause="Its environment is broken: it was changed, or does not suit this machine.",
            next_step=f"Delete the environment of {self.python}, and verify again.",
        )

    def act(self, name: str, context: Context) -> Finding:
        """What became of an action."""
        why = difference(name, client=self.version, server=context.shared.served_version or "")
        if why:
            return skipped(why)
        line = self._line(context)
        if line.get("ok"):
            return passed(f"{line['says']} ({line['ms']} ms)")
        if not line:
            return failed(
                f"MLflow's client {self.version} ended before it did this",
                code="client-ended",
                cause="It was killed, or met what no Python program survives, such as too little memory.",
                next_step="See that this machine has memory for it, and verify again.",
            )
        return failed(
            str(line["says"]),
            code="client-refused",
            cause=f"The server, or something before it, does not serve MLflow's client {self.version} as others.",
            next_step="Read the client's words above, and try the same with a client of the server's own version.",
        )

    def stop(self) -> None:
        """End the process and delete its files."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _asked(self, context: Context) -> dict[str, Any]:
        created, served = context.created, context.shared.served_version or ""
        return {
            "own": f"{created.own}-{self.version}",
            "experiment": f"{PREFIX}/{created.own}-{self.version} {TEXT}",
            "model": f"{PREFIX}-{created.own}-{self.version}",
            "tags": {TAG: str(created.abandoned_at)},
            "folder": self.folder,
            "headers": context.shared.client.login,
            "actions": [name for name in actions() if not difference(name, client=self.version, server=served)],
        }

    def _variables(self, context: Context) -> dict[str, str]:
        subject = context.subject
        clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        trust = {"MLFLOW_TRACKING_SERVER_CERT_PATH": subject.ca_file} if subject.ca_file else {}
        if subject.insecure:
            trust = {"MLFLOW_TRACKING_INSECURE_TLS": "true"}
        return {**clean, **QUIET, **trust, "MLFLOW_TRACKING_URI": subject.url, "TMPDIR": self.folder}

    def _read(self, process: subprocess.Popen[str], asked: str) -> None:
        if process.stdin is None or process.stdout is None:
            raise AssertionError
        with suppress(BrokenPipeError), process.stdin as sent:
            sent.write(asked)
        with process.stdout as printed:
            for line in printed:
                self.lines.put(json.loads(line))
        self.lines.put(None)

    def _line(self, context: Context) -> dict[str, Any]:
        try:
            line = self.lines.get(timeout=context.deadline.left())
        except queue.Empty:
            return {"says": "it was not done when the deadline ended"}
        if line is None:
            # The checks that follow must not wait for what cannot come.
            self.lines.put(None)
        return line or {}


def checks_of(version: str) -> tuple[Check, ...]:
    """Return the checks of one client. Raises UsageError for what is no version."""
    environment.require_version(version)
    session = Session(version)
    first = f"client-{version}"
    needs = ("version", "experiment")
    found = [Check(name=first, part=Part.SERVER, run=session.start, prepare=session.prepare, needs=needs)]
    for name, does in actions().items():
        found.append(_check_of(session, name, does, after=found[-1].name))
    return tuple(found)


def _check_of(session: Session, name: str, does: str, *, after: str) -> Check:
    def run(context: Context) -> Finding:
        return session.act(name, context)

    run.__doc__ = f"MLflow's client {session.version} can do this: {does}"
    return Check(
        name=f"{session.version}-{name.replace('_', '-')}",
        part=PARTS.get(name, Part.DATABASE),
        run=run,
        needs=(f"client-{session.version}",),
        after=(after,),
    )
