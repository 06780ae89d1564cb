"""The examples that serve a model and promote it: what clusters take, and what a webhook of MLflow starts."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import time
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import urllib3
import yaml

from tests.loopback_http import LoopbackServer
from tests.server.environments import python
from tests.tools.projects import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

EXAMPLES = ROOT / "examples" / "clients"
SECRET = "of-the-webhook"
SIGN = (
    "import sys; from mlflow.webhooks.delivery import _generate_hmac_signature as sign; "
    "print(sign(*sys.argv[1:4], sys.stdin.read()), end='')"
)
CRDS = {
    "workflow-template.yaml": (
        "github.com/argoproj/argo-workflows/v3@v3.6.10",
        "manifests/base/crds/full/argoproj.io_workflowtemplates.yaml",
        "MFFGzeTXwNKSdDZ5jwQQb26AMGng4bSML38hjxB3Wt0=",
    ),
    "inference-service.yaml": (
        "github.com/kserve/kserve@v0.15.2",
        "config/crd/full/serving.kserve.io_inferenceservices.yaml",
        "uph7Umk331fvBMrHHpTJNDt6+lf3IAuyiskaQw8wIAk=",
    ),
}
"""Example -> the Go module that has its CRD, the CRD's file, and the module's sum."""


def document(name: str) -> dict[str, Any]:
    """Return an example's document."""
    return dict(yaml.safe_load((EXAMPLES / name).read_text()))


def closed(schema: Any) -> Any:
    """Return a schema of a CRD that takes no unknown fields, as an API server would drop them."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        found.setdefault("additionalProperties", False)
    return found


@pytest.mark.full
@pytest.mark.parametrize("name", CRDS)
def test_an_example_is_what_its_crd_takes(name: str, tmp_path: Path) -> None:
    """Held to the schema of the CRD itself, unknown fields refused; the module is the one that was looked at."""
    module, path, total = CRDS[name]
    environment = {**os.environ, "GOFLAGS": "-mod=mod -modcacherw", "GOMODCACHE": str(tmp_path)}
    downloaded = subprocess.run(
        ["go", "mod", "download", "-json", module],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    found = json.loads(downloaded.stdout)
    assert found["Sum"] == f"h1:{total}"
    crd = yaml.load((tmp_path / found["Dir"] / path).read_text(), Loader=yaml.CSafeLoader)
    example = document(name)
    version = example["apiVersion"].rpartition("/")[2]
    (schema,) = [each["schema"]["openAPIV3Schema"] for each in crd["spec"]["versions"] if each["name"] == version]
    validator = jsonschema.Draft202012Validator(closed(schema))
    metadata = {"metadata": {}}
    assert [each.message for each in validator.iter_errors(example | metadata)] == []
    example["spec"]["unheardOf"] = 1
    assert [each.validator for each in validator.iter_errors(example | metadata)] == ["additionalProperties"]


def test_the_workflow_changes_what_the_service_has() -> None:
    """The patch names the service, its canary and the variable that says which version is served."""
    service, template = document("inference-service.yaml"), document("workflow-template.yaml")
    (shift,) = [each["resource"] for each in template["spec"]["templates"] if each["name"] == "shift"]
    assert shift["flags"][1] == service["metadata"]["name"]
    manifest = shift["manifest"].replace("{{", "<").replace("}}", ">")
    for change in yaml.safe_load(manifest):
        part: Any = service
        for key in change["path"].split("/")[1:]:
            part = part[int(key)] if isinstance(part, list) else part[key]
        assert change["op"] == "replace"
    assert service["spec"]["predictor"]["containers"][0]["env"][0]["name"] == "MODEL"


@pytest.fixture(scope="module")
def webhook() -> ModuleType:
    """The receiver's module."""
    spec = importlib.util.spec_from_file_location("webhook_example", EXAMPLES / "webhook.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Argo(BaseHTTPRequestHandler):
    """Stands for Argo's server: it keeps what it is asked for."""

    asked: list[tuple[str, str, Any]]

    def do_POST(self) -> None:
        """Keep a request."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, self.headers["Authorization"], body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def received(webhook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[Any]]]:
    """The receiver's URL, and what it asked of Argo."""
    asked: list[Any] = []
    for name, value in (("token", "of-argo"), ("secret", SECRET)):
        (tmp_path / name).write_text(f"{value}\n")
    monkeypatch.setenv("ARGO_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("WEBHOOK_SECRET_FILE", str(tmp_path / "secret"))
    with LoopbackServer(type("Kept", (Argo,), {"asked": asked})) as argo, LoopbackServer(webhook.Receiver) as receiver:
        monkeypatch.setenv("ARGO_SERVER", argo.url)
        yield f"{receiver.url}/", asked


def event(**data: str) -> str:
    """Return what MLflow sends if an alias is given."""
    return json.dumps({"entity": "model_version_alias", "action": "created", "data": data})


def deliver(url: str, body: str, *, signed: str | None = None, sent_at: int | None = None) -> int:
    """Send a body with MLflow 3.17.2's own signature of `signed`, and return the status."""
    sent, delivery = str(sent_at or int(time.time())), hashlib.sha256(body.encode()).hexdigest()[:8]
    signature = subprocess.run(
        [python("3.17.2"), "-c", SIGN, SECRET, delivery, sent],
        input=body if signed is None else signed, capture_output=True, text=True, check=True, timeout=120,
    ).stdout  # fmt: skip
    headers = {"X-MLflow-Signature": signature, "X-MLflow-Timestamp": sent, "X-MLflow-Delivery-Id": delivery}
    return urllib3.request("POST", url, body=body, headers=headers, timeout=10, retries=False).status


def test_a_new_champion_starts_one_workflow(received: tuple[str, list[Any]]) -> None:
    """Signed by MLflow's own code. Another alias starts nothing; what was changed on its way, or is old, is refused."""
    url, asked = received
    champion = event(name="forecasts", alias="champion", version="7")
    assert deliver(url, champion) == 204
    ((path, login, request),) = asked
    assert (path, login) == ("/api/v1/workflows/default/submit", "Bearer of-argo")
    assert request["submitOptions"]["parameters"] == ["version=7"]
    assert request["resourceName"] == document("workflow-template.yaml")["metadata"]["name"]
    assert deliver(url, event(name="forecasts", alias="challenger", version="8")) == 204
    assert deliver(url, champion, signed=event(name="forecasts", alias="champion", version="6")) == 401
    assert deliver(url, champion, sent_at=int(time.time()) - 3600) == 401
    assert len(asked) == 1
