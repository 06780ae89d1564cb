"""The client of the API: whom it trusts, how it logs in, what it does while the server is away; and a Job's start."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.kubernetes import kubeconfig
from mlflow_backend.kubernetes.api import Api, Refusal
from mlflow_backend.kubernetes.kubeconfig import Connection
from mlflow_backend.kubernetes.render import oneshot
from mlflow_backend.pace import Pace
from tests.loopback_http import Handler, LoopbackServer
from tests.rig.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.service]

Answer = tuple[int, Any]


class Server:
    """An HTTPS server that gives the answers that a test put up, in order, and keeps what it was asked."""

    def __init__(self, folder: Path) -> None:
        """Start it on a free port of loopback."""
        self.answers: list[Answer] = []
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.authority = Authority(folder / "authority")
        certificate, key = self.authority.certificate("127.0.0.1")
        owner = self

        class Listed(Handler):
            def reply(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                owner.asked.append((self.command, self.path, dict(self.headers), body))
                status, document = owner.answers.pop(0)
                self.answer(status, json.dumps(document).encode())

        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        self._server = LoopbackServer(Listed, context=context)
        self.url, self.close = self._server.url, self._server.close


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An API server."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    made = Server(tmp_path)
    yield made
    made.close()


def write(path: Path, server: Server, user: dict[str, Any], /, **cluster: Any) -> Connection:
    """Write a kubeconfig, and return the connection by it."""
    authority = base64.b64encode(server.authority.root.read_bytes()).decode()
    document = {
        "clusters": [
            {"name": "c", "cluster": {"server": server.url, "certificate-authority-data": authority, **cluster}}
        ],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "example", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "another",
    }
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return Connection(str(path), "example")


def api_of(connection: Connection, *, limit: float = 120.0) -> Api:
    """Return the API, with a clock that each look moves on by 20 s."""
    times = iter(range(0, int(limit) * 10, 20))
    return Api(
        connection=connection, namespace="mlflow", pace=Pace(clock=lambda: float(next(times)), pause=lambda _: None)
    )


def test_an_object_is_read_by_its_token(server: Server, tmp_path: Path) -> None:
    """The token comes from the file that is named, relative to the kubeconfig."""
    (tmp_path / "token").write_text("t0ken\n")
    server.answers = [(200, {"kind": "Secret"}), (404, {"message": "not found"})]
    api = api_of(write(tmp_path / "config", server, {"tokenFile": "token"}))
    assert api.get("Secret", "x") == {"kind": "Secret"}
    assert api.get("Secret", "y") is None
    method, path, headers, _ = server.asked[0]
    assert (method, path) == ("GET", "/api/v1/namespaces/mlflow/secrets/x")
    assert headers["Authorization"] == "Bearer t0ken"


def test_a_credential_plugin_is_asked_again_when_its_token_has_expired(server: Server, tmp_path: Path) -> None:
    """A token lasts a quarter of an hour, and an update may take longer."""
    plugin = tmp_path / "plugin"
    count = tmp_path / "count"
    plugin.write_text(
        f"#!{sys.executable}\n"
        "import json, os, pathlib\n"
        f"count = pathlib.Path({str(count)!r})\n"
        "number = int(count.read_text()) + 1 if count.exists() else 1\n"
        "count.write_text(str(number))\n"
        "asked = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "assert asked['kind'] == 'ExecCredential'\n"
        "print(json.dumps({'status': {'token': f'{os.environ[\"WHO\"]}-{number}'}}))\n"
    )
    plugin.chmod(stat.S_IRWXU)
    wanted = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": str(plugin),
        "env": [{"name": "WHO", "value": "me"}],
    }
    server.answers = [(200, {}), (401, {"message": "expired"}), (200, {})]
    api = api_of(write(tmp_path / "config", server, {"exec": wanted}))
    api.get("Pod", "a")
    api.get("Pod", "b")
    assert [headers["Authorization"] for _, _, headers, _ in server.asked] == [
        "Bearer me-1",
        "Bearer me-1",
        "Bearer me-2",
    ]


def test_a_call_is_repeated_while_the_api_server_is_away(server: Server, tmp_path: Path) -> None:
    """A control plane is restarted in the middle of an update."""
    server.answers = [(503, {}), (429, {}), (200, {"kind": "Pod"})]
    assert api_of(write(tmp_path / "config", server, {"token": "t"})).get("Pod", "a") == {"kind": "Pod"}


def test_an_api_server_that_comes_back_may_not_know_the_roles_yet(server: Server, tmp_path: Path) -> None:
    """A refusal within seconds of its return is no answer; one that stays, or comes at any other time, is."""
    refusal: Answer = (403, {"reason": "Forbidden", "message": "pods is forbidden"})
    api = api_of(write(tmp_path / "config", server, {"token": "t"}))
    server.answers = [(503, {}), refusal, (200, {"kind": "Pod"})]
    assert api.get("Pod", "a") == {"kind": "Pod"}
    server.answers = [(503, {}), refusal, refusal]
    with pytest.raises(Refusal):
        api.get("Pod", "a")
    server.answers = [refusal]
    with pytest.raises(Refusal):
        api.get("Pod", "a")


def test_an_api_server_that_stays_away_is_said_so(server: Server, tmp_path: Path) -> None:
    """After a minute, not after the test's own deadline."""
    connection = write(tmp_path / "config", server, {"token": "t"}, server="https://127.0.0.1:9")
    with pytest.raises(PlatformFailed) as failed:
        api_of(connection).get("Pod", "a")
    assert failed.value.code == "kubernetes-unreachable"


def test_another_authority_is_not_trusted(server: Server, tmp_path: Path) -> None:
    """Somebody in between would get the token."""
    other = base64.b64encode(Authority(tmp_path / "other").root.read_bytes()).decode()
    connection = write(tmp_path / "config", server, {"token": "t"}, **{"certificate-authority-data": other})
    with pytest.raises(PlatformFailed) as failed:
        api_of(connection).get("Pod", "a")
    assert failed.value.code == "kubernetes-unreachable"
    assert server.asked == []


def test_the_apis_own_words_are_kept_but_those_about_a_secret(server: Server, tmp_path: Path) -> None:
    """A message about a Secret may repeat what was sent."""
    server.answers = [
        (403, {"reason": "Forbidden", "message": "pods is forbidden"}),
        (422, {"reason": "Invalid", "message": "data: hunter2"}),
    ]
    api = api_of(write(tmp_path / "config", server, {"token": "t"}))
    with pytest.raises(Refusal) as refused:
        api.list("Pod")
    assert "pods is forbidden" in str(refused.value)
    with pytest.raises(Refusal) as refused:
        api.create("Secret", {"metadata": {"name": "x"}})
    assert "hunter2" not in str(refused.value)
    assert "Invalid" in str(refused.value)


def test_an_apply_names_its_manager_and_takes_over(server: Server, tmp_path: Path) -> None:
    """As Pulumi's own, so that neither fights the other."""
    server.answers = [(200, {}), (200, {})]
    api = api_of(write(tmp_path / "config", server, {"token": "t"}))
    api.apply("Deployment", {"metadata": {"name": "x"}}, manager="me")
    api.scale("Deployment", "x", 3, manager="me")
    (method, path, headers, _), (_, scaled, _, body) = server.asked
    assert (method, headers["Content-Type"]) == ("PATCH", "application/apply-patch+yaml")
    assert path == "/apis/apps/v1/namespaces/mlflow/deployments/x?fieldManager=me&force=true"
    assert scaled.startswith("/apis/apps/v1/namespaces/mlflow/deployments/x/scale?")
    assert json.loads(body) == {"spec": {"replicas": 3}}


def test_what_exists_or_was_changed_meanwhile_is_no_error(server: Server, tmp_path: Path) -> None:
    """The caller reads again."""
    server.answers = [(409, {"reason": "AlreadyExists"}), (409, {"reason": "Conflict"}), (201, {}), (404, {})]
    api = api_of(write(tmp_path / "config", server, {"token": "t"}))
    document = {"metadata": {"name": "x", "resourceVersion": "1"}}
    assert api.create("Secret", document) is False
    assert api.replace("Secret", document) is False
    assert api.create("Secret", document) is True
    api.delete("Secret", "x")


def test_permissions_are_asked_of_the_api_server(server: Server, tmp_path: Path) -> None:
    """It alone knows all roles and webhooks."""
    server.answers = [(201, {"status": {"allowed": True}}), (201, {"status": {"allowed": False}})]
    api = api_of(write(tmp_path / "config", server, {"token": "t"}))
    assert api.may("create", "secrets") is True
    assert api.may("patch", "deployments", group="apps") is False
    asked = json.loads(server.asked[1][3])["spec"]["resourceAttributes"]
    assert asked == {"verb": "patch", "resource": "deployments", "group": "apps", "namespace": "mlflow"}


@pytest.mark.parametrize(
    ("user", "cluster"),
    [
        ({"auth-provider": {"name": "gcp"}}, {}),
        ({"exec": {"apiVersion": "v1", "command": "/nowhere/plugin"}}, {}),
        ({"token": "t"}, {"server": "http://127.0.0.1:1"}),
        ({"token": "t"}, {"certificate-authority-data": base64.b64encode(b"no certificate").decode()}),
        ({"client-certificate": "missing.pem", "client-key": "missing.key"}, {}),
    ],
)
def test_a_context_that_cannot_be_used_is_refused(
    server: Server, tmp_path: Path, user: dict[str, Any], cluster: dict[str, Any]
) -> None:
    """Before anything is called, and without what the file holds."""
    with pytest.raises(Refused):
        kubeconfig.log_in(write(tmp_path / "config", server, user, **cluster))
    assert server.asked == []


def test_the_current_context_is_never_taken(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A context is named; KUBECONFIG may list files, of which the first that has it counts."""
    connection = write(tmp_path / "config", server, {"token": "t"})
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'missing'}:{connection.kubeconfig}")
    assert kubeconfig.log_in(Connection(None, "example")).server == server.url
    with pytest.raises(Refused) as refused:
        kubeconfig.log_in(Connection(None, "another"))
    assert refused.value.code == "kubernetes-context-unusable"


def test_a_clients_certificate_leaves_no_file(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python reads it from a file only."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    certificate, key = server.authority.certificate("127.0.0.1")
    user = {
        "client-certificate-data": base64.b64encode(certificate.read_bytes()).decode(),
        "client-key": str(key),
    }
    server.answers = [(200, {})]
    assert api_of(write(tmp_path / "config", server, user)).get("Pod", "a") == {}
    assert list(folder.iterdir()) == []


def test_a_jobs_command_waits_for_the_database_and_has_one_stream() -> None:
    """A new pod may not be let through yet, and words on another stream would come into the middle of a report."""
    spoken = "import sys; print('words', file=sys.stderr); print('report')"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        uri = f"postgresql+psycopg2://mlflow@127.0.0.1:{listening.getsockname()[1]}/mlflow"
        done = subprocess.run(
            [sys.executable, *oneshot.BEFORE[1:], sys.executable, "-u", "-c", spoken],
            env={**os.environ, "MLFLOW_BACKEND_STORE_URI": uri},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        listening.settimeout(5)
        listening.accept()[0].close()
    assert done.stdout == "words\nreport\n"
