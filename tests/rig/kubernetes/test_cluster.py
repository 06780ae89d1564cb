"""The rig's cluster itself: what tests of a backend rely on is shown without one, and each part can be seen to fail."""

from __future__ import annotations

import importlib
import json
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pulumi
import pulumi_kubernetes
import pytest
import urllib3
from botocore.exceptions import ClientError

from tests.rig.kubernetes import addons
from tests.server.services import until
from tools.bootstrap import kubernetes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rig.kubernetes.cluster import Cluster

pytestmark = pytest.mark.slow

_DEADLINE_S = 60


@pytest.fixture(scope="module")
def image(cluster: Cluster) -> str:
    """The image whose pods start at once."""
    return cluster.image("addons")


@pytest.fixture(scope="module")
def namespace(cluster: Cluster, image: str) -> Iterator[str]:
    """A namespace with a server and a client, both ready."""
    with cluster.namespace("rig") as made:
        cluster.apply(*addons.tiny(made, image), *addons.tiny(made, image, "client", role="client"))
        for name in ("server", "client"):
            cluster.until_ready(f"deployment/{name}", made)
        yield made


def ask(cluster: Cluster, namespace: str, url: str, client: str = "client") -> str:
    """Return what a pod is answered; raises if it is not."""
    return cluster.kubectl("exec", "-n", namespace, f"deployment/{client}", "--", "/tiny", "get", url)


def fetch(url: str, **headers: str) -> str:
    """Return what this process is answered."""
    answer = urllib3.PoolManager(retries=False, timeout=3).request("GET", url, headers=headers)
    assert answer.status == 200, answer.status
    return answer.data.decode()


def test_the_node_is_ready_and_of_the_pinned_version(cluster: Cluster) -> None:
    """A cluster of another version would prove nothing about the one that is pinned."""
    (node,) = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    assert {each["type"]: each["status"] for each in node["status"]["conditions"]}["Ready"] == "True"
    assert node["status"]["nodeInfo"]["kubeletVersion"] == kubernetes.VERSION


def test_names_resolve_in_pods_and_for_the_deployer(cluster: Cluster, namespace: str) -> None:
    """A service is found by both of its names from a pod, and by its full one from this process."""
    (pod,) = cluster.get("pods", namespace, "-l", "app=server")
    name = pod["metadata"]["name"]
    assert ask(cluster, namespace, f"http://server.{namespace}") == name
    assert ask(cluster, namespace, f"http://server.{namespace}.svc.cluster.local") == name
    assert fetch(f"http://server.{namespace}.svc.cluster.local") == name
    with pytest.raises(RuntimeError):
        ask(cluster, namespace, f"http://nobody.{namespace}")


def test_services_and_pods_are_reached_by_address(cluster: Cluster, namespace: str) -> None:
    """From this process, and by a pod from itself through its own service."""
    (service,) = cluster.get("services", namespace, "--field-selector=metadata.name=server")
    (pod,) = cluster.get("pods", namespace, "-l", "app=server")
    name = pod["metadata"]["name"]
    assert fetch(f"http://{service['spec']['clusterIP']}") == name
    assert fetch(f"http://{pod['status']['podIP']}:8080") == name
    assert ask(cluster, namespace, "http://server", client="server") == name


def test_nothing_outside_is_reached(cluster: Cluster, namespace: str) -> None:
    """A test that asked the internet by mistake would pass on some machines only."""
    with pytest.raises(OSError, match="unreachable"):
        socket.create_connection(("192.0.2.1", 443), timeout=_DEADLINE_S)
    with pytest.raises(RuntimeError):
        ask(cluster, namespace, "http://192.0.2.1")


def test_an_ingress_is_served_by_its_host(cluster: Cluster, namespace: str) -> None:
    """By the name below the rig's domain, by HTTP and HTTPS; another host is not answered."""
    host = f"server.{namespace}.{cluster.ingress_domain}"
    backend = {"service": {"name": "server", "port": {"number": 80}}}
    rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    ingress = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "server", "namespace": namespace},
        "spec": {"ingressClassName": cluster.ingress_class, "rules": [rule]},
    }
    cluster.apply(ingress)
    answered = until(lambda: fetch(f"http://{host}"), what="the ingress", deadline_s=_DEADLINE_S)
    assert answered.startswith("server-")
    (made,) = cluster.get("ingresses", namespace)
    assert made["status"]["loadBalancer"]["ingress"] == [{"ip": cluster.ingress_address}]
    pool = urllib3.PoolManager(retries=False, timeout=3, cert_reqs="CERT_NONE")
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    assert pool.request("GET", f"https://{host}").data.decode() == answered
    assert pool.request("GET", f"http://other.{cluster.ingress_domain}").status == 404


def test_metrics_are_measured(cluster: Cluster, namespace: str) -> None:
    """An autoscaler without metrics does nothing, which a test could take for its patience."""
    path = f"--raw=/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods"
    measured = until(lambda: json.loads(cluster.kubectl("get", path))["items"], what="metrics", deadline_s=_DEADLINE_S)
    assert {"cpu", "memory"} <= measured[0]["containers"][0]["usage"].keys()


def test_a_volume_is_bound_and_written(cluster: Cluster, image: str, namespace: str) -> None:
    """The claim of a pod that is not root is bound at first use, to a folder of this machine that it may write."""
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": cluster.storage_class,
            "resources": {"requests": {"storage": "20Gi"}},
        },
    }
    made = addons.tiny(namespace, image, "writer")[0]
    pod = made["spec"]["template"]["spec"]
    pod["securityContext"] |= {"fsGroup": 1000}
    pod["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    pod["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    cluster.apply(claim, made)
    cluster.until_ready("deployment/writer", namespace)
    (bound,) = cluster.get("persistentvolumeclaims", namespace)
    number = bound["spec"]["volumeName"].removeprefix("rig-")
    assert (cluster.volumes / number).stat().st_gid == 1000


def test_the_stores_are_there(cluster: Cluster, namespace: str) -> None:
    """S3 for this process and for pods by one address, with conditions on what is written; and the other servers."""
    client = boto3.client(
        "s3",
        "us-east-1",
        endpoint_url=cluster.s3.endpoint,
        aws_access_key_id=cluster.s3.access_key,
        aws_secret_access_key=cluster.s3.secret_key,
    )
    client.put_object(Bucket=cluster.s3.bucket, Key="once", Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError) as refusal:
        client.put_object(Bucket=cluster.s3.bucket, Key="once", Body=b"second", IfNoneMatch="*")
    assert refusal.value.response["Error"]["Code"] == "PreconditionFailed"
    signed = client.generate_presigned_url("get_object", {"Bucket": cluster.s3.bucket, "Key": "once"})
    assert ask(cluster, namespace, signed) == "first"
    for program in ("postgres", "initdb", "valkey-server"):
        cluster.kubectl("exec", "-n", "stores", "deployment/s3", "--", program, "--version")


def test_policies_are_enforced(cluster: Cluster, namespace: str) -> None:
    """Nobody reaches a guarded pod but who has the label; without the policy both do."""
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "guarded", "namespace": namespace},
        "spec": {
            "podSelector": {"matchLabels": {"app": "server"}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"role": "client"}}}]}],
        },
    }
    cluster.apply(*addons.tiny(namespace, cluster.image("addons"), "stranger"))
    cluster.until_ready("deployment/stranger", namespace)
    for client in ("client", "stranger"):
        assert ask(cluster, namespace, "http://server", client=client)
    cluster.apply(policy)
    try:
        until(lambda: refused(cluster, namespace, "stranger"), what="the policy", deadline_s=_DEADLINE_S)
        assert ask(cluster, namespace, "http://server")
    finally:
        cluster.kubectl("delete", "networkpolicy", "guarded", "-n", namespace)
    until(lambda: ask(cluster, namespace, "http://server", client="stranger"), what="its end", deadline_s=_DEADLINE_S)


def refused(cluster: Cluster, namespace: str, client: str) -> bool:
    """Whether a pod is cut off from the server."""
    try:
        ask(cluster, namespace, "http://server", client=client)
    except RuntimeError:
        return True
    return False


def test_a_pod_that_is_not_restricted_is_refused(cluster: Cluster, namespace: str) -> None:
    """The namespaces of tests hold pods to the strictest level, as the backend's documents claim to keep."""
    pod = {"containers": [{"name": "root", "image": cluster.image("addons"), "imagePullPolicy": "Never"}]}
    with pytest.raises(RuntimeError, match="PodSecurity"):
        cluster.apply(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root", "namespace": namespace}, "spec": pod}
        )


def test_a_killed_api_server_comes_back(cluster: Cluster, namespace: str) -> None:
    """Pods serve meanwhile, and what was applied is there afterwards."""
    (service,) = cluster.get("services", namespace, "--field-selector=metadata.name=server")
    cluster.stop("apiserver")
    try:
        with pytest.raises(RuntimeError):
            cluster.kubectl("get", "--raw=/readyz")
        assert fetch(f"http://{service['spec']['clusterIP']}")
    finally:
        cluster.start("apiserver")
    until(lambda: cluster.kubectl("get", "--raw=/readyz"), what="the API server", deadline_s=_DEADLINE_S)
    assert cluster.get("services", namespace)


def test_plugin_and_sdk_are_of_one_release(cluster: Cluster) -> None:
    """The plugin's schema has the resources and the inputs of the SDK, or it would drop what a program gives it."""
    schema = json.loads(cluster.plugin.with_name("schema.json").read_text())
    declared = {token for token, resource in schema["resources"].items() if not resource.get("isOverlay")}
    registered = re.findall(r'^ {3}"(kubernetes:\S+)": ', Path(pulumi_kubernetes.__file__).read_text(), re.MULTILINE)
    assert declared == set(registered)
    modules = schema["language"]["python"]["moduleNameOverrides"]
    compared = 0
    for token, described in schema["types"].items():
        _, module, name = token.split(":")
        try:
            home = importlib.import_module(f"pulumi_kubernetes.{modules.get(module, module).replace('/', '.')}")
        except ModuleNotFoundError:
            # Of no resource: the SDK does without.
            continue
        arguments = getattr(home, f"{name}Args", None)
        # The arguments of a resource have the name that its own type would have.
        if arguments is not None and token not in schema["resources"]:
            names = set(pulumi._types.input_type_py_to_pulumi_names(arguments).values())
            assert names == set(described.get("properties", {})), token
            compared += 1
    assert compared > 500
