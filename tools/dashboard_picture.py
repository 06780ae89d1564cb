"""The picture of the dashboard in docs/runbooks/monitoring.md: the data of its own queries, not drawn by Grafana.

`python -m tools.dashboard_picture` takes four minutes: it starts a server on Postgres and S3, and Debian's Prometheus
beside it, uses the server as trainings do, ends one of its workers, asks each graph's query, and writes the picture.
"""

from __future__ import annotations

import html
import math
import os
import tempfile
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.monitoring import dashboard
from mlflow_backend.monitoring.scraping import own_labels
from tests.server.servers import install_package
from tests.server.services import start_services
from tests.server.watched import STACK, Watched, watching

if TYPE_CHECKING:
    from collections.abc import Sequence

PICTURE: Final = Path(__file__).parents[1] / "docs" / "runbooks" / "dashboard.svg"
_LOAD_S: Final = 180
_CLIENTS: Final = 3
_API: Final = "/api/2.0/mlflow"
_WIDTH, _HEIGHT, _COLUMNS = 400, 190, 3
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 10, 26, 36
_LEGEND, _NAME = 4, 22
_COLOURS: Final = (
    "#3366cc",
    "#e07b00",
    "#2a9d55",
    "#a33ea1",
    "#008b9e",
    "#8a6d3b",
    "#d6336c",
    "#5c7cfa",
    "#666666",
    "#99aa00",
)
_RED: Final = "#cc2222"
_THOUSAND, _TENTH = 1000, 0.1


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a graph: its name, and its values by the second of the measurement."""

    name: str
    points: Sequence[tuple[float, float]]


def main() -> None:
    """Measure, and write the picture."""
    with tempfile.TemporaryDirectory(prefix="mlflow-backend-picture-") as name:
        folder = Path(name)
        services = start_services(folder / "services")
        try:
            package = install_package(folder / "package")
            with watching(services, package, folder / "watched", hurry=False) as watched:
                began = time.time()
                _use(watched)
                graphs = [_graph(panel, watched, began) for panel in dashboard(own_labels(STACK))["panels"]]
        finally:
            services.close()
    PICTURE.write_text(picture(graphs), encoding="utf-8")


def _use(watched: Watched) -> None:
    """Have clients log runs, and more of them from a third of the time on; a worker ends in the middle."""
    end = threading.Event()
    clients = [threading.Thread(target=_train, args=(watched, number, end)) for number in range(_CLIENTS)]
    clients[0].start()
    end.wait(_LOAD_S / 3)
    for client in clients[1:]:
        client.start()
    end.wait(_LOAD_S / 6)
    watched.end_worker()
    end.wait(_LOAD_S / 2)
    end.set()
    for client in clients:
        client.join()


def _train(watched: Watched, number: int, end: threading.Event) -> None:
    """Log runs with metrics and artifacts, register a model, search; what a worker's end interrupts is done anew."""
    api = partial(watched.server.api, "POST")
    experiment = api(f"{_API}/experiments/create", {"name": f"training {number}"})["experiment_id"]
    api(f"{_API}/registered-models/create", {"name": f"model {number}"})
    step = 0
    while not end.is_set():
        step += 1
        try:
            _run(watched, experiment, f"model {number}", step)
        except Exception:  # noqa: BLE001, S112 - a training's own client tries again too
            continue


def _run(watched: Watched, experiment: str, model: str, step: int) -> None:
    api = partial(watched.server.api, "POST")
    run = api(f"{_API}/runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
    metrics = [{"key": "loss", "value": 1 / (each + 1), "timestamp": each, "step": each} for each in range(100)]
    for _ in range(5):
        api(f"{_API}/runs/log-batch", {"run_id": run, "metrics": metrics})
    path = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/weights"
    watched.server.send("PUT", path, body=os.urandom(256 << 10))
    # What `local` measures of artifacts is in its own store.
    kept = watched.state.store / "mlflow" / "artifacts" / run
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(bytes(256 << 10))
    api(f"{_API}/model-versions/create", {"name": model, "source": f"runs:/{run}/weights", "run_id": run})
    api(f"{_API}/runs/search", {"experiment_ids": [experiment], "filter": "metrics.loss < 0.5", "max_results": 100})
    if step % 10 == 0:
        api(f"{_API}/runs/delete", {"run_id": run})


def _graph(panel: dict[str, Any], watched: Watched, began: float) -> tuple[dict[str, Any], list[Line]]:
    asked = {"start": str(began), "end": str(time.time()), "step": "5"}
    lines = []
    for target in panel["targets"]:
        for series in watched.ask("query_range", query=target["expr"], **asked)["result"]:
            name = target["legendFormat"]
            for label, value in series["metric"].items():
                name = name.replace(f"{{{{{label}}}}}", value)
            points = [(float(at) - began, float(value)) for at, value in series["values"]]
            lines.append(Line(name=name, points=[point for point in points if math.isfinite(point[1])]))
    return panel, lines


def picture(graphs: Sequence[tuple[dict[str, Any], list[Line]]]) -> str:
    """Return the SVG of all graphs: each panel of the dashboard with its lines, and its alert's limit in red."""
    rows = math.ceil(len(graphs) / _COLUMNS)
    drawn = []
    for number, graph in enumerate(graphs):
        row, column = divmod(number, _COLUMNS)
        # A nested image, which cuts off what is too wide for it.
        frame = f'x="{_WIDTH * column}" y="{_HEIGHT * row}" width="{_WIDTH - 4}" height="{_HEIGHT}"'
        drawn.append(f"<svg {frame}>{_drawn(*graph)}</svg>")
    size = f'width="{_WIDTH * _COLUMNS}" height="{_HEIGHT * rows}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="10">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *drawn, "</svg>", ""])


def _drawn(panel: dict[str, Any], lines: list[Line]) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    limit: float | None = defaults["thresholds"]["steps"][-1]["value"] if "thresholds" in defaults else None
    values = [value for line in lines for _, value in line.points]
    low, high = min([0.0, *values]), max([_TENTH, *values, *([] if limit is None else [limit])]) * 1.05
    last = max((at for line in lines for at, _ in line.points), default=1.0)

    def x(at: float) -> float:
        return _LEFT + at / last * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<text x="8" y="16" font-size="12" font-weight="bold">{html.escape(panel["title"])}</text>',
        *(_level(value, y(value), defaults["unit"]) for value in (low, (low + high) / 2, high)),
    ]
    if limit is not None:
        parts.append(_path([(_LEFT, y(limit)), (_WIDTH - _RIGHT, y(limit))], _RED, 'stroke-dasharray="4 3"'))
    for line, colour in zip(lines, _COLOURS, strict=False):
        parts.append(_path([(x(at), y(value)) for at, value in line.points], colour))
    return "\n".join([*parts, _legend(lines)])


def _level(value: float, at: float, unit: str) -> str:
    end = _WIDTH - _RIGHT
    return (
        f'<path d="M{_LEFT} {at:.1f}H{end}" stroke="#dddddd"/>'
        f'<text x="{_LEFT - 4}" y="{at + 3:.1f}" text-anchor="end" fill="#555555">{_written(value, unit)}</text>'
    )


def _path(points: Sequence[tuple[float, float]], colour: str, more: str = "") -> str:
    d = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path d="M{d}" fill="none" stroke="{colour}" stroke-width="1.5" {more}/>' if points else ""


def _legend(lines: list[Line]) -> str:
    if not lines:
        return f'<text x="{_LEFT}" y="{_HEIGHT - 20}" fill="#555555">no data: nothing of it happened here</text>'
    shown = [
        f'<tspan fill="{colour}">&#9632;</tspan> {html.escape(line.name[-_NAME:])}  '
        for line, colour in zip(lines[:_LEGEND], _COLOURS, strict=False)
    ]
    more = f"and {len(lines) - _LEGEND} more" if len(lines) > _LEGEND else ""
    return f'<text x="8" y="{_HEIGHT - 16}" font-size="9" fill="#333333">{"".join(shown)}{more}</text>'


def _written(value: float, unit: str) -> str:
    if unit == "bytes":
        return f"{value / (1 << 20):.3g} MiB"
    if unit == "s":
        return f"{value:.2g} s"
    return f"{value / _THOUSAND:.3g} k" if value >= _THOUSAND else f"{value:.3g}"


if __name__ == "__main__":
    main()
