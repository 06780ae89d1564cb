"""The ecs target on emulated AWS: a preview of the stack `dev`, and a rollback beside what ecs-deploy does."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from moto.ecs.responses import EC2ContainerServiceResponse

from benchmarks.row import Row, interleaved
from mlflow_backend.schema_tables import required_heads
from tests.engine.project import ROOT
from tests.rig import contents
from tests.rig.aws.rig import AwsRig
from tests.rig.aws.scene import CLUSTER, FAMILY, SERVICE, VERSION, Scene
from tests.rig.aws.stack import AwsStack
from tests.rig.clock import TINY
from tests.rig.patches import Patches
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PREVIEWS: Final = 5
_ROLLBACKS: Final = 15
_COMMAND_TIMEOUT_S: Final = 300
_SNAPSHOT: Final = ROOT / "tests" / "components" / "ecs" / "snapshots" / "dev.txt"
# The command, with the folder that it keeps its journal in, which is its checkout otherwise.
_COMMAND: Final = """
import sys
from pathlib import Path
from mlflow_backend.commands.rollback import main
sys.exit(main(root=Path(sys.argv.pop(1))))
"""
_BEFORE_THE_SWITCH: Final = ("describe_services", "list_task_definitions", "describe_task_definition")


def measure() -> Iterator[Row]:
    """Measure both on rigs of their own, and leave nothing."""
    with tempfile.TemporaryDirectory(prefix="mlflow-backend-bench-") as folder:
        with AwsRig(Path(folder) / "previews", TINY) as rig:
            yield preview(rig, Path(folder))
        with AwsRig(Path(folder) / "rollbacks", TINY) as rig:
            yield from rollbacks(Scene(rig), Path(folder))


def preview(rig: AwsRig, folder: Path) -> Row:
    """Compare the first preview of the stack that ships with that of a program which imports the SDK alone."""
    rig.images.publish(VERSION, contents.small(), labels=contents.labels(VERSION))
    dev, empty = AwsStack(folder / "dev", rig), AwsStack(folder / "empty", rig)
    (empty.project / "__main__.py").write_text(_empty_program())
    # Each once before: Python compiles what it imports.
    _previewed(dev)
    _previewed(empty)
    ours, floor = interleaved(_PREVIEWS, partial(_previewed, dev), partial(_previewed, empty))
    return Row(
        what="rig: `preview` of `dev` / of an empty program with the same SDK",
        value=ours / floor,
        unit="x",
        limit=3,
        figures=f"{ours:.2f} s against {floor:.2f} s, medians of {_PREVIEWS}",
    )


def _empty_program() -> str:
    """Return a program that has imported of the SDK what the stack uses.

    `import pulumi_aws` reads next to nothing: each module is read when the first of its classes is touched, which
    asking for the module itself (or for its `dir`) does not do.
    """
    types = sorted(set(re.findall(r"\$aws:(\w+)/\w+:(\w+)", _SNAPSHOT.read_text(encoding="utf-8"))))
    touched = "".join(f"pulumi_aws.{module}.{name}\n" for module, name in types)
    return f"import pulumi\nimport pulumi_aws\n{touched}"


def _previewed(stack: AwsStack) -> None:
    outcome = stack.pulumi("preview", "--stack", stack.name)
    if not outcome.ok:
        raise RuntimeError(outcome.text)


@dataclass(kw_only=True)
class _Measured:
    """Seconds of one command: from its start until all tasks are new, from its first call to the switch, and in all."""

    serving: float
    asking: float
    whole: float


@dataclass
class _Calls:
    """When ECS was first asked, and when the service was switched; the figures of one command."""

    first: float | None = None
    switched: float | None = None
    patches: Patches = field(default_factory=Patches)

    def watch(self) -> None:
        """Note the moments of the calls from now on."""
        for name in (*_BEFORE_THE_SWITCH, "update_service"):
            self._note(name)

    def _note(self, name: str) -> None:
        def noted(response: Any) -> Any:
            self.first = self.first or time.perf_counter()
            if name == "update_service":
                self.switched = time.perf_counter()
            return before(response)

        before = self.patches.put(EC2ContainerServiceResponse, name, noted)


def rollbacks(scene: Scene, folder: Path) -> Iterator[Row]:
    """Let two commands take turns in bringing a service of two tasks from one revision to another and back."""
    first, second = scene.register(scene.image()), scene.register(scene.image())
    scene.serve(first)
    scene.settled()
    ours, theirs = list[_Measured](), list[_Measured]()
    for turn in range(_ROLLBACKS):
        for taken, command in ((ours, partial(_rollback, folder)), (theirs, _ecs_deploy)):
            wanted = second if turn % 2 == 0 else first
            taken.append(_timed(scene, command(wanted.rpartition(":")[2])))
    added = _median(ours, "asking") - _median(theirs, "asking")
    serving, floor = _median(ours, "serving") - added, _median(theirs, "serving")
    asking = f"{_median(ours, 'asking'):.2f} s, of ecs-deploy {_median(theirs, 'asking'):.2f} s"
    ends = f"{_median(ours, 'whole'):.1f} s against {_median(theirs, 'whole'):.1f} s with each command's own wait"
    yield Row(
        what="rig: rollback command to new tasks serving, without gate and plan / ecs-deploy",
        value=serving / floor,
        unit="x",
        limit=1,
        figures=f"{serving:.2f} s against {floor:.2f} s, medians of {_ROLLBACKS}; {ends}",
    )
    yield Row(
        what="rig: what gate and plan add to a rollback",
        value=added,
        unit="s",
        limit=1,
        figures=f"from the first call to the switch {asking}",
    )


def _median(taken: Sequence[_Measured], name: str) -> float:
    return statistics.median(float(getattr(each, name)) for each in taken)


def _timed(scene: Scene, argv: Sequence[str]) -> _Measured:
    """Run a command that replaces every task, and look at the tasks from outside while it waits."""
    calls, before = _Calls(), scene.rig.live_tasks

    def replaced() -> bool:
        # Read in this process: asking costs nobody a call.
        return bool(scene.rig.live_tasks) and not set(scene.rig.live_tasks) & set(before)

    with calls.patches:
        calls.watch()
        began = time.perf_counter()
        command = subprocess.Popen(
            argv,
            cwd=ROOT,
            env={**os.environ, **scene.rig.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            until(lambda: replaced() or command.poll(), what="new tasks", deadline_s=_COMMAND_TIMEOUT_S)
            serving = time.perf_counter() - began
            said, _ = command.communicate(timeout=_COMMAND_TIMEOUT_S)
        finally:
            command.kill()
            command.wait()
        whole = time.perf_counter() - began
    if command.returncode != 0 or calls.first is None or calls.switched is None:
        raise RuntimeError(said)
    return _Measured(serving=serving, asking=calls.switched - calls.first, whole=whole)


def _rollback(folder: Path, number: str) -> list[str]:
    heads = required_heads(VERSION, auth=False)
    service = ["--cluster", CLUSTER, "--service", SERVICE]
    known = ["--live-head", (heads.tracking if heads else "") or ""]
    return [sys.executable, "-c", _COMMAND, str(folder), *service, "--to", number, *known, "--no-verify", "--yes"]


def _ecs_deploy(number: str) -> list[str]:
    # It registers what it goes back to anew, and must not deregister what the next turn goes back to.
    program = str(Path(sys.executable).with_name("ecs"))
    return [program, "deploy", CLUSTER, SERVICE, "--task", f"{FAMILY}:{number}", "--no-deregister", "--timeout", "300"]
