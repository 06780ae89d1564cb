"""A namespace in memory, for what decides about objects that a cluster answered with; the rig has a real one."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from mlflow_backend.kubernetes.kubeconfig import Connection
from mlflow_backend.kubernetes.naming import Naming
from mlflow_backend.kubernetes.render import server
from mlflow_backend.pace import Pace
from tests.components.kubernetes.stacks import IMAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMING = Naming(project="mlflow-backend", stack="cluster", namespace="mlflow")
NUMBER = "deployment.kubernetes.io/revision"


class Namespace:
    """What `Api` does, on a dictionary. `now` is moved by each pause; `each_pause` is then called."""

    def __init__(self) -> None:
        """Begin empty."""
        self.connection, self.namespace, self.pace = Connection(None, "example"), "mlflow", Pace()
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.logs: dict[str, str] = {}
        self.applied: list[tuple[str, dict[str, Any], str]] = []
        self.deleted: list[tuple[str, str]] = []
        self.writes = 0

    def put(self, kind: str, document: dict[str, Any]) -> None:
        """Let an object be there."""
        self.writes += 1
        document["metadata"]["resourceVersion"] = str(self.writes)
        document["metadata"].setdefault("uid", document["metadata"]["name"])
        self.objects[kind, document["metadata"]["name"]] = document

    def get(self, kind: str, name: str, *, namespace: str | None = None) -> dict[str, Any] | None:
        """Return an object as it is; those of another namespace are kept among them."""
        del namespace
        return copy.deepcopy(self.objects.get((kind, name)))

    def list(self, kind: str, selector: Mapping[str, str] | None = None, *, fields: str = "") -> list[dict[str, Any]]:
        """Return those with the labels; field selectors are for events, and these have none."""
        del fields
        wanted = (selector or {}).items()
        return [
            copy.deepcopy(each)
            for (found, _), each in self.objects.items()
            if found == kind and wanted <= each["metadata"].get("labels", {}).items()
        ]

    def create(self, kind: str, document: dict[str, Any]) -> bool:
        """Make an object, once."""
        if (kind, document["metadata"]["name"]) in self.objects:
            return False
        self.put(kind, copy.deepcopy(document))
        return True

    def replace(self, kind: str, document: dict[str, Any]) -> bool:
        """Replace the very object that was read."""
        found = self.objects.get((kind, document["metadata"]["name"]))
        if found is None or found["metadata"]["resourceVersion"] != document["metadata"]["resourceVersion"]:
            return False
        self.put(kind, copy.deepcopy(document))
        return True

    def apply(self, kind: str, document: dict[str, Any], *, manager: str) -> dict[str, Any]:
        """Keep what was applied, and by whom."""
        self.applied.append((kind, document, manager))
        return document

    def scale(self, kind: str, name: str, replicas: int, *, manager: str) -> None:
        """Set the number."""
        del manager
        self.objects[kind, name]["spec"]["replicas"] = replicas

    def delete(self, kind: str, name: str) -> None:
        """Delete an object."""
        self.deleted.append((kind, name))
        self.objects.pop((kind, name), None)

    def log(self, pod: str, *, lines: int | None = None, previous: bool = False) -> str:
        """Return what a pod wrote."""
        del lines
        return "" if previous else self.logs.get(pod, "")


def deployment(number: int, *, replicas: int = 2, ready: int = 2, updated: int | None = None) -> dict[str, Any]:
    """Return the server's Deployment at a revision, with so many pods ready and of that revision."""
    updated = replicas if updated is None else updated
    return {
        "metadata": {
            "name": NAMING.part("server"),
            "namespace": "mlflow",
            "uid": "deployment",
            "generation": number,
            "labels": NAMING.labels("server"),
            "annotations": {NUMBER: str(number), "pulumi.com/patchFieldManager": server.FIELD_MANAGER},
        },
        "spec": {"replicas": replicas, "strategy": {"type": "RollingUpdate"}, "template": {"of": str(number)}},
        "status": {
            "observedGeneration": number,
            "replicas": replicas,
            "updatedReplicas": updated,
            "availableReplicas": ready,
            "readyReplicas": ready,
        },
    }


def replica_set(number: int, *, ready: int = 0, version: str = "3.17.2", replicas: int | None = None) -> dict[str, Any]:
    """Return a revision, called `hashN`."""
    name = f"hash{number}"
    labels = {**NAMING.labels("server"), "pod-template-hash": name}
    annotations = {server.VERSION: version, server.SETTINGS: f"identity{number}", server.SECRETS: "v1"}
    return {
        "metadata": {
            "name": f"{NAMING.part('server')}-{name}",
            "uid": name,
            "creationTimestamp": f"2026-11-0{number}T00:00:00Z",
            "labels": labels,
            "annotations": {NUMBER: str(number)},
        },
        "spec": {
            "replicas": ready if replicas is None else replicas,
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": {
                    "containers": [
                        {
                            "name": "server",
                            "image": IMAGE,
                            "command": ["mlflow", "server", "--allowed-hosts", "mlflow.example.com"],
                            "env": [{"name": "MLFLOW_BACKEND_ACCESS", "value": "basic"}],
                        }
                    ]
                },
            },
        },
        "status": {"readyReplicas": ready},
    }


def pod(name: str, *, of: str = "", **status: Any) -> dict[str, Any]:
    """Return a server's pod."""
    labels = {**NAMING.labels("server"), **({"pod-template-hash": of} if of else {})}
    return {"metadata": {"name": name, "uid": name, "labels": labels}, "spec": {}, "status": status}
