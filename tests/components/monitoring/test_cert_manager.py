"""The alert on the public URL's certificate in a cluster, by promtool, on the figure that cert-manager gives of it."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from mlflow_backend.monitoring import ALERTS, CERTIFICATE_DAYS, rules
from mlflow_backend.monitoring.cert_manager import recorded
from tests import apt

if TYPE_CHECKING:
    from pathlib import Path

OWN = {"job": "mlflow-cluster", "namespace": "ml"}
DAY_S = 24 * 3600
EVALUATED_S = 3600
DEADLINE_S = 120
#: How Prometheus keeps the Certificate's namespace beside that of cert-manager itself.
KEPT = 'namespace="cert-manager", exported_namespace="ml"'
HONORED = 'namespace="ml"'


def ends(in_days: float, *, namespace: str, name: str = "mlflow-tls") -> list[dict[str, str]]:
    """Return cert-manager's figure of a Certificate that ends so many days after it is looked at."""
    labels = f'job="cert-manager", name="{name}", {namespace}'
    at = EVALUATED_S + in_days * DAY_S
    return [{"series": f"certmanager_certificate_expiration_timestamp_seconds{{{labels}}}", "values": f"{at}+0x24"}]


SOON, LATE = CERTIFICATE_DAYS - 1, CERTIFICATE_DAYS + 1
CASES: dict[str, tuple[list[dict[str, str]], bool]] = {
    "it ends soon": (ends(SOON, namespace=KEPT), True),
    "it ends soon, and labels are honored": (ends(SOON, namespace=HONORED), True),
    "it has ended": (ends(-1, namespace=KEPT), True),
    "it was renewed": (ends(LATE, namespace=KEPT), False),
    "that of another namespace ends": (ends(SOON, namespace=KEPT.replace("ml", "other")), False),
    "another one of the namespace ends": (ends(SOON, namespace=KEPT, name="another"), False),
    "cert-manager's own ends, which has the namespace's name": (
        ends(SOON, namespace='namespace="ml", exported_namespace="other"'),
        False,
    ),
    "nobody has the figure": ([], False),
}


@pytest.mark.parametrize(("series", "fires"), CASES.values(), ids=CASES)
def test_the_alert_fires_on_the_backends_own_certificate(
    tmp_path: Path, series: list[dict[str, str]], *, fires: bool
) -> None:
    """Whichever label has the namespace of the Certificate."""
    if (reason := apt.why_missing({"promtool": "prometheus"})) is not None:
        pytest.skip(reason)
    found = rules(OWN, [recorded(OWN, "mlflow-tls", namespace="ml")])
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(found))
    expected = {"eval_time": f"{EVALUATED_S}s", "alertname": "MlflowCertificateEnds", "exp_alerts": [alert()] * fires}
    tests = [{"interval": "5m", "input_series": series, "alert_rule_test": [expected]}]
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "5m", "tests": tests}
    (tmp_path / "tests.yml").write_text(json.dumps(document))
    command = ["promtool", "test", "rules", "tests.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def alert() -> dict[str, Any]:
    """Return the alert as it is sent."""
    found = next(each for each in ALERTS if each.name == "CertificateEnds")
    return {
        "exp_labels": {**OWN, "severity": found.severity},
        "exp_annotations": {"summary": found.summary, "runbook": found.runbook},
    }
