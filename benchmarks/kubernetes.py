"""The target kubernetes: rendering all documents; on the rig's cluster, a preview, and a rollback beside kubectl's."""

from __future__ import annotations

import re
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.row import Row, interleaved, seconds
from mlflow_backend.kubernetes.naming import SERVER
from tests.components.kubernetes import documents, stacks
from tests.engine.project import ROOT
from tests.rig.kubernetes import prepared
from tests.rig.kubernetes.backend import ClusterStack, laid_out
from tests.rig.kubernetes.cluster import Cluster
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow_backend.kubernetes.platform import KubernetesPlatform

_RENDER_RUNS: Final = 200
_PREVIEWS: Final = 5
_ROLLBACKS: Final = 3
_DEADLINE_S: Final = 400
_SNAPSHOT: Final = ROOT / "tests" / "components" / "kubernetes" / "snapshots" / "cluster.txt"
_SECTIONS: Final = {"server": {"replicas": 1}, "scaling": {"maxReplicas": 1}}


def measure() -> Iterator[Row]:
    """Measure all, on a cluster of its own, and leave nothing."""
    yield rendering()
    if why := prepared.why_not():
        raise RuntimeError(f"the rig's cluster does not run here: {why}")
    with tempfile.TemporaryDirectory(prefix="mlflow-backend-bench-") as temporary:
        folder = Path(temporary)
        with (
            Cluster(folder / "cluster") as cluster,
            cluster.entered(),
            laid_out(folder / "stack", cluster, "bench", **_SECTIONS) as stack,
        ):
            yield preview(stack, folder)
            yield rollbacks(stack)


def rendering() -> Row:
    """Render every document of the stack `cluster`, from settings that are already read."""
    settings = stacks.settings_of()
    taken = sorted(seconds(partial(documents.all_of, settings)) * 1000 for _ in range(_RENDER_RUNS))
    return Row(
        what="kubernetes: render all documents",
        value=statistics.median(taken),
        unit="ms",
        limit=20,
        figures=f"median of {_RENDER_RUNS}; slowest {taken[-1]:.1f} ms",
    )


def preview(stack: ClusterStack, folder: Path) -> Row:
    """Compare the first preview of the stack that ships with that of a program with the SDK and the plugin alone."""
    empty = ClusterStack(folder / "empty", stack.cluster, stack.namespace)
    (empty.project / "__main__.py").write_text(_empty_program(stack.cluster))
    # Each once before: Python compiles what it imports.
    _previewed(stack)
    _previewed(empty)
    ours, floor = interleaved(_PREVIEWS, partial(_previewed, stack), partial(_previewed, empty))
    return Row(
        what="kubernetes: `preview` of `cluster` / of an empty program with the same SDK and plugin",
        value=ours / floor,
        unit="x",
        limit=2.5,
        figures=f"{ours:.2f} s against {floor:.2f} s, medians of {_PREVIEWS}",
    )


def _empty_program(cluster: Cluster) -> str:
    """Return a program that has imported of the SDK what the stack uses, and starts the plugin.

    `import pulumi_kubernetes` reads next to nothing: each module is read when the first of its classes is touched.
    """
    types = sorted(set(re.findall(r"\$kubernetes:(\w+)[\w.]*/(\w+):(\w+)", _SNAPSHOT.read_text(encoding="utf-8"))))
    touched = "".join(f"kubernetes.{group}.{version}.{name}\n" for group, version, name in types)
    made = f"kubernetes.Provider('cluster', kubeconfig={str(cluster.kubeconfig)!r}, context={cluster.context!r})\n"
    return f"import pulumi\nimport pulumi_kubernetes as kubernetes\n{touched}{made}"


def _previewed(stack: ClusterStack) -> None:
    outcome = stack.pulumi("preview", "--stack", stack.name)
    if not outcome.ok:
        raise RuntimeError(outcome.text)


def rollbacks(stack: ClusterStack) -> Row:
    """Let our command and kubectl's take turns in bringing real MLflow from one revision to the other."""
    first, second = (_deployed(stack, timeout) for timeout in (290, 300))
    switched, ours, theirs = list[float](), list[float](), list[float]()
    for _ in range(_ROLLBACKS):
        before, whole = _rolled_back(stack, first)
        switched.append(before)
        ours.append(whole)
        theirs.append(seconds(partial(_undone, stack)))
        until(partial(_serves, stack.platform, second), what=f"pods of {second} alone", deadline_s=_DEADLINE_S)
    mine, floor, gate = (statistics.median(taken) for taken in (ours, theirs, switched))
    return Row(
        what="kubernetes: rollback command to old pods ready, less `kubectl rollout undo` and `status`",
        value=mine - floor,
        unit="s",
        limit=1,
        figures=f"{mine:.1f} s, {gate:.1f} s of them before the switch, against {floor:.1f} s, medians of {_ROLLBACKS}",
    )


def _deployed(stack: ClusterStack, request_timeout: int) -> str:
    """Deploy another release, and return its revision."""
    stack.write_settings(server={"requestTimeout": request_timeout})
    stack.must_up()
    return str(stack.outputs()["release"]["revision"])


def _rolled_back(stack: ClusterStack, revision: str) -> tuple[float, float]:
    """Return the seconds from our command's start until the switch, and until the pods of a revision alone serve."""
    platform, began = stack.platform, time.perf_counter()
    command = stack.start_script("rollback", "--to", revision, "--yes", "--reason", "a benchmark")

    def seconds_until(moment: Callable[[], bool]) -> float:
        until(lambda: moment() or command.poll() is not None, what=f"revision {revision}", deadline_s=_DEADLINE_S)
        return time.perf_counter() - began

    try:
        switched = seconds_until(lambda: platform.wanted() == revision)
        serves = seconds_until(lambda: _serves(platform, revision))
        code = command.wait(timeout=_DEADLINE_S)
    finally:
        stack.kill(command)
    if code != 0:
        raise RuntimeError(stack.background_log.read_text())
    return switched, serves


def _undone(stack: ClusterStack) -> None:
    for verb in ("undo", "status"):
        server = f"deployment/{stack.naming.part(SERVER)}"
        stack.cluster.kubectl("rollout", verb, server, "-n", stack.namespace, deadline_s=_DEADLINE_S)


def _serves(platform: KubernetesPlatform, revision: str) -> bool:
    """Return whether every pod is of a revision and ready."""
    return platform.wanted() == revision and platform.busy() is None and platform.serving() == revision
