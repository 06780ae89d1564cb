"""Identities of pods as EKS gives them: the webhook that names the agent to a pod, and the agent that gives the role.

What a pod is told beside that stands for what AWS is outside of the rig: the address of its services, and the authority
that signed their certificates.
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import subprocess
import threading
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.render.cluster import PODS
from mlflow_backend.aws.render.database import DATABASE_CA
from tests.rig.aws.iam.enforcement import RoleNotAssumed, take_role
from tests.rig.kubernetes import parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.rig.aws.eks.model import Eks
    from tests.rig.aws.rig import AwsRig
    from tests.rig.kubernetes.cluster import Cluster

_AGENT: Final = "169.254.170.23"
_MOUNT: Final = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount"
_TOKEN: Final = "eks-pod-identity-token"
_TRUST, _TRUST_FILE = "rig-authority", "/run/rig/authority.pem"
_NAME: Final = "pod-identities.rig.test"
_LIFETIME_S: Final = 86400


@contextlib.contextmanager
def given(cluster: Cluster, aws: AwsRig, eks: Eks, name: str, *, namespace: str) -> Iterator[None]:
    """Give pods of a namespace the roles that the cluster `name` of EKS associates with their accounts.

    This thread is in the cluster's network.
    """
    with contextlib.ExitStack() as kept:
        _link("add")
        kept.callback(_link, "del")
        agent = _Agent(cluster, eks, name)
        kept.enter_context(_served((_AGENT, 80), {"GET": agent.answer}))
        webhook = _Webhook(cluster, aws, eks, name)
        address = (parts.NODE_ADDRESS, 0)
        port = kept.enter_context(_served(address, {"POST": webhook.answer}, cluster))
        configuration = f"mutatingwebhookconfiguration/{_NAME}"
        cluster.apply(_configuration(cluster, port, namespace))
        kept.callback(cluster.kubectl, "delete", configuration)
        yield


def _link(verb: str) -> None:
    subprocess.run(["ip", "addr", verb, f"{_AGENT}/32", "dev", "lo"], check=True, timeout=10)


def _configuration(cluster: Cluster, port: int, namespace: str) -> dict[str, Any]:
    authority = base64.b64encode(cluster.authority.root.read_bytes()).decode()
    hook = {
        "name": _NAME,
        "clientConfig": {"url": f"https://{parts.NODE_ADDRESS}:{port}/mutate", "caBundle": authority},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "sideEffects": "NoneOnDryRun",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail",
    }
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration"}
    return {**kind, "metadata": {"name": _NAME}, "webhooks": [hook]}


class _Webhook:
    """Changes each pod on its way, as amazon-eks-pod-identity-webhook does for an account with an association."""

    def __init__(self, cluster: Cluster, aws: AwsRig, eks: Eks, name: str) -> None:
        self._cluster, self._aws, self._eks, self._name = cluster, aws, eks, name
        self._plain = {"AWS_ENDPOINT_URL": aws.endpoint_url, "AWS_CA_BUNDLE": _TRUST_FILE, "SSL_CERT_FILE": _TRUST_FILE}

    def answer(self, _headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        review = json.loads(body)
        request = review["request"]
        self._trust(request["namespace"])
        patch = base64.b64encode(json.dumps(self._patch(request["namespace"], request["object"]["spec"])).encode())
        answer = {"uid": request["uid"], "allowed": True, "patchType": "JSONPatch", "patch": patch.decode()}
        return 200, {"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": answer}

    def _trust(self, namespace: str) -> None:
        """Put the authority where pods of the namespace can mount it."""
        root = {"root.pem": self._aws.authority.root.read_text()}
        metadata = {"name": _TRUST}
        self._cluster.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": root}, namespace=namespace
        )

    def _patch(self, namespace: str, spec: Mapping[str, Any]) -> list[dict[str, Any]]:
        variables, volumes = dict(self._plain), [{"name": _TRUST, "configMap": {"name": _TRUST}}]
        mounts = [
            {"name": _TRUST, "mountPath": path, "subPath": "root.pem", "readOnly": True}
            for path in (_TRUST_FILE, DATABASE_CA)
        ]
        asked = {"clusterName": self._name, "namespace": namespace, "serviceAccount": spec["serviceAccountName"]}
        if self._eks.ask("ListPodIdentityAssociations", asked)["associations"]:
            variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"http://{_AGENT}/v1/credentials"
            variables["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = f"{_MOUNT}/{_TOKEN}"
            token = {"audience": PODS, "expirationSeconds": _LIFETIME_S, "path": _TOKEN}
            volumes.append({"name": _TOKEN, "projected": {"sources": [{"serviceAccountToken": token}]}})
            mounts.append({"name": _TOKEN, "mountPath": _MOUNT, "readOnly": True})
        patch: list[dict[str, Any]] = [
            {"op": "add", "path": "/spec/volumes", "value": [*spec.get("volumes", []), *volumes]}
        ]
        for number, each in enumerate(spec["containers"]):
            own = each.get("env", [])
            named = {one["name"] for one in own}
            more = [{"name": key, "value": value} for key, value in variables.items() if key not in named]
            at = f"/spec/containers/{number}"
            patch += [
                {"op": "add", "path": f"{at}/env", "value": [*own, *more]},
                {"op": "add", "path": f"{at}/volumeMounts", "value": [*each.get("volumeMounts", []), *mounts]},
            ]
        return patch


class _Agent:
    """Gives the bearer of a pod's token the role of its account, as eks-pod-identity-agent does."""

    def __init__(self, cluster: Cluster, eks: Eks, name: str) -> None:
        self._cluster, self._eks, self._name = cluster, eks, name

    def answer(self, headers: Mapping[str, str], _body: bytes) -> tuple[int, Any]:
        found = self._bearer(headers.get("Authorization", ""))
        if found is None:
            return 401, {"message": "the token is no pod's of this cluster"}
        namespace, account = found
        asked = {"clusterName": self._name, "namespace": namespace, "serviceAccount": account}
        associated = self._eks.ask("ListPodIdentityAssociations", asked)["associations"]
        if not associated:
            return 404, {"message": "no association"}
        cluster = self._eks.ask("DescribeCluster", {"name": self._name})["cluster"]
        tags = {
            "eks-cluster-arn": cluster["arn"],
            "eks-cluster-name": self._name,
            "kubernetes-namespace": namespace,
            "kubernetes-service-account": account,
        }
        context = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
        try:
            caller, expires = take_role(associated[0]["roleArn"], service=PODS, session="eks-mlflow", context=context)
        except RoleNotAssumed:
            return 403, {"message": "the role does not trust this pod"}
        return 200, {
            "AccessKeyId": caller.key,
            "SecretAccessKey": caller.secret,
            "Token": caller.token,
            "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def _bearer(self, token: str) -> tuple[str, str] | None:
        """Return namespace and account of whose token it is, None if the API server does not know it."""
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [PODS]},
        }
        answer = self._cluster.kubectl(
            "create", "--raw", "/apis/authentication.k8s.io/v1/tokenreviews", "-f", "-", given=json.dumps(review)
        )
        status = json.loads(answer)["status"]
        kind, _, named = str(status.get("user", {}).get("username", "")).partition("serviceaccount:")
        if not status.get("authenticated") or kind != "system:":
            return None
        namespace, _, account = named.partition(":")
        return namespace, account


@contextlib.contextmanager
def _served(
    address: tuple[str, int],
    answers: Mapping[str, Callable[[Mapping[str, str], bytes], tuple[int, Any]]],
    cluster: Cluster | None = None,
) -> Iterator[int]:
    """Answer by HTTP, or by TLS with a certificate of a cluster's authority, and give the port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Print nothing."""

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, document = answers[self.command](dict(self.headers.items()), body)
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer  # noqa: N815 - the base class's names

    server = http.server.ThreadingHTTPServer(address, Handler)
    server.daemon_threads = False
    if cluster is not None:
        server.socket = cluster.authority.context(address[0]).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
