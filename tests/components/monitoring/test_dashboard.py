"""The dashboard: promtool takes each of its queries, and no graph lies over another."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from mlflow_backend.monitoring import ALERTS, dashboard
from tests import apt
from tools.dashboard_picture import PICTURE, Line, picture

if TYPE_CHECKING:
    from pathlib import Path

OWN = {"job": "mlflow-backend", "stack": 'a"b'}
DEADLINE_S = 120


def test_promtool_takes_every_query(tmp_path: Path) -> None:
    """As recording rules, which are all that it can be asked about."""
    if (reason := apt.why_missing({"promtool": "prometheus"})) is not None:
        pytest.skip(reason)
    queries = [target["expr"] for panel in dashboard(OWN)["panels"] for target in panel["targets"]]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    command = ["promtool", "check", "rules", str(tmp_path / "rules.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all('stack="a\\"b"' in query for query in queries)


def test_each_alert_has_a_graph_with_its_limit() -> None:
    """Whoever is woken looks at what the alert looked at."""
    found = {panel["title"]: panel for panel in dashboard(OWN)["panels"]}
    for alert in ALERTS:
        steps = found[alert.name]["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert steps[-1]["value"] == alert.threshold


def test_two_backends_in_one_grafana_have_a_dashboard_each() -> None:
    """Grafana keeps one dashboard of an identifier, and its own is at most forty characters long."""
    made = {dashboard({"job": "mlflow", "namespace": name})["uid"] for name in ("one", "two")}
    assert len(made) == 2
    assert all(len(each) <= 40 for each in made)


def test_no_two_graphs_are_in_one_place_and_all_are_told_apart() -> None:
    """Grafana would draw one over the other."""
    panels = dashboard(OWN)["panels"]
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len({panel["id"] for panel in panels}) == len(panels)
    json.dumps(panels)


def test_the_picture_on_the_page_has_every_graph() -> None:
    """It is drawn by hand, four minutes long: a graph that was added since would be missing from it."""
    kept = PICTURE.read_text(encoding="utf-8")
    assert all(f">{panel['title']}</text>" in kept for panel in dashboard(OWN)["panels"])


def test_a_graph_is_drawn_with_its_limit_and_one_without_data_says_so() -> None:
    """An empty graph is no proof of a query."""
    first, *_, last = dashboard(OWN)["panels"]
    drawn = picture([(first, [Line(name="<200>", points=[(0, 1), (2, 3)])]), (last, [])])
    assert drawn.count("stroke-dasharray") == drawn.count("no data") == 1
    assert "&lt;200&gt;" in drawn
