"""What the engine tests of releases share: the project's commands run on a stack under test, and a real client."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_backend.commands import running
from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.local import environment
from mlflow_backend.local.platform import LocalPlatform
from tests.engine.project import ROOT, Outcome

if TYPE_CHECKING:
    import signal

    from tests.engine.stack import LocalStack

CLIENT = Path(__file__).parent / "client.py"
# The newest client talks to every server of these tests: 2.9.2 and up.
CLIENT_VERSION = "2.9.2"
_TIMEOUT_S = 500
_OFFERED = re.compile(r"python -m (?:scripts|mlflow_backend\.commands)\.(\w+)( [^`\n]*)?`")
_CALL = """
import sys
from pathlib import Path
from scripts.{} import main
sys.exit(main(sys.argv[2:], root=Path(sys.argv[1])))
"""


def command(stack: LocalStack, script: str, *arguments: str) -> list[str]:
    """Return the command line that runs one of the project's scripts on the stack under test."""
    by_stack = () if "--locator" in arguments else ("--stack", stack.name)
    return [sys.executable, "-c", _CALL.format(script), str(stack.project), *by_stack, *arguments]


def run(stack: LocalStack, script: str, *arguments: str) -> Outcome:
    """Run a script to its end; its text is what it printed for people and for programs."""
    done = subprocess.run(
        command(stack, script, *arguments),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    return Outcome(done.returncode, done.stdout)


def run_offered(stack: LocalStack, text: str, *besides: str) -> Outcome:
    """Run the command that a message offers as it stands there; `besides` answers what it asks a person for."""
    offered = {(match[1], match[2] or "") for match in _OFFERED.finditer(text)}
    assert len(offered) == 1, text
    ((script, arguments),) = offered
    line = shlex.split(arguments)
    assert line[:2] in (["--stack", stack.name], ["--locator", str(stack.state.path)]), arguments
    return run(stack, script, *line, *besides)


def start(stack: LocalStack, script: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a script, to be killed in the middle."""
    return subprocess.Popen(
        command(stack, script, *arguments),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=running.take_interrupts,  # noqa: PLW1509
    )


def kill_at(stack: LocalStack, process: subprocess.Popen[bytes], step: str, sign: signal.Signals) -> bool:
    """Send a signal as soon as the journal says that the step has begun; return whether that was before its end."""
    deadline = time.monotonic() + 240
    journal = releases(stack).rollback
    while process.poll() is None and time.monotonic() < deadline:
        entry = journal.load()
        if entry is not None and entry["steps"][0] == step:
            process.send_signal(sign)
            break
        time.sleep(0.002)
    process.wait(timeout=240)
    return journal.load() is not None


def releases(stack: LocalStack) -> DeployedBackend:
    """Return the stack's releases as the scripts see them."""
    return DeployedBackend(LocalPlatform(stack.state))


def serving(stack: LocalStack) -> str | None:
    """Return the revision that serves."""
    return releases(stack).platform.serving()


def client(stack: LocalStack, what: str, *arguments: str) -> Any:
    """Run the real client against the stack; return what it printed."""
    done = subprocess.run(
        _client_command(stack, what, *arguments),
        env=_client_environment(),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout) if done.stdout.strip() else None


def start_client(stack: LocalStack, what: str, *arguments: str) -> subprocess.Popen[str]:
    """Start the real client beside the test."""
    command_line = _client_command(stack, what, *arguments)
    return subprocess.Popen(
        command_line, env=_client_environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def _client_command(stack: LocalStack, what: str, *arguments: str) -> list[str]:
    python = environment.install(CLIENT_VERSION).path / "bin" / "python"
    return [str(python), str(CLIENT), what, stack.output("trackingUrl"), *arguments]


def _client_environment() -> dict[str, str]:
    # Retries would hide the requests that a switch drops.
    return {**os.environ, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_DISABLE_TELEMETRY": "true"}
