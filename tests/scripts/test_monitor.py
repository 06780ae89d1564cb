"""The command that prints the rule file."""

from __future__ import annotations

import pytest
import yaml

from mlflow_backend.commands import monitor
from mlflow_backend.contract import ExitCode


def test_the_rules_select_the_series_with_the_labels(capsys: pytest.CaptureFixture[str]) -> None:
    """Two stacks in one Prometheus must not be taken for each other."""
    assert monitor.main(["rules", "--label", "job=mlflow", "--label", "stack=a=b"]) is ExitCode.DONE
    (group,) = yaml.safe_load(capsys.readouterr().out)["groups"]
    assert {rule["labels"]["stack"] for rule in group["rules"]} == {"a=b"}
    assert all('job="mlflow", stack="a=b"' in rule["expr"] for rule in group["rules"])


def test_a_label_that_prometheus_does_not_take_is_refused() -> None:
    """It would be a rule file that Prometheus does not load."""
    for label in ("stack", "a-b=c", "=c"):
        with pytest.raises(SystemExit) as ended:
            monitor.main(["rules", "--label", label])
        assert ended.value.code == ExitCode.USAGE
