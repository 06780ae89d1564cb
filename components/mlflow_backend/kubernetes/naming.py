"""Names, labels and addresses of a backend's objects within its namespace. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.naming import truncated_name
from mlflow_backend.schedules import MAINTENANCE

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVER: Final = "server"
CANDIDATE: Final = "candidate"
JOB: Final = "job"
"""One-shot tasks: the database tool, and a verification within the cluster."""
JOB_NAME: Final = "batch.kubernetes.io/job-name"
"""Label by which a Job's pods are known (Kubernetes, 'Well-Known Labels')."""
UNAVAILABLE: Final = "unavailable"
"""What answers users while no server runs."""
TASKS: Final = "tasks"
"""Account of the database tool, which alone may use the dumps."""
VERIFY: Final = "verify"
STORES: Final = "stores"
VERIFICATION: Final = "verification"
"""What is verified on a schedule, and the name of that work."""
ACCOUNTS: Final = (SERVER, TASKS, VERIFY, STORES, MAINTENANCE)
"""Whoever needs rights of its own from a cloud has an account of its own."""
DATABASE: Final = "database"
CACHE: Final = "cache"
CLIENT: Final = "client"
"""What namespaces of clients get."""

# A label's value has 63 characters, and a Service's name too; the longest ending is that of the cache's own policy.
_LONGEST_PREFIX: Final = 40
_INSTANCE: Final = "app.kubernetes.io/instance"
_COMPONENT: Final = "app.kubernetes.io/component"


@dataclass(frozen=True, kw_only=True)
class Naming:
    """A stack's backend called `name` in a namespace. `tags` become labels of everything."""

    project: str
    stack: str
    namespace: str
    name: str = "mlflow"
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def prefix(self) -> str:
        """What every object's name begins with; alone it is the Service that users call."""
        return truncated_name(self.name, self.stack, limit=_LONGEST_PREFIX)

    def part(self, part: str) -> str:
        """Return the name of the object for a part."""
        return f"{self.prefix}-{part}"

    def published(self) -> str:
        """Return the name of what other namespaces get, in which a backend of each namespace may publish."""
        return f"{self.prefix}.{self.namespace}"

    def account(self, part: str) -> str:
        """Return the name of a service account of ACCOUNTS; the servers' is the plain one."""
        return self.prefix if part == SERVER else self.part(part)

    def host(self, part: str = "") -> str:
        """Return the name by which a part's Service is called within the cluster, the users' own if none is named."""
        return f"{self.part(part) if part else self.prefix}.{self.namespace}.svc"

    def hosts(self) -> tuple[str, ...]:
        """Return every name by which a server is called within the cluster, as a candidate too."""
        services = (self.prefix, self.part(CANDIDATE))
        ends = ("", f".{self.namespace}", f".{self.namespace}.svc", f".{self.namespace}.svc.cluster.local")
        return tuple(f"{service}{end}" for service in services for end in ends)

    def labels(self, component: str) -> dict[str, str]:
        """Return the labels of a part's objects."""
        return {**self.tags, **self.own_labels(component)}

    def own_labels(self, component: str) -> dict[str, str]:
        """Return the labels of a part's pods: another tag is no other pod, so that it restarts nothing."""
        return {
            "app.kubernetes.io/name": "mlflow",
            _INSTANCE: self.prefix,
            _COMPONENT: component,
            "app.kubernetes.io/managed-by": "pulumi",
            "mlflow-backend/project": truncated_name(self.project, limit=63),
            "mlflow-backend/stack": truncated_name(self.stack, limit=63),
        }

    def selector(self, component: str = "") -> dict[str, str]:
        """Return the labels by which a part's pods are selected; all pods of the backend if none is named."""
        return {_INSTANCE: self.prefix, **({_COMPONENT: component} if component else {})}

    def metadata(
        self, name: str, component: str, annotations: Mapping[str, str] = MappingProxyType({})
    ) -> dict[str, Any]:
        """Return the metadata of an object. What somebody changed by hand in it is put right by the next update."""
        return {
            "name": name,
            "namespace": self.namespace,
            "labels": self.labels(component),
            "annotations": dict(sorted({"pulumi.com/patchForce": "true", **annotations}.items())),
        }
