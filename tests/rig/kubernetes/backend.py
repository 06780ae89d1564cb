"""The shipped stack `cluster` on the rig's cluster, by the project's own program, the real engine and plugin."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import TYPE_CHECKING, Any, Final

import urllib3
import yaml

from mlflow_backend.kubernetes.locator import locator_of
from mlflow_backend.kubernetes.naming import CANDIDATE, SERVER, Naming
from mlflow_backend.kubernetes.platform import KubernetesPlatform
from mlflow_backend.server import parse_version
from mlflow_backend.settings import YamlSource, load
from mlflow_backend.vulnerabilities.table import of_version
from tests.engine.project import ROOT, Project
from tests.server import server_image
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.rig.kubernetes.cluster import Cluster

_STACK: Final = "cluster"
_S3_KEYS: Final = "s3-keys"
_SETTLED_S: Final = 240
_TIMEOUT: Final = urllib3.Timeout(connect=5, read=60)


class ClusterStack(Project):
    """The stack in a namespace of its own, small enough that a node of two cores runs an update of it."""

    timeout_s = 560
    dropped = ("PULUMI_", "AWS_", "KUBECONFIG")

    def __init__(
        self, folder: Path, cluster: Cluster, namespace: str, *, stack: str = _STACK, **sections: Mapping[str, Any]
    ) -> None:
        """Lay out the project, with single settings of sections changed, and make its Secrets; nothing is deployed."""
        super().__init__(folder, stack, program=ROOT / "__main__.py")
        self.cluster, self.namespace = cluster, namespace
        self.naming = Naming(project="mlflow-backend", stack=stack, namespace=namespace)
        self.host = f"{stack}.{namespace}.{cluster.ingress_domain}"
        self.tls = f"{stack}-tls"
        self.given_secrets = {_S3_KEYS, self.tls}
        (self.project / "scripts").symlink_to(ROOT / "scripts")
        cluster.install_plugin(self.home)
        self._make_secrets()
        shipped = yaml.safe_load((ROOT / f"Pulumi.{_STACK}.yaml").read_text())["config"]
        self.settings: dict[str, Any] = {key.partition(":")[2]: value for key, value in shipped.items()}
        self.write_settings(**self._small())
        self.serve(server_image.VERSION)
        self.write_settings(**sections)
        self.init()

    def _small(self) -> dict[str, Any]:
        s3, stores = self.cluster.s3, self.cluster.image("stores")
        return {
            "server": {"workers": 1, "replicas": 2, "cpu": 2048, "memory": 2048},
            "scaling": {"maxReplicas": 2},
            # The cluster's clock is a real one.
            "verify": {"schedule": "never"},
            "database": {"maxConnections": 300},
            "artifacts": {"existing": f"s3://{s3.bucket}/{self.namespace}/{self.name}"},
            "network": {"publicUrl": f"https://{self.host}"},
            "kubernetes": {
                "kubeconfig": str(self.cluster.kubeconfig),
                "context": self.cluster.context,
                "namespace": self.namespace,
                "server": {"cpuRequest": 64, "memoryRequest": 512},
                "ingress": {"className": self.cluster.ingress_class, "tlsSecret": self.tls, "namespace": "ingress"},
                "database": {"image": stores, "storageClass": self.cluster.storage_class, "cpuRequest": 64},
                "cache": {"image": stores, "cpuRequest": 64},
                "artifacts": {"endpoint": s3.endpoint, "secret": _S3_KEYS},
            },
        }

    def _make_secrets(self) -> None:
        s3 = self.cluster.s3
        certificate, key = self.cluster.authority.certificate(self.host)
        for name, kind, values in (
            (_S3_KEYS, "Opaque", {"access-key-id": s3.access_key, "secret-access-key": s3.secret_key}),
            (self.tls, "kubernetes.io/tls", {"tls.crt": certificate.read_text(), "tls.key": key.read_text()}),
        ):
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind}
            self.cluster.apply({**secret, "stringData": values}, namespace=self.namespace)

    @property
    def environment(self) -> dict[str, str]:
        """What every command of this stack is run with: the deployer trusts who signed the ingress's certificate."""
        return {
            **super().environment,
            "SSL_CERT_FILE": str(self.cluster.authority.bundle),
            # The plugin leaves a copy of the kubeconfig there at each start.
            "TMPDIR": str(self.folder),
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }

    def write_settings(self, **sections: Mapping[str, Any]) -> None:
        """Change single settings of sections, and write the stack's file."""
        self.settings = _merged(self.settings, sections)
        self.write_config(self.settings)

    def serve(self, version: str) -> None:
        """Ask for another MLflow version, by its image, and accept what is known against it."""
        known = [row.id for row in of_version(parse_version(version))]
        self.write_settings(
            server={"mlflowVersion": version, "image": self.cluster.image("server", version)},
            policy={"acceptVulnerabilities": known},
        )

    @property
    def platform(self) -> KubernetesPlatform:
        """The backend's live side, as a command opens it."""
        settings = load(YamlSource.read(self.project / f"Pulumi.{self.name}.yaml"))
        return KubernetesPlatform(locator_of(settings, self.naming))

    # What the cluster has.

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in the stack's namespace."""
        return self.cluster.kubectl(*arguments, "-n", self.namespace)

    def found(self, kind: str) -> set[str]:
        """Return the names of the objects of a kind in the namespace."""
        return {each["metadata"]["name"] for each in self.cluster.get(kind, self.namespace)}

    def serving_pods(self) -> set[str]:
        """Return the server's pods that are ready and not ending."""
        selector = ",".join(f"{key}={value}" for key, value in self.naming.selector(SERVER).items())
        return {
            pod["metadata"]["name"]
            for pod in self.cluster.get("pods", self.namespace, "-l", selector)
            if "deletionTimestamp" not in pod["metadata"] and _is_ready(pod)
        }

    def until_serving(self, revision: str, *, pods: int) -> set[str]:
        """Wait until this many pods of a revision serve and no others, and return them."""

        def settled() -> set[str]:
            found = self.serving_pods()
            alone = all(name.startswith(f"{self.naming.part(SERVER)}-{revision}-") for name in found)
            return found if alone and len(found) == pods else set()

        return until(settled, what=f"{pods} pods of {revision} alone", deadline_s=_SETTLED_S)

    @property
    def has_candidate(self) -> bool:
        """Whether a candidate is there."""
        return self.naming.part(CANDIDATE) in self.found("deployments") | self.found("services")

    # What users do.

    @property
    def base(self) -> str:
        """The URL that users call."""
        return f"https://{self.host}"

    @property
    def login(self) -> dict[str, str]:
        """The header by which the administrator logs in, from the server's Secret."""
        held = self.secrets
        return login_of(held["admin-user"], held["admin-password"])

    @property
    def secret(self) -> str:
        """The name of the server's Secret."""
        return str(self.settings["kubernetes"].get("secret") or self.naming.part(SERVER))

    @property
    def secrets(self) -> dict[str, str]:
        """What the server's Secret holds."""
        data = json.loads(self.kubectl("get", "secret", self.secret, "-o", "json"))["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def ask(self, path: str, body: object = None, *, base: str = "", **headers: str) -> urllib3.BaseHTTPResponse:
        """Return the answer to a call of MLflow, by the ingress or another URL, as administrator or by `headers`."""
        login = {} if "authorization" in headers else self.login
        content = None if body is None else json.dumps(body).encode()
        method, kind = ("GET", {}) if body is None else ("POST", {"Content-Type": "application/json"})
        with urllib3.PoolManager(retries=False, timeout=_TIMEOUT, ca_certs=str(self.cluster.authority.root)) as pool:
            url = f"{base or self.base}/{path}"
            return pool.request(method, url, body=content, headers={**login, **kind, **headers})

    def upload(self, path: str, pieces: Iterator[bytes]) -> urllib3.BaseHTTPResponse:
        """Return the answer to an upload, as the administrator, whose body comes piece by piece."""
        with urllib3.PoolManager(retries=False, timeout=_TIMEOUT, ca_certs=str(self.cluster.authority.root)) as pool:
            return pool.request("PUT", f"{self.base}/{path}", body=pieces, headers=self.login, chunked=True)

    def call(self, path: str, body: object = None) -> dict[str, Any]:
        """Return what MLflow's REST interface answered; raises if it is no success."""
        answer = self.ask(f"api/2.0/mlflow/{path}", body)
        assert answer.status == 200, (answer.status, answer.data)
        return dict(answer.json())

    def write_runs(self, experiment: str, number: int) -> None:
        """Write an experiment with this many runs."""
        made = self.call("experiments/create", {"name": experiment})["experiment_id"]
        for step in range(number):
            run = self.call("runs/create", {"experiment_id": made, "start_time": step})["run"]["info"]["run_id"]
            self.call("runs/log-metric", {"run_id": run, "key": "loss", "value": step / 10, "timestamp": step})

    def read_runs(self, experiment: str) -> list[float]:
        """Return the metric of each run of an experiment, in the order of their start."""
        found = self.call(f"experiments/get-by-name?experiment_name={experiment}")["experiment"]["experiment_id"]
        asked = {"experiment_ids": [found], "order_by": ["attributes.start_time ASC"], "max_results": 1000}
        return [each["data"]["metrics"][0]["value"] for each in self.call("runs/search", asked)["runs"]]


def login_of(user: str, password: str) -> dict[str, str]:
    """Return the header by which a user logs in."""
    return dict(urllib3.make_headers(basic_auth=f"{user}:{password}"))


@contextlib.contextmanager
def laid_out(folder: Path, cluster: Cluster, name: str, **sections: Mapping[str, Any]) -> Iterator[ClusterStack]:
    """Give the stack, with single settings changed, in a namespace that is deleted at the end."""
    with cluster.namespace(name) as namespace:
        yield ClusterStack(folder, cluster, namespace, stack=_STACK, **sections)


def _merged(base: Any, over: Any) -> Any:
    """Return `base` with `over` merged into it."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return {**base, **{key: _merged(base.get(key), value) for key, value in over.items()}}


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
