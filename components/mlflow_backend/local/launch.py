"""The start of one supervised program from its manifest, with its secrets; supervisord runs it, nobody imports it.

`python -m mlflow_backend.local.launch STATE NAME DIGEST`: the digest is only there to make a changed manifest a changed
command. A program without children of its own is replaced into; one with children (`mlflow server` and its
workers) is kept as a tree: whatever ends its command ends all of them, so that no worker outlives it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend.codec import from_document
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local import credentials, encryption
from mlflow_backend.local.render import Program
from mlflow_backend.local.state import StateDir, read_object

if TYPE_CHECKING:
    from types import FrameType

# sysexits.h EX_CONFIG: supervisord gives up on a program that cannot be configured, instead of looping for ever.
_EX_CONFIG = 78
_CRASH_GRACE_S = 5.0


def main(arguments: list[str]) -> int:
    """Start the program that the arguments name."""
    state, name = StateDir(Path(arguments[0])), arguments[1]
    try:
        program = _program(state, name)
        environment = _environment(state, program)
        if program.tree:
            _refuse_other_schema(state, name)
    except (OSError, PlatformFailed) as error:
        print(f"launch {name}: {error}", file=sys.stderr, flush=True)  # noqa: T201 - supervisord keeps it as the log
        return _EX_CONFIG
    command = (*program.prefix, *program.argv)
    if program.tree:
        return _run_tree(state, program, command, environment)
    return os.execvpe(command[0], command, environment)  # noqa: S606 - the manifest is ours


def _program(state: StateDir, name: str) -> Program:
    """Return what the program's manifest says. Raises PlatformFailed."""
    path, fix = state.programs / f"{name}.json", "Run `make up`, which writes it anew"
    try:
        return from_document(Program, read_object(path, fix) or {})
    except ValueError:
        raise PlatformFailed(
            "is missing, or is no manifest of a program", code="manifest-damaged", fix=fix, part=str(path)
        ) from None


def _refuse_other_schema(state: StateDir, name: str) -> None:
    """Raise PlatformFailed if a revision's server would start on a schema that is not its own."""
    # Only servers pay for the import: every other program starts in half the time without it.
    from mlflow_backend.local import guard  # noqa: PLC0415

    guard.refuse_program(state, name)


def _environment(state: StateDir, program: Program) -> dict[str, str]:
    """Return the program's environment with its secrets resolved.

    A server gets the stack's encryption keys whatever its revision names: one that is older than they are would serve
    with MLflow's public defaults after a rollback.
    """
    resolved = {
        name: template.resolve(lambda reference: credentials.read(state, reference))
        for name, template in program.secret_environment.items()
    }
    marker = {"MLFLOW_BACKEND_PROGRAM": program.name}
    keys = encryption.in_force(state) if program.tree else {}
    return {**os.environ, **marker, **keys, **program.environment, **resolved}


def _run_tree(state: StateDir, program: Program, command: tuple[str, ...], environment: dict[str, str]) -> int:
    """Run the command and leave none of its descendants behind."""
    # Only programs with children pay for the import.
    import psutil  # noqa: PLC0415

    from mlflow_backend.local import processes  # noqa: PLC0415

    def tree() -> list[psutil.Process]:
        return processes.marked(str(state.path), program.name)

    # An earlier launcher may have been killed: its workers would keep the port and answer instead of ours.
    processes.end(tree(), timeout_s=0, ask=signal.SIGKILL)
    stopping = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True
        for process in tree():
            process.send_signal(signal.SIGTERM)

    # Before the child: a launcher that ends on the signal would leave it behind.
    signal.signal(signal.SIGTERM, stop)
    child = subprocess.Popen(command, env=environment)
    if stopping:
        child.terminate()
    code = child.wait()
    if stopping:
        # The command of 2.9 and 3.4 ends at once while its workers still answer their last requests.
        psutil.wait_procs(tree(), timeout=program.stop_timeout_s)
        processes.end(tree(), timeout_s=0, ask=signal.SIGKILL)
        return 0
    processes.end(tree(), timeout_s=_CRASH_GRACE_S)
    return code if code > 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
