"""A context of a kubeconfig as what a client needs: an address, whom it trusts, and how somebody logs in.

Credentials are read when they are needed and kept in memory only. The forms are those of Kubernetes 1.34 ('Organizing
Cluster Access Using kubeconfig Files', 'client-go credential plugins'); the removed auth providers are refused.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import yaml

from mlflow_backend.contract import PlatformFailed, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXEC_DEADLINE_S: Final = 60
_FIX: Final = "Correct kubernetes.kubeconfig and kubernetes.context, and try `kubectl --context CONTEXT version`."


class ClusterConnection(Protocol):
    """How a cluster is reached, whoever keeps its credentials."""

    @property
    def context(self) -> str:
        """The context by which people's kubectl reaches it."""

    def log_in(self) -> Login:
        """Return what the API is called with, which may last for minutes only.

        Raises Refused for a cluster that cannot be reached this way, and ClusterGone for one that is not there any
        more.
        """


class ClusterGone(PlatformFailed):
    """There is no such cluster, so nothing of a backend is in it."""


@dataclass(frozen=True)
class Connection:
    """A context of a kubeconfig: for Pulumi's provider and for everything that asks the cluster itself.

    Without a path, or if it is not there, KUBECONFIG decides, then ~/.kube/config. Its content is kept nowhere.
    """

    kubeconfig: str | None
    context: str

    def log_in(self) -> Login:
        """See ClusterConnection."""
        return log_in(self)


@dataclass(frozen=True, kw_only=True)
class Login:
    """What one process of ours calls the API with. `headers` hold the token, `tls` the client's certificate."""

    server: str
    tls: ssl.SSLContext
    headers: Mapping[str, str]
    server_name: str | None
    proxy: str | None


def log_in(connection: Connection) -> Login:
    """Return what the API is called with. Raises Refused for a context that cannot be used."""
    folder, cluster, user = _entries(connection)
    server = cluster.get("server")
    if not isinstance(server, str) or not server.startswith("https://"):
        raise _refused(connection, "its cluster has no https server")
    user = {**user, **_from_plugin(connection, user)}
    token = user.get("token") or _text(folder, user.get("tokenFile"))
    return Login(
        server=server.rstrip("/"),
        tls=_tls(connection, folder, cluster, user),
        headers={"Authorization": f"Bearer {token.strip()}"} if token else {},
        server_name=cluster.get("tls-server-name"),
        proxy=cluster.get("proxy-url"),
    )


def _entries(connection: Connection) -> tuple[Path, Mapping[str, Any], Mapping[str, Any]]:
    """Return the folder of the file that has the context, its cluster and its user."""
    named = os.environ.get("KUBECONFIG") or "~/.kube/config"
    # A locator may come from another machine, which has it at another path.
    if connection.kubeconfig and Path(connection.kubeconfig).expanduser().exists():
        named = connection.kubeconfig
    for path in [Path(each).expanduser() for each in named.split(os.pathsep) if each]:
        try:
            found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except FileNotFoundError:
            continue
        except (OSError, yaml.YAMLError) as error:
            # Its text is not repeated: it may hold a token.
            raise _refused(connection, f"{path} cannot be read ({type(error).__name__})") from None
        context = _named(found, "contexts", "context", connection.context)
        if context is not None:
            cluster = _named(found, "clusters", "cluster", context.get("cluster"))
            user = _named(found, "users", "user", context.get("user"))
            if cluster is None:
                raise _refused(connection, "its cluster is not in the file")
            return path.parent, cluster, user or {}
    raise _refused(connection, f"no kubeconfig has it ({named})")


def _named(document: Mapping[str, Any], section: str, kind: str, name: object) -> dict[str, Any] | None:
    entries = document.get(section) or []
    return next((dict(each.get(kind) or {}) for each in entries if each.get("name") == name), None)


def _tls(connection: Connection, folder: Path, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> ssl.SSLContext:
    trusted = _decoded(cluster.get("certificate-authority-data")) or _text(folder, cluster.get("certificate-authority"))
    certificate = _decoded(user.get("client-certificate-data")) or _text(folder, user.get("client-certificate"))
    key = _decoded(user.get("client-key-data")) or _text(folder, user.get("client-key"))
    try:
        context = ssl.create_default_context(cadata=trusted or None)
        if cluster.get("insecure-skip-tls-verify"):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if certificate and key:
            # ssl reads a client's certificate from files only; they are gone before anything is called.
            with tempfile.TemporaryDirectory() as private:
                pair = Path(private) / "client.pem"
                pair.touch(mode=0o600)
                pair.write_text(f"{certificate}\n{key}", encoding="ascii")
                context.load_cert_chain(pair)
    except (ssl.SSLError, ValueError):
        raise _refused(connection, "its certificates are damaged") from None
    return context


def _from_plugin(connection: Connection, user: Mapping[str, Any]) -> dict[str, str]:
    """Return what the user's credential plugin gives; nothing if the user has none."""
    if "auth-provider" in user:
        raise _refused(connection, "its user has an auth-provider, which Kubernetes has removed")
    wanted = user.get("exec")
    if not wanted:
        return {}
    asked = {"apiVersion": wanted["apiVersion"], "kind": "ExecCredential", "spec": {"interactive": False}}
    more = {each["name"]: each["value"] for each in wanted.get("env") or []}
    try:
        done = subprocess.run(
            [wanted["command"], *(wanted.get("args") or [])],
            env={**os.environ, **more, "KUBERNETES_EXEC_INFO": json.dumps(asked)},
            capture_output=True,
            text=True,
            timeout=_EXEC_DEADLINE_S,
            check=True,
        )
        status = json.loads(done.stdout)["status"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        raise _refused(
            connection, f"its credential plugin {wanted['command']} gave no credentials ({type(error).__name__})"
        ) from None
    given = {
        "token": status.get("token"),
        "client-certificate-data": _encoded(status.get("clientCertificateData")),
        "client-key-data": _encoded(status.get("clientKeyData")),
    }
    return {name: value for name, value in given.items() if value}


def _text(folder: Path, path: object) -> str:
    if not isinstance(path, str) or not path:
        return ""
    try:
        return (folder / path).read_text(encoding="utf-8")
    except OSError as error:
        raise Refused(
            f"{folder / path}: it is named by a kubeconfig and cannot be read ({error.strerror}).",
            code="kubeconfig-file-unreadable",
            fix=_FIX,
        ) from None


def _decoded(text: object) -> str:
    return base64.b64decode(text).decode("ascii") if isinstance(text, str) else ""


def _encoded(text: object) -> str:
    return base64.b64encode(text.encode()).decode() if isinstance(text, str) else ""


def _refused(connection: Connection, why: str) -> Refused:
    return Refused(
        f"The context {connection.context} cannot be used: {why}.", code="kubernetes-context-unusable", fix=_FIX
    )
