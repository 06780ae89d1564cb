"""The API of a cluster, as far as this target asks it: objects as plain documents, logs, and server-side apply.

Each call has a deadline. A call that may be repeated is repeated while the API server is away: a control plane that is
upgraded in the middle of an update must not fail it.
"""

from __future__ import annotations

import json
import math
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

import urllib3

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.kubernetes.kubeconfig import ClusterConnection, Login

Document = dict[str, Any]

_TIMEOUT: Final = urllib3.Timeout(connect=5, read=30)
_AWAY_S: Final = 60.0
# An API server that was started refuses everybody but its own administrators until it has read the roles, which takes
# seconds (seen on 1.34.1).
_ROLES_S: Final = 30.0
_NOT_FOUND, _CONFLICT, _UNAUTHORISED, _FORBIDDEN = 404, 409, 401, 403
_BUSY: Final = frozenset({429, 500, 502, 503, 504})
_GROUPS: Final[Mapping[str, str]] = {
    "ConfigMap": "api/v1",
    "Event": "api/v1",
    "LimitRange": "api/v1",
    "Pod": "api/v1",
    "PodTemplate": "api/v1",
    "ResourceQuota": "api/v1",
    "Secret": "api/v1",
    "Service": "api/v1",
    "Deployment": "apis/apps/v1",
    "ReplicaSet": "apis/apps/v1",
    "StatefulSet": "apis/apps/v1",
    "HorizontalPodAutoscaler": "apis/autoscaling/v2",
    "Job": "apis/batch/v1",
    "CronJob": "apis/batch/v1",
}
_READ: Final = "GET"
_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"


class Refusal(PlatformFailed):
    """The API server understood a call and did not do it. `status` is HTTP's."""

    def __init__(self, finding: str, *, status: int) -> None:
        """Take the API's own words."""
        super().__init__(
            finding,
            code="kubernetes-refused",
            fix="Give the deployer this permission, or fix what is said",
            part="Kubernetes",
        )
        self.status = status


@dataclass(kw_only=True)
class Api:
    """The objects of one namespace of a cluster."""

    connection: ClusterConnection
    namespace: str
    pace: Pace = field(default_factory=Pace)
    _login: Login | None = None
    _pool: Any = None
    _away_at: float = -math.inf

    def get(self, kind: str, name: str, *, namespace: str | None = None) -> Document | None:
        """Return an object; None if it is not there."""
        return self._document(_READ, self._path(kind, name, namespace=namespace), absent=True)

    def list(self, kind: str, selector: Mapping[str, str] | None = None, *, fields: str = "") -> list[Document]:
        """Return the objects with these labels, and of which these fields hold."""
        labels = ",".join(f"{key}={value}" for key, value in (selector or {}).items())
        query = {"labelSelector": labels, "fieldSelector": fields}
        found = self._document(_READ, self._path(kind, **{key: text for key, text in query.items() if text}))
        return list((found or {}).get("items") or [])

    def create(self, kind: str, document: Document) -> bool:
        """Make an object; False if there is one of its name."""
        try:
            self._document("POST", self._path(kind), document)
        except Refusal as refusal:
            if refusal.status != _CONFLICT:
                raise
            return False
        return True

    def replace(self, kind: str, document: Document) -> bool:
        """Replace an object; False if it is not the one any more whose `resourceVersion` the document has."""
        try:
            self._document("PUT", self._path(kind, document["metadata"]["name"]), document)
        except Refusal as refusal:
            if refusal.status not in {_CONFLICT, _NOT_FOUND}:
                raise
            return False
        return True

    def apply(self, kind: str, document: Document, *, manager: str) -> Document:
        """Make an object as a document says, on the server's side, and take over the fields that it names."""
        path = self._path(kind, document["metadata"]["name"], fieldManager=manager, force="true")
        return self._document("PATCH", path, document, content=_APPLY) or {}

    def scale(self, kind: str, name: str, replicas: int, *, manager: str) -> None:
        """Set the number of replicas."""
        path = self._path(kind, f"{name}/scale", fieldManager=manager)
        self._document("PATCH", path, {"spec": {"replicas": replicas}}, content=_MERGE)

    def delete(self, kind: str, name: str) -> None:
        """Delete an object and what it made, in the background; nothing happens if it is not there."""
        self._document("DELETE", self._path(kind, name, propagationPolicy="Background"), absent=True)

    def log(self, pod: str, *, lines: int | None = None, previous: bool = False) -> str:
        """Return what a pod's container wrote, the last lines only if that many are asked for; '' if it never ran."""
        query = {"tailLines": str(lines)} if lines else {}
        query |= {"previous": "true"} if previous else {}
        try:
            return self._call(_READ, self._path("Pod", f"{pod}/log", **query)).decode(errors="replace")
        except Refusal as refusal:
            if refusal.status in {400, _NOT_FOUND}:
                return ""
            raise

    def may(self, verb: str, resource: str, *, group: str = "", namespace: str | None = None) -> bool:
        """Tell whether the deployer may do something, by the API server's own answer."""
        attributes = {"verb": verb, "resource": resource, "group": group, "namespace": namespace or self.namespace}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = self._document("POST", "apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review) or {}
        return bool(answer["status"]["allowed"])

    def at(self, path: str) -> Document | None:
        """Return what is at a path of the API that has no namespace, such as `version`; None if nothing is."""
        return self._document(_READ, path, absent=True)

    def _path(self, kind: str, name: str = "", *, namespace: str | None = None, **query: str) -> str:
        asked = f"?{urlencode(query)}" if query else ""
        ending = f"/{name}" if name else ""
        return f"{_GROUPS[kind]}/namespaces/{namespace or self.namespace}/{kind.lower()}s{ending}{asked}"

    def _document(
        self,
        method: str,
        path: str,
        body: Document | None = None,
        *,
        content: str = "application/json",
        absent: bool = False,
    ) -> Document | None:
        try:
            answer: Document = json.loads(self._call(method, path, body, content=content))
        except Refusal as refusal:
            if absent and refusal.status == _NOT_FOUND:
                return None
            raise
        return answer

    def _call(
        self, method: str, path: str, body: Document | None = None, *, content: str = "application/json"
    ) -> bytes:
        began, renewed = self.pace.clock(), False
        while True:
            status, answer = self._once(method, path, body, content)
            if status == _UNAUTHORISED and not renewed:
                # A token lasts a quarter of an hour; an update may take longer.
                self._login, renewed = None, True
                continue
            now = self.pace.clock()
            if status is None or status in _BUSY:
                self._away_at = now
            elif status != _FORBIDDEN or now - self._away_at >= _ROLES_S:
                break
            if now - began >= _AWAY_S:
                break
            self.pace.pause(self.pace.poll_s)
        if status is None:
            raise PlatformFailed(
                f"the API server of the context {self.connection.context} is not reached",
                code="kubernetes-unreachable",
                fix="See that it runs and that this machine reaches it, and repeat",
            )
        if status >= 400:  # noqa: PLR2004 - HTTP's errors begin there
            raise Refusal(_words(path, status, answer), status=status)
        return answer

    def _once(self, method: str, path: str, body: Document | None, content: str) -> tuple[int | None, bytes]:
        """Return an answer's status and body; no status if there was no answer."""
        login = self._logged_in()
        headers = {**login.headers, "Accept": "application/json", **({"Content-Type": content} if body else {})}
        if path.split("?", 1)[0].endswith("/log"):
            headers["Accept"] = "*/*"
        try:
            answer = self._pool.request(
                method,
                f"{login.server}/{path}",
                body=json.dumps(body).encode() if body else None,
                headers=headers,
                timeout=_TIMEOUT,
                retries=False,
            )
        except urllib3.exceptions.HTTPError:
            return None, b""
        return answer.status, answer.data

    def _logged_in(self) -> Login:
        if self._login is None:
            login = self._login = self.connection.log_in()
            more = {"server_hostname": login.server_name} if login.server_name else {}
            options: dict[str, Any] = {"ssl_context": login.tls, "maxsize": 4, **more}
            proxy = login.proxy or _proxy(login.server)
            self._pool = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
        return self._login


def _proxy(server: str) -> str | None:
    """Return the proxy that this machine's environment names for an address, as kubectl takes it."""
    host = str(urlsplit(server).hostname)
    return None if urllib.request.proxy_bypass(host) else urllib.request.getproxies().get("https")


def _words(path: str, status: int, answer: bytes) -> str:
    """Return the API's words; of a Secret only the reason, because a message may repeat what was sent."""
    try:
        said = json.loads(answer)
        words = said.get("reason") if "/secrets" in path else said.get("message")
    except (ValueError, AttributeError):
        words = None
    return f"{words or 'no reason given'} (HTTP {status}, {path.split('?', 1)[0]})"
