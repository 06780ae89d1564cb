"""Prometheus metrics of all worker processes of a server, on a port of their own, never on the public one.

Every worker writes its numbers into files of one folder. The first worker that gets the port serves all of them, and
the others try again from time to time, so that the port outlives any one worker.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_backend_server.figures import processes
from mlflow_backend_server.settings import PREFIX, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mlflow_backend_server.figures.databases import DatabaseFigures
    from mlflow_backend_server.figures.figure import Figure

_logger = logging.getLogger(__name__)
FOLDER_VARIABLE = f"{PREFIX}METRICS_DIR"
_PROMETHEUS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_RETRY_S = 5.0
_ENDED = frozenset("ZX")
_PROCESS_FILE = re.compile(r"_(\d+)\.db$")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


def prepare_folder(environment: Mapping[str, str]) -> dict[str, str]:
    """Make the folder of this server's numbers, empty, and return the variables that its workers need.

    Called once, before there are workers. Without MLFLOW_BACKEND_METRICS_DIR it is in the temporary folder and is
    named by the process group; those of groups that are gone are removed, because a killed server cannot do it.
    """
    named = environment.get(FOLDER_VARIABLE)
    stem = "mlflow-backend-metrics-"
    folder = Path(named) if named else Path(tempfile.gettempdir()) / f"{stem}{os.getpgrp()}"
    if not named:
        for other in folder.parent.glob(f"{stem}*"):
            if not group_lives(other.name.removeprefix(stem)):
                shutil.rmtree(other, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in folder.glob("*.db"):
        left.unlink(missing_ok=True)
    processes.prepare(folder)
    return {FOLDER_VARIABLE: str(folder), _PROMETHEUS_VARIABLE: str(folder)}


class Metrics:
    """The metrics of one worker process."""

    def __init__(self, settings: Settings, *, version: str) -> None:
        """Make them; needs what `prepare_folder` returned in the environment."""
        prometheus = importlib.import_module("prometheus_client")
        name = "mlflow_backend_{}".format
        self._settings = settings
        self.requests = prometheus.Counter(name("http_requests"), "Requests answered.", ["method", "route", "status"])
        self.seconds = prometheus.Histogram(
            name("http_request_duration_seconds"),
            "Time to the end of an answer.",
            ["method", "route"],
            buckets=_BUCKETS,
        )
        gauge = prometheus.Gauge
        self.in_flight = gauge(name("http_requests_in_flight"), "Requests being answered.", multiprocess_mode="livesum")
        self.component = gauge(
            name("component_up"), "1 for a component that works.", ["component"], multiprocess_mode="livemostrecent"
        )
        self.pool = gauge(
            name("database_pool_connections"), "Connections of MLflow's pool.", ["state"], multiprocess_mode="livesum"
        )
        self.temporary = gauge(
            name("temporary_bytes"), "Temporary space of the server.", ["state"], multiprocess_mode="livemostrecent"
        )
        self.job_runners = gauge(
            name("job_runners"), "Processes of MLflow's job runner.", multiprocess_mode="livemostrecent"
        )
        self.head = gauge(
            name("schema_head_info"), "The head this MLflow needs.", ["chain", "head"], multiprocess_mode="livemax"
        )
        gauge(name("info"), "This server.", ["mlflow_version"], multiprocess_mode="livemax").labels(version).set(1)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        known = method if method in _METHODS else "OTHER"
        self.requests.labels(known, route, str(status)).inc()
        self.seconds.labels(known, route).observe(seconds)

    def run(self, refresh: Callable[[Metrics], None], databases: DatabaseFigures) -> None:
        """Serve the port where it is free, and call `refresh` now and every few seconds, in a thread.

        The worker that serves the port asks the databases too, for all of them.
        """
        processes.enter(Path(os.environ[_PROMETHEUS_VARIABLE]))
        threading.Thread(target=self._loop, args=(refresh, databases), name="metrics", daemon=True).start()

    def _loop(self, refresh: Callable[[Metrics], None], databases: DatabaseFigures) -> None:
        serving = False
        pause = threading.Event()
        while True:
            serving = serving or self._serve(databases)
            try:
                refresh(self)
                if serving:
                    databases.refresh()
            except Exception as error:  # noqa: BLE001 - one bad round must not end all later ones
                _logger.warning("The metrics were not refreshed: %s.", type(error).__name__)
            pause.wait(_RETRY_S)

    def _serve(self, databases: DatabaseFigures) -> bool:
        prometheus = importlib.import_module("prometheus_client")
        registry = prometheus.CollectorRegistry()
        registry.register(_LivingProcesses())
        folder = Path(os.environ[_PROMETHEUS_VARIABLE])
        registry.register(_Figures(lambda: processes.figures(folder, _runs)))
        registry.register(_Figures(databases.figures))
        try:
            prometheus.start_http_server(self._settings.metrics_port, self._settings.metrics_host, registry)
        except OSError:
            return False
        return True


class _LivingProcesses:
    """The sum of all workers, without what dead ones have left in gauges."""

    def __init__(self) -> None:
        self._multiprocess = importlib.import_module("prometheus_client.multiprocess")
        self._folder = Path(os.environ[_PROMETHEUS_VARIABLE])
        self._collector = self._multiprocess.MultiProcessCollector(None, path=str(self._folder))

    def describe(self) -> list[Any]:
        """Say nothing at registration: a scrape then would read every file."""
        return []

    def collect(self) -> Any:
        """Return the metrics of all workers."""
        for file in self._folder.glob("gauge_live*.db"):
            process = _PROCESS_FILE.search(file.name)
            if process is not None and not _runs(process[1]) and Path("/proc/self").exists():
                self._multiprocess.mark_process_dead(int(process[1]), str(self._folder))
        return self._collector.collect()


class _Figures:
    """Figures that no worker counts, as Prometheus collects them."""

    def __init__(self, figures: Callable[[], Iterable[Figure]]) -> None:
        self._figures = figures

    def describe(self) -> list[Any]:
        """Say nothing at registration: nothing is known then."""
        return []

    def collect(self) -> Any:
        """Return the figures, those of one name together."""
        core = importlib.import_module("prometheus_client.core")
        families: dict[str, Any] = {}
        for figure in self._figures():
            kind = core.CounterMetricFamily if figure.counter else core.GaugeMetricFamily
            names, values = ([figure.label[0]], [figure.label[1]]) if figure.label else ([], [])
            family = families.setdefault(figure.name, kind(f"mlflow_backend_{figure.name}", figure.help, labels=names))
            family.add_metric(values, figure.value)
        return families.values()


def group_lives(number: str) -> bool:
    """Return whether a process group of that number has a process that runs, or may have."""
    try:
        os.killpg(int(number), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError, OverflowError):
        return True
    # A process that has ended takes signals until its parent collects it, which a container's first one may never do.
    return not Path("/proc/self").exists() or any(_group(entry) == number for entry in Path("/proc").glob("[0-9]*"))


def _runs(number: str) -> bool:
    """Return whether a process is listed and has not ended."""
    return _group(Path("/proc", number)) is not None


def _group(process: Path) -> str | None:
    """Return the process group of an entry of /proc, None if the process has ended."""
    try:
        # After the name in brackets, which may hold anything: state, parent, group.
        state, _, group, *_ = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if state in _ENDED else group
