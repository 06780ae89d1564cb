"""The target cloudrun, without Google: rendering, what the front costs, a preview, and a rollback on the rig."""

from __future__ import annotations

import json
import math
import os
import re
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
import yaml

from benchmarks import server
from benchmarks.row import Row, interleaved, seconds
from mlflow_backend.cloudrun import refusals
from mlflow_backend.cloudrun.render import front, jobs, service
from mlflow_backend.cloudrun.render.service import Traffic
from mlflow_backend.cloudrun.render.size import FRONT_CPUS
from mlflow_backend.gcp.render import alerts, cache, database, identity, network, secrets, storage
from mlflow_backend.local import ports
from mlflow_backend.local.tools import installed
from tests.components.cloudrun import stacks
from tests.components.cloudrun.stacks import NAMING
from tests.engine.project import ROOT
from tests.rig import contents
from tests.rig.clock import SERVERS, TINY
from tests.rig.gcp.life import begin
from tests.rig.gcp.operations import Operations
from tests.rig.gcp.rig import GcpRig
from tests.rig.gcp.run import traffic
from tests.rig.gcp.stack import GcpStack
from tests.rig.patches import Patches
from tests.server.servers import install_package
from tests.server.services import start_services, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.rig.gcp.life import Life

_VERSION: Final = "3.17.2"
_RENDER_RUNS: Final = 200
_TURNS: Final = 15
_CLIENTS: Final = 2
_SECONDS: Final = 1.0
_STARTED_S: Final = 20
_PREVIEWS: Final = 5
_ROLLBACKS: Final = 4
_SNAPSHOT: Final = ROOT / "tests" / "components" / "cloudrun" / "snapshots" / "basic.txt"


def measure() -> Iterator[Row]:
    """Measure all, on rigs of their own, and leave nothing."""
    yield rendering()
    yield front_cpu()
    with tempfile.TemporaryDirectory(prefix="mlflow-backend-bench-") as folder:
        with GcpRig(Path(folder) / "previews", TINY) as rig:
            yield preview(rig, Path(folder))
        with GcpRig(Path(folder) / "rollbacks", SERVERS) as rig:
            yield rollback(begin(Path(folder), rig, _VERSION))


def rendering() -> Row:
    """Render every document of a stack, from settings that are already read."""
    settings = stacks.changed("basic", {})
    drawn, vpc = stacks.surroundings(settings), network.network_name(NAMING, "n")

    def whole() -> None:
        refusals.refuse_unsupported(settings)
        release = service.release_identity(settings, NAMING)
        service.service(settings, NAMING, drawn, release=release, traffic=Traffic())
        jobs.database_job(settings, NAMING, drawn)
        jobs.verify_job(settings, NAMING, drawn, ("python", "--version"))
        network.network(NAMING)
        network.subnet(settings, NAMING, network=vpc)
        network.services_range(NAMING, network=vpc)
        database.instance(settings, NAMING, network=vpc)
        cache.instance(settings, NAMING, network=vpc)
        storage.bucket(settings, NAMING, protect=True)
        secrets.secret(settings, NAMING)
        identity.grants(storage.store(settings, NAMING), {identity.SERVER: secrets.names(settings)})
        for alert in alerts.alerts(settings, NAMING, least=1):
            alerts.policy(alert, settings, NAMING, channels=[])

    taken = sorted(seconds(whole) * 1000 for _ in range(_RENDER_RUNS))
    return Row(
        what="cloudrun: render all documents",
        value=statistics.median(taken),
        unit="ms",
        limit=20,
        figures=f"median of {_RENDER_RUNS}; slowest {taken[-1]:.1f} ms",
    )


def front_cpu() -> Row:
    """Compare the CPU-seconds that the front takes for a runs/get with the server's, the request coming by h2c."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        root = Path(folder)
        services = start_services(root)
        stack.callback(services.close)
        package = install_package(root / "package")
        running = stack.enter_context(server.running(services, package, root, workers=1))
        inner, outer = ports.free(), ports.free()
        ours = front.configuration(server_port=running.port, workers=1, host="127.0.0.1", port=inner)
        said = front.environment(server_port=running.port, workers=1, cpus=FRONT_CPUS)
        fronting = stack.enter_context(_caddy(root / "front", inner, ours, said))
        stack.enter_context(_caddy(root / "google", outer, _google(outer, inner)))
        path = f"/api/2.0/mlflow/runs/get?run_id={server.make_run(running)}"
        load = server.Load(name="get", clients=_CLIENTS, method="GET", path=path)
        server.drive(outer, load, _SECONDS)
        shares, costs = list[float](), list[float]()
        for _ in range(_TURNS):
            before = _cpu(fronting), server.cpu_seconds(running)
            count = server.drive(outer, load, _SECONDS)
            spent, served = _cpu(fronting) - before[0], server.cpu_seconds(running) - before[1]
            shares.append(spent / served)
            costs.append(spent / count)
    return Row(
        what="cloudrun: CPU of the h2c front / of the server, runs/get",
        value=statistics.median(shares),
        unit="x",
        limit=0.05,
        figures=f"{statistics.median(costs) * 1000:.2f} CPU-ms a request, median of {_TURNS}",
    )


@contextmanager
def _caddy(
    folder: Path, port: int, configuration: dict[str, Any], environment: Mapping[str, str] | None = None
) -> Iterator[psutil.Process]:
    folder.mkdir()
    path = folder / "caddy.json"
    path.write_text(json.dumps(configuration), encoding="utf-8")
    state = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}
    process = subprocess.Popen(
        [str(installed("caddy")), "run", "--config", str(path)],
        env={"PATH": os.environ["PATH"], **state, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: ports.listens(port), what=f"Caddy at {port}", deadline_s=_STARTED_S)
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def _google(port: int, upstream: int) -> dict[str, Any]:
    """Return what stands for Google's proxy: callers speak HTTP/1.1 to it, and it h2c to the front."""
    proxy = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"127.0.0.1:{upstream}"}],
        "transport": {"protocol": "http", "versions": ["h2c"]},
    }
    listening = {"listen": [f"127.0.0.1:{port}"], "protocols": ["h1"], "routes": [{"handle": [proxy]}]}
    return {
        "admin": {"disabled": True},
        "logging": {"logs": {"default": {"level": "ERROR"}}},
        "apps": {"http": {"servers": {"google": listening}}},
    }


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def preview(rig: GcpRig, folder: Path) -> Row:
    """Compare the first preview of the stack that ships with that of a program which imports the SDK alone."""
    image = rig.registry.publish(_VERSION, contents.small(), labels=contents.labels(_VERSION))
    config = yaml.safe_load((ROOT / "Pulumi.gcp.yaml").read_text(encoding="utf-8"))["config"]
    settings = {key.partition(":")[2]: each for key, each in config.items()}
    settings["server"]["image"] = image
    settings["gcp"] |= {"project": rig.project, "projectNumber": rig.number, "region": rig.region}
    ours, empty = GcpStack(folder / "gcp", rig, settings), GcpStack(folder / "empty", rig, settings)
    # pulumi_gcp reads a module when the first of its classes is touched.
    types = sorted(set(re.findall(r"\$gcp:(\w+)/\w+:(\w+)", _SNAPSHOT.read_text(encoding="utf-8"))))
    touched = "".join(f"pulumi_gcp.{module}.{name}\n" for module, name in types)
    (empty.project / "__main__.py").write_text(f"import pulumi\nimport pulumi_gcp\n{touched}")
    # Each once before: Python compiles what it imports.
    _previewed(ours)
    _previewed(empty)
    taken, floor = interleaved(_PREVIEWS, partial(_previewed, ours), partial(_previewed, empty))
    return Row(
        what="cloudrun: `preview` of `gcp` / of an empty program with the same SDK",
        value=taken / floor,
        unit="x",
        limit=2.5,
        figures=f"{taken:.2f} s against {floor:.2f} s, medians of {_PREVIEWS}",
    )


def _previewed(stack: GcpStack) -> None:
    outcome = stack.pulumi("preview", "--stack", stack.name)
    if not outcome.ok:
        raise RuntimeError(outcome.text)


@dataclass
class _Watch:
    """When Cloud Run's operations were under way, and when the service or one of its tags was asked."""

    operations: list[tuple[float, float]] = field(default_factory=list)
    requests: dict[str, list[float]] = field(default_factory=dict)
    patches: Patches = field(default_factory=Patches)

    def begin(self) -> None:
        """Note both from now on."""

        def begun(own: Any, parent: str, work: Any, **more: Any) -> Any:
            def timed() -> Any:
                began = time.perf_counter()
                try:
                    return work()
                finally:
                    self.operations.append((began, time.perf_counter()))

            return begin_operation(own, parent, timed, **more)

        def answered(own: Any, exchange: Any) -> None:
            seen = self.requests.setdefault(exchange.host, [])
            seen.append(time.perf_counter())
            answer(own, exchange)
            seen.append(time.perf_counter())

        begin_operation = self.patches.put(Operations, "begin", begun)
        answer = self.patches.put(traffic.Traffic, "answer", answered)

    @property
    def verifying(self) -> float:
        """Seconds from the first request to a host to the end of its last one, summed.

        Those before an operation and after it are apart: the server that serves says the schema at the beginning, and
        is verified at the end.
        """
        begun = [0.0, *(begin for begin, _ in self.operations), math.inf]
        spans = (
            [at for at in each if begin <= at < end]
            for each in self.requests.values()
            for begin, end in pairwise(begun)
        )
        return sum(max(each) - min(each) for each in spans if each)

    @property
    def operating(self) -> float:
        """Seconds of operations, which follow each other."""
        return sum(end - begin for begin, end in self.operations)


def rollback(life: Life) -> Row:
    """Go back and forth between two releases, and leave out what the platform and both verifications take."""
    life.stack.must_up()
    first = life.serving()
    life.stack.write_settings(server={"workers": 2})
    life.stack.must_up()
    revisions = (first, life.serving())
    taken = [_rolled_back(life, revisions[number % 2]) for number in range(_ROLLBACKS)]
    own, operating, verifying = (statistics.median(each) for each in zip(*taken, strict=True))
    return Row(
        what="cloudrun: rollback without the platform's operations and two verifications",
        value=own,
        unit="s",
        limit=1,
        figures=f"medians of {_ROLLBACKS}; operations {operating:.1f} s, verifications {verifying:.1f} s",
    )


def _rolled_back(life: Life, revision: str) -> Sequence[float]:
    watch = _Watch()
    with watch.patches:
        watch.begin()
        began = time.perf_counter()
        done = life.stack.script("rollback", "--to", revision, "--reason", "a measurement", "--yes")
        whole = time.perf_counter() - began
    if done.code != 0 or life.serving() != revision:
        raise RuntimeError(done.text)
    return whole - watch.operating - watch.verifying, watch.operating, watch.verifying
