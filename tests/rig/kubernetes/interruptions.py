"""Commands on a stack of the rig's cluster that are killed in the middle, and what may be there after the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.deployed import DeployedBackend
from tests.server.services import until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from tests.rig.kubernetes.backend import ClusterStack

_SOON_S: Final = 400


def job_runs(stack: ClusterStack, part: str, word: str) -> bool:
    """Return whether a Job of a part runs, whose command has a word."""
    name = stack.naming.part(part)
    return any(
        each["metadata"]["name"].startswith(name)
        and (each.get("status") or {}).get("active")
        and word in each["spec"]["template"]["spec"]["containers"][0]["command"]
        for each in stack.cluster.get("jobs", stack.namespace)
    )


def kill_when(
    stack: ClusterStack, command: subprocess.Popen[bytes], moment: Callable[[], object], *, what: str
) -> None:
    """SIGKILL a command and all that it started, at a moment."""
    try:
        until(lambda: command.poll() is not None or moment(), what=what, deadline_s=_SOON_S)
        assert command.poll() is None, stack.background_log.read_text()
    finally:
        stack.kill(command)


def update_again(stack: ClusterStack) -> None:
    """Update after a killed one, of which the engine has noted what it began; nothing of that one is left."""
    stack.pulumi("cancel", "--yes", "--stack", stack.name)
    stack.must_up("--refresh")
    assert_tidy(stack)


def assert_tidy(stack: ClusterStack) -> None:
    """Hold the namespace against what only a command that runs may have there, and the store too."""
    assert not stack.has_candidate
    assert stack.found("jobs") == set()
    backend = DeployedBackend(stack.platform)
    assert (backend.migration.load(), backend.rollback.load()) == (None, None)
