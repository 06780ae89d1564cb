"""Task definitions: judged by cfn-lint and own rules, canonical, without a secret, and as the settings ask."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.aws.render.secrets import SecretSource
from mlflow_backend.aws.secrets import IN_FORCE
from mlflow_backend.contract import Refused
from mlflow_backend.ecs.render import containers, tasks
from mlflow_backend.ecs.render.containers import SECRETS_LABEL, Container
from mlflow_backend.server import Probe, SecretTemplate
from tests.components.ecs.lint import findings
from tests.components.ecs.stacks import (
    IMAGE,
    VARIANTS,
    changed,
    container_of,
    drawn_of,
    naming_of,
    request_of,
    secret_arn,
    settings_of,
    tasks_of,
)
from tests.loopback_http import Handler, LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def server_request(variant: str) -> dict[str, Any]:
    """Return the RegisterTaskDefinition request of a variant's server."""
    return request_of(tasks_of(variant)[tasks.SERVER])


def database_request(variant: str) -> dict[str, Any]:
    """Return the RegisterTaskDefinition request of a variant's database task."""
    return request_of(tasks_of(variant)[tasks.DATABASE])


def verify_request(variant: str) -> dict[str, Any]:
    """Return the RegisterTaskDefinition request of a variant's verification task."""
    return request_of(tasks_of(variant)[tasks.VERIFY])


def test_every_task_definition_is_accepted_by_the_linter() -> None:
    """What ECS or CloudFormation would refuse is refused here, for each stack and every kind of task."""
    kinds = (server_request, database_request, verify_request)
    assert findings(*(make(variant) for variant in VARIANTS for make in kinds)) == []


def _container(request: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = request["containerDefinitions"][0]
    return found


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (lambda r: r.update(memory="9999"), "E3047"),
        (lambda r: r.update(networkMode="bridge"), "E3048"),
        (lambda r: r["runtimePlatform"].update(cpuArchitecture="SPARC"), "E3030"),
        (lambda r: _container(r).update(enviroment=[]), "E3002"),
        (lambda r: _container(r)["logConfiguration"].update(logDriver="nope"), "E30"),
        (lambda r: _container(r).update(essential=False), "E3042"),
        (lambda r: _container(r)["portMappings"][0].update(hostPort=80), "E3053"),
        (lambda r: r.pop("cpu"), "E3048"),
        (lambda r: r.pop("executionRoleArn"), "OWN secrets without"),
        (lambda r: _container(r)["healthCheck"].update(interval=1), "OWN healthCheck.interval"),
        (lambda r: _container(r)["healthCheck"].update(startPeriod=999), "OWN healthCheck.startPeriod"),
        (lambda r: _container(r).update(stopTimeout=500), "OWN stopTimeout"),
        (lambda r: _container(r)["environment"].append({"name": "PGPASSWORD", "value": "x"}), "OWN in environment and"),
        (lambda r: r.update(volumes=[]), "OWN mountPoint"),
    ],
)
def test_the_linter_would_have_found_it(spoil: Callable[[dict[str, Any]], Any], rule: str) -> None:
    """A green lint means something: each of these mistakes turns it red."""
    request = copy.deepcopy(server_request("staging"))
    spoil(request)
    assert any(rule in finding for finding in findings(request)), findings(request)


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_secret_stands_in_plain(variant: str) -> None:
    """A password reaches a container by reference only, and each reference names a version."""
    definition = _container(server_request(variant))
    names = {entry["name"] for entry in definition["environment"]}
    assert not names & {"PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "MLFLOW_SERVER_JOB_HUEY_REDIS_URL"}
    assert "PGPASSWORD" in {entry["name"] for entry in definition["secrets"]}
    for entry in definition["secrets"]:
        assert entry["valueFrom"].startswith("arn:aws:secretsmanager:")
        assert entry["valueFrom"].split(":")[-2:] in ([IN_FORCE, ""], ["", "v-2"])


def test_a_new_secret_version_is_a_new_definition() -> None:
    """A rotated password reaches the server: a label changes, so a new revision is registered, and no reference does.

    The revision before, gone back to, must log in with the password of today.
    """
    old = drawn_of("staging")
    new = replace(old, database_secret=replace(old.password, version="v-9"))
    before, after = (container_of(tasks_of("staging", drawn=each)[tasks.SERVER]) for each in (old, new))
    assert before["secrets"] == after["secrets"]
    assert before["dockerLabels"][SECRETS_LABEL] == "v-1"
    assert after["dockerLabels"][SECRETS_LABEL] == "v-1 v-9"


def test_definitions_have_one_spelling() -> None:
    """The order in which environment and secrets were put together leaves no trace, and nothing is left for ECS."""
    entries = {"B": "2", "A": "1", "C": "3"}
    sources = {name: SecretSource(arn="arn:x", key=name, version="v") for name in ("Z", "Y")}

    def made(order: int) -> str:
        container = Container(
            name="c",
            image=IMAGE,
            command=("x",),
            environment=dict(sorted(entries.items(), reverse=bool(order))),
            secrets=dict(sorted(sources.items(), reverse=bool(order))),
            log_group="g",
            region="r",
            stop_timeout_s=10,
            labels=dict(sorted(entries.items(), reverse=bool(order))),
        )
        return containers.text([containers.definition(container)])

    assert made(0) == made(1)
    filled_in = {
        "cpu", "essential", "environment", "secrets", "mountPoints", "portMappings", "volumesFrom", "systemControls",
        "dockerLabels", "privileged", "readonlyRootFilesystem",
    }  # fmt: skip
    assert filled_in <= json.loads(made(0))[0].keys()


def test_a_name_both_plain_and_secret_is_refused() -> None:
    """Which of the two would win is nobody's guess."""
    container = Container(
        name="c",
        image=IMAGE,
        command=("x",),
        environment={"A": "1"},
        secrets={"A": SecretSource(arn="arn:x", key="a")},
        log_group="g",
        region="r",
        stop_timeout_s=10,
    )
    with pytest.raises(ValueError, match="both plain and secret"):
        containers.definition(container)


def test_the_container_can_do_as_little_as_possible() -> None:
    """Read-only root, no capability, not root, and a volume where it must write."""
    definition = _container(server_request("staging"))
    assert definition["readonlyRootFilesystem"] is True
    assert definition["user"] == "10001:10001"
    assert definition["linuxParameters"]["capabilities"]["drop"] == ["ALL"]
    assert {mount["containerPath"] for mount in definition["mountPoints"]} == {"/tmp", "/var/spool/mlflow"}  # noqa: S108
    assert {"name": "TMPDIR", "value": "/var/spool/mlflow"} in definition["environment"]


def test_the_platform_is_the_one_asked_for() -> None:
    """X86_64 unless ARM64 is chosen: an image of the other one dies with `exec format error`."""
    for variant, architecture in (("staging", "X86_64"), ("arm64", "ARM64")):
        platform = server_request(variant)["runtimePlatform"]
        assert platform == {"cpuArchitecture": architecture, "operatingSystemFamily": "LINUX"}


def test_an_adopted_bucket_and_database_are_used_as_they_are() -> None:
    """The server writes below the adopted prefix, into the adopted database, through its own port."""
    definition = _container(server_request("adopted"))
    assert "s3://team-bucket/ml/flow/artifacts" in definition["command"]
    environment = {entry["name"]: entry["value"] for entry in definition["environment"]}
    assert environment["MLFLOW_BACKEND_STORE_URI"].endswith("/tracking")


def test_jobs_find_their_queue_by_reference() -> None:
    """The queue's URL holds the token, so the whole URL is a secret."""
    secrets = {entry["name"]: entry["valueFrom"] for entry in _container(server_request("jobs"))["secrets"]}
    assert ":url::v-2" in secrets["MLFLOW_SERVER_JOB_HUEY_REDIS_URL"]


def test_a_secret_that_nobody_holds_is_refused() -> None:
    """A composed value that ECS could not hand over is reported, never rendered as text."""
    with pytest.raises(Refused, match="MIXED"):
        containers.secret_sources({"MIXED": SecretTemplate(text="x{a}y{b}")}, single={}, composed={})
    with pytest.raises(Refused, match="SINGLE"):
        containers.secret_sources({"SINGLE": SecretTemplate(text="{unheard-of}")}, single={}, composed={})


def test_the_database_task_means_the_same_database() -> None:
    """It has the server's own environment, dumps beside the ledger, and the instance's admin by reference only."""
    server, task = _container(server_request("staging")), _container(database_request("staging"))
    environment = {entry["name"]: entry["value"] for entry in task["environment"]}
    for entry in server["environment"]:
        assert environment[entry["name"]] == entry["value"]
    assert environment["MLFLOW_BACKEND_DUMPS"].endswith("/_backend/dumps")
    secrets = {entry["name"]: entry["valueFrom"] for entry in task["secrets"]}
    assert secrets["MLFLOW_BACKEND_ADMIN_PASSWORD"].endswith(":password::")
    assert task["command"][:3] == ["python", "-m", "mlflow_backend_server.db"]


def test_a_size_is_chosen_where_none_is_asked_for() -> None:
    """Enough memory with some to spare, and a whole CPU for the start."""
    settings = changed("dev", {"server": {"cpu": None, "memory": None}})
    task = tasks_of("dev", settings=settings)[tasks.SERVER]
    assert (task["cpu"], task["memory"]) == ("1024", "2048")


class _Answers(Handler):
    status: dict[str, int]
    asked: list[str]

    def reply(self) -> None:
        self.asked.append(self.path)
        self.answer(self.status[self.path])


@pytest.fixture
def answering() -> Iterator[tuple[type[_Answers], int]]:
    """A server whose answers a test sets, and its port."""
    handler = type("Handler", (_Answers,), {"status": {}, "asked": []})
    with LoopbackServer(handler) as server:
        yield handler, server.port


def _run(command: tuple[str, ...], marker: Path) -> int:
    argv = [sys.executable, *(part.replace(f"{containers.TEMPORARY}/ready", str(marker)) for part in command[1:])]
    return subprocess.run(argv, check=False, capture_output=True, timeout=30).returncode


def test_a_task_is_ready_once_and_then_only_alive(answering: tuple[type[_Answers], int], tmp_path: Path) -> None:
    """A deployment waits for readiness; a database that goes away later replaces no task; a dead server does."""
    handler, port = answering
    live = Probe(path="/health", timeout_s=5, interval_s=10, start_allowance_s=180)
    ready = Probe(path="/health/ready", timeout_s=5, interval_s=10, start_allowance_s=180)
    command = containers.health_command(port=port, liveness=live, readiness=ready)
    marker = tmp_path / "ready"
    handler.status = {"/health": 200, "/health/ready": 503}
    assert _run(command, marker) != 0, "not ready yet"
    handler.status = {"/health": 200, "/health/ready": 200}
    assert _run(command, marker) == 0
    handler.status = {"/health": 200, "/health/ready": 503}
    assert _run(command, marker) == 0, "the database is away"
    handler.status = {"/health": 500, "/health/ready": 200}
    assert _run(command, marker) != 0, "dead"
    assert handler.asked == ["/health/ready", "/health/ready", "/health", "/health"]


def test_without_a_readiness_of_its_own_life_is_asked(answering: tuple[type[_Answers], int], tmp_path: Path) -> None:
    """A server without the plugin is still checked."""
    handler, port = answering
    probe = Probe(path="/health", timeout_s=5, interval_s=10, start_allowance_s=180)
    command = containers.health_command(port=port, liveness=probe, readiness=probe)
    handler.status = {"/health": 200}
    assert _run(command, tmp_path / "ready") == 0
    handler.status = {"/health": 503}
    assert _run(command, tmp_path / "ready") != 0


def test_mlflows_own_users_get_their_secrets_by_reference() -> None:
    """The administrator's password and the session key, each a key of the secret; their database by its URI."""
    container = _container(server_request("staging"))
    secrets = {each["name"]: each["valueFrom"] for each in container["secrets"]}
    assert f":admin-password:{IN_FORCE}:" in secrets["MLFLOW_AUTH_ADMIN_PASSWORD"]
    assert f":flask-secret-key:{IN_FORCE}:" in secrets["MLFLOW_FLASK_SERVER_SECRET_KEY"]
    environment = {each["name"]: each["value"] for each in container["environment"]}
    assert environment["MLFLOW_BACKEND_ACCESS"] == "basic"
    assert environment["MLFLOW_BACKEND_AUTH_DATABASE_URI"].endswith("/mlflow_auth")


def test_api_keys_are_read_by_the_server_itself() -> None:
    """The task gets the ARN of their secret: with the value it would accept a revoked key until the next deployment."""
    container = _container(server_request("token"))
    environment = {each["name"]: each["value"] for each in container["environment"]}
    assert environment["MLFLOW_BACKEND_API_KEYS"] == secret_arn(naming_of("token"), "api-keys")
    assert environment["MLFLOW_BACKEND_API_KEY_REQUESTS_PER_MINUTE"] == "600"
    assert "MLFLOW_BACKEND_REDIS_URL" in {each["name"] for each in container["secrets"]}


def test_a_private_registrys_login_is_the_execution_roles_to_read() -> None:
    """Each task that pulls the image names the ARN of its secret; ECR asks for none."""
    for request in (server_request, database_request, verify_request):
        (private,), (public,) = (request(each)["containerDefinitions"] for each in ("private-registry", "staging"))
        secret = settings_of("private-registry").aws.registry_secret
        assert private["repositoryCredentials"] == {"credentialsParameter": secret}
        assert "repositoryCredentials" not in public
