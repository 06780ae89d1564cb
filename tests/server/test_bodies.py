"""What a request may name: addresses in the store, its own origin, and what a user has a permission for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow_backend_server.access import locations, origins
from mlflow_backend_server.access.permissions import Subjects, arguments, parsed
from mlflow_backend_server.http.audit import audited
from mlflow_backend_server.http.exchange import Request

from tests.server.bodies import BAD, GOOD


@pytest.mark.parametrize("address", GOOD)
def test_addresses_in_a_store_may_be_named(address: str) -> None:
    """What MLflow's clients send is let through."""
    assert locations.problem(address) is None


@pytest.mark.parametrize("address", BAD)
def test_addresses_of_the_servers_own_files_may_not(address: str) -> None:
    """However they are written and encoded (CVE-2024-2928 and its kin)."""
    assert locations.problem(address)


PROXY = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.mark.parametrize(
    ("path", "query", "wrong"),
    [
        (f"{PROXY}/1/r/artifacts/a b.bin", "", False),
        (f"{PROXY}/1/r/artifacts/50% off/x", "", False),
        (f"{PROXY}/1/r/artifacts/.hidden/..x", "", False),
        (f"{PROXY}/1/r/artifacts/", "", False),
        (PROXY, "path=1/r/artifacts", False),
        (PROXY, "path=1%2Fr%2Fa%20b", False),
        (PROXY, "path=", False),
        (PROXY, "", False),
        (f"{PROXY}/%31/r/artifacts/x", "", True),
        (f"{PROXY}/%2531/r/artifacts/x", "", True),
        (f"{PROXY}/1/r/artifacts/%2e%2e/x", "", True),
        (f"{PROXY}/./1/r/artifacts/x", "", True),
        (f"{PROXY}/1/./r/artifacts/x", "", True),
        (f"{PROXY}/x/../1/r/artifacts/x", "", True),
        (f"{PROXY}//1/r/artifacts/x", "", True),
        (f"{PROXY}/1/r/artifacts/x/..", "", True),
        (f"{PROXY.replace('/api', '/ajax-api')}/./1/r/x", "", True),
        (PROXY, "path=%2531/r/artifacts", True),
        (PROXY, "path=./1/r/artifacts", True),
        (PROXY, "path=a&path=../1", True),
        (PROXY, "x=1&pa%74h=%2F1", True),
        ("/get-artifact", "path=./model&run_uuid=r", False),
    ],
)
def test_a_place_in_the_store_is_spelled_in_one_way(path: str, query: str, *, wrong: bool) -> None:
    """As permissions are looked up by how it begins: MLflow decodes it once more, and stores ignore dots."""
    assert bool(locations.path_problem(path, query)) is wrong


@pytest.mark.parametrize("key", ["artifact_location", "artifactLocation", "ARTIFACT-LOCATION"])
def test_an_address_is_found_wherever_it_is(key: str) -> None:
    """In lists, deep down, in the words of JSON and of protobuf, and as a tag of a trace."""
    for document in ({key: "x"}, [{"a": {key: ["x"]}}], {"query": {"variables": {"input": {key: "x"}}}}):
        assert [value for _, value in locations.named(document, version=False)] == ["x"]
    tags: list[Any] = [{"tags": [{"key": "mlflow.artifactLocation", "value": "x"}]}]
    tags.append({"trace": {"trace_info": {"tags": {"mlflow.artifactLocation": "x"}}}})
    for document in tags:
        assert [value for _, value in locations.named(document, version=False)] == ["x"]
    assert list(locations.named({"source": "x"}, version=True)) == [("source", "x")]
    assert not list(locations.named({"source": "x", "datasets": [{"source": "file:///x"}]}, version=False))


def test_a_prompt_has_no_source() -> None:
    """MLflow gives each version of a prompt the same word, which names nothing; elsewhere it is an address."""
    prompt = {"name": "p", "source": "dummy-source", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]}
    assert not list(locations.named(prompt, version=True))
    assert list(locations.named({"source": "dummy-source/.."}, version=True))
    assert list(locations.named({"artifact_location": "dummy-source"}, version=True))


def test_a_body_is_read_as_mlflow_reads_it() -> None:
    """Also JSON in a JSON text, which old clients send; garbage is nothing."""
    assert parsed(json.dumps(json.dumps({"a": 1})).encode()) == {"a": 1}
    assert parsed(b"{") is parsed(b"\xff") is parsed(b'"{"') is parsed(b"[" * 100_000) is None


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ('{ mlflowGetRun(input: {runId: "r"}) { run } }', None),
        ("query ($d: I!) { mlflowGetRun(input: $d) { run } }", {"d": {"runId": "r"}}),
        ("query ($x: String) { mlflowGetRun(input: {runId: $x}) { run } }", {"x": "r"}),
        ('query ($x: String = "r") { mlflowGetRun(input: {runId: $x}) { run } }', {}),
        ('query ($d: I = {runId: "r"}) { mlflowGetRun(input: $d) { run } }', {"other": {"runId": "mine"}}),
        ('fragment f on Query { mlflowGetRun(input: {runId: "r"}) { run } } { ...f }', None),
    ],
)
def test_ids_in_graphql_are_found(query: str, variables: Any) -> None:
    """As literals, variables, parts of variables and defaults."""
    found = Subjects()
    for argument in arguments(query, variables):
        found.add(argument)
    assert ("run", "r") in found.others


@given(
    st.recursive(
        st.none() | st.text(max_size=5) | st.integers(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    ),
    st.sampled_from(["experiment_id", "experimentId", "EXPERIMENT_IDS", "experiment-ids"]),
)
def test_an_experiment_is_found_at_any_depth(other: Any, key: str) -> None:
    """Any of its names is found, among anything else."""
    found = Subjects()
    found.add([other, {"a": [{key: ["7"]}]}])
    assert "7" in found.experiments


def test_ids_are_found_below_any_depth() -> None:
    """A body that is nested more deeply than Python calls itself is no failure."""
    document: Any = {"run_id": "r"}
    for _ in range(100_000):
        document = [document]
    found = Subjects()
    found.add(document)
    assert found.others == {("run", "r")}


@pytest.mark.parametrize(
    ("origin", "path", "foreign"),
    [
        ("https://evil.example", "/gateway/mlflow/v1/chat/completions", True),
        ("null", "/gateway/x", True),
        ("http://[", "/gateway/x", True),
        ("https://evil.example", "/v1/traces", True),
        ("https://evil.example", "/graphql", True),
        ("https://evil.example", "/api/2.0/mlflow/runs/create", False),
        ("https://mlflow.example", "/gateway/x", False),
        ("https://ui.example", "/gateway/x", False),
        ("http://localhost:3000", "/gateway/x", False),
        ("", "/gateway/x", False),
    ],
)
def test_another_site_may_not_write(origin: str, path: str, *, foreign: bool) -> None:
    """Where MLflow does not look itself; its own settings say who is no other site."""
    is_foreign = origins.foreign_by({"MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": "https://ui.example"})
    headers = {"host": "mlflow.example", "content-type": "text/plain"} | ({"origin": origin} if origin else {})
    request = Request(method="POST", path=path, raw_path=path, headers=headers)
    assert is_foreign(request) is foreign
    assert not is_foreign(Request(method="GET", path=path, raw_path=path, headers=headers))


@pytest.mark.parametrize(
    ("method", "route", "kept"),
    [
        ("POST", "/api/2.0/mlflow/users/create", True),
        ("PATCH", "/api/2.0/mlflow/users/update-password", True),
        ("POST", "/api/2.0/mlflow/experiments/permissions/create", True),
        ("POST", "/api/3.0/mlflow/users/permissions/grant", True),
        ("POST", "/api/2.0/mlflow/registered-models/alias", True),
        ("DELETE", "/api/2.0/mlflow/registered-models/alias", True),
        ("POST", "/ajax-api/2.0/mlflow/model-versions/create", True),
        ("POST", "/api/2.0/mlflow/model-versions/transition-stage", True),
        ("POST", "/api/2.0/mlflow/model-versions/set-tag", True),
        ("DELETE", "/api/2.0/mlflow/registered-models/delete-tag", True),
        ("POST", "/api/2.0/mlflow/experiments/set-experiment-tag", True),
        ("POST", "/api/3.0/mlflow/mcp-servers/{name}/aliases", True),
        ("POST", "/api/3.0/mlflow/gateway/secrets/create", True),
        ("POST", "/api/2.0/mlflow/registered-models/get-latest-versions", False),
        ("GET", "/api/2.0/mlflow/registered-models/get", False),
        ("POST", "/api/2.0/mlflow/runs/log-batch", False),
    ],
)
def test_what_the_audit_keeps(method: str, route: str, *, kept: bool) -> None:
    """Changes of users, permissions and what a registry says; not what runs write."""
    assert audited(method, route) is kept
