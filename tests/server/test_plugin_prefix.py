"""A server that users call below a path: every route of every MLflow answers there as it does without the path."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.verify import runner
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.request import VerifyRequest
from mlflow_backend.verify.subjects import Subject
from tests.matrices import rows
from tests.server.bodies import BAD
from tests.server.parity import REQUESTS
from tests.server.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.server.servers import Server
    from tests.server.services import Services

pytestmark = pytest.mark.engine

PREFIX = "/team/ml"
API = "/api/2.0/mlflow"
JSON = {"content-type": "application/json"}
#: FastAPI's own routes, which MLflow's --static-prefix leaves out before 3.17.2, and ours.
NATIVE = [
    ("POST", "/v1/traces", b"x", {"content-type": "application/x-protobuf"}),
    ("GET", "/gateway/none/mlflow/invocations", None, {}),
    ("POST", "/ajax-api/3.0/jobs/search", b"{}", {"content-type": "application/json"}),
    ("GET", "/health/ready", None, {}),
    ("GET", "/health/identity", None, {}),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/a/b%20c.bin", b"x", {}),
    ("GET", "/api/2.0/mlflow-artifacts/artifacts/a/b%20c.bin", None, {}),
]


@pytest.fixture(scope="module", params=rows(("2.9.2", "3.4.0", "3.10.1", "3.17.2"), shown=("2.9.2", "3.17.2")))
def server(
    request: pytest.FixtureRequest, services: Services, package: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server of each kind of MLflow, told its path by the plugin's variable."""
    settings = {"MLFLOW_BACKEND_PATH_PREFIX": PREFIX}
    folder = tmp_path_factory.mktemp("server")
    with serving(services, version=request.param, package=package, folder=folder, settings=settings) as made:
        yield made


def test_every_route_answers_below_the_path_as_it_does_without(server: Server) -> None:
    """Flask's and FastAPI's routes, health, artifacts, GraphQL, traces, jobs: same status, type and length."""
    requests = [(m, p, None if d is None else json.dumps(d).encode(), h) for m, p, d, h in REQUESTS]
    for method, path, body, headers in [*requests, *NATIVE]:
        plain = server.send(method, path, body=body, headers=headers)
        below = server.send(method, PREFIX + path, body=body, headers=headers)
        assert below.status == plain.status, (method, path)
        assert below.headers.get("content-type") == plain.headers.get("content-type"), (method, path)
        assert below.status != 404 or plain.status == 404


def test_the_page_is_found_with_and_without_the_last_slash(server: Server) -> None:
    """The page names its scripts relative to itself, so it must be asked for below the path."""
    moved = server.get(PREFIX)
    assert (moved.status, moved.headers["location"]) == (308, f"{PREFIX}/")
    assert b"<script" in server.get(f"{PREFIX}/").data
    for near in (f"{PREFIX}x", f"{PREFIX}x/", "/team", "/team/"):
        assert server.get(near).status == 404


@pytest.mark.parametrize("api", ["/api/2.0/mlflow", "/ajax-api/2.0/mlflow"])
def test_addresses_of_the_servers_own_files_are_refused(server: Server, api: str) -> None:
    """Each route that takes one refuses it, however it is written; a path in a store is accepted."""
    mark = api.split("/")[1]
    server.send("POST", f"{api}/registered-models/create", body=b'{"name": "m"}', headers=JSON)
    for number, address in enumerate(BAD):
        for path, document in (
            ("experiments/create", {"name": f"{mark}-bad-{number}", "artifact_location": address}),
            ("experiments/create", {"name": f"{mark}-bad-{number}", "artifactLocation": address}),
            ("model-versions/create", {"name": "m", "source": address}),
        ):
            for body in (document, json.dumps(document)):
                refused = server.send("POST", f"{api}/{path}", body=json.dumps(body).encode(), headers=JSON)
                assert (refused.status, json.loads(refused.data)["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), (
                    document,
                    refused.data,
                )
                assert json.loads(refused.data)["message"].startswith(f"'{list(document)[1]}' ")
    found = server.api("GET", f"{api}/experiments/search?max_results=1000")["experiments"]
    assert not [each for each in found if each["name"].startswith(f"{mark}-bad")]
    assert not server.api("GET", f"{api}/model-versions/search?filter=name%3D'm'").get("model_versions")
    good = {"name": f"{mark}-good", "artifact_location": "s3://mlflow/artifacts/good"}
    assert server.api("POST", f"{api}/experiments/create", good)["experiment_id"]


@pytest.fixture(scope="module")
def subject(server: Server) -> Subject:
    """What is verified: the server, below its path."""
    return Subject(url=f"{server.url}{PREFIX}", expected_version=server.version)


def test_a_client_works_below_the_path(subject: Subject) -> None:
    """The whole verification, UI, artifacts, registry and traces included, passes through the prefixed URL."""
    # No proxy stands before this server, so it has nobody to believe about its callers.
    report = runner.run(subject, VerifyRequest(profile="full", skip=("forwarding",)))
    assert report.verdict is Result.PASS, report.text()


def test_what_users_wrote_long_ago_is_read(server: Server, subject: Subject) -> None:
    """A run with a parameter, and a file of it in a folder, as a client logs them; both are found and read back."""
    experiment = server.api("POST", f"{API}/experiments/create", {"name": "ours"})["experiment_id"]
    run = server.api("POST", f"{API}/runs/create", {"experiment_id": experiment, "start_time": 1})["run"]["info"]
    path = f"{run['artifact_uri'].removeprefix('mlflow-artifacts:/')}/model/MLmodel"
    server.api("POST", f"{API}/runs/log-batch", {"run_id": run["run_id"], "params": [{"key": "k", "value": "v"}]})
    assert server.send("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{path}", body=b"x" * 50).status == 200
    found = runner.run(subject, VerifyRequest(only=("old-run", "old-artifact")))
    results = {check.name: check.result for check in found.checks}
    assert (results["old-run"], results["old-artifact"]) == (Result.PASS, Result.PASS), found.text()
