"""The shipped stack `eks` on an emulated EKS whose cluster is the rig's, with RDS and ElastiCache beside it."""

from __future__ import annotations

import subprocess
import threading
from typing import TYPE_CHECKING, Any, Final

import yaml

from mlflow_backend.aws.naming import Naming as AwsNaming
from mlflow_backend.aws.render.cluster import ADDONS
from mlflow_backend.eks.within import STORAGE_CLASS
from mlflow_backend.kubernetes.naming import Naming
from tests.components.kubernetes.stacks import merged
from tests.engine.project import ROOT, Project
from tests.rig.aws.eks import api
from tests.rig.aws.rig import AwsRig
from tests.rig.aws.server import ACCOUNT, REGION
from tests.rig.clock import SERVERS
from tests.rig.kubernetes import identities
from tests.rig.kubernetes.backend import ClusterStack
from tests.rig.kubernetes.eks import Endpoint
from tests.rig.loopback import Block
from tests.rig.patches import Patches
from tests.rig.standin import plugin
from tests.server import server_image
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from tests.rig.aws.eks.model import Eks
    from tests.rig.kubernetes.cluster import Cluster

_STACK: Final = "eks"
KUBERNETES: Final = "1.34"
_FIRST, _SECOND = 10, 251
_BLOCK: Final = f"{_FIRST}.{_SECOND}.0.0/16"
"""AWS's addresses: pods reach them by their node, and nobody outside of the cluster's network does."""


class EksRig:
    """An account in which EKS has one cluster, when somebody made it: the rig's own.

    It is in the cluster's network.
    """

    def __init__(self, folder: Path, cluster: Cluster, name: str, namespace: str) -> None:
        """Start it; `name` is what EKS will call the cluster, `namespace` where its pods get identities."""
        self.cluster, self.name, self.namespace = cluster, name, namespace
        self._kept, self._port = Patches(), 0
        self._before = set(threading.enumerate())
        try:
            self._start(folder)
        except BaseException:
            self._kept.close()
            raise

    def _start(self, folder: Path) -> None:
        kept, cluster = self._kept, self.cluster
        # One of this name may be ending still.
        phase = ("get", "namespace", self.namespace, "--ignore-not-found", "-o", "jsonpath={.status.phase}")
        until(lambda: cluster.kubectl(*phase) != "Terminating", what=f"the end of {self.namespace}", deadline_s=240)
        _route("add")
        kept.callback(_route, "del")
        self.aws = kept.enter_context(AwsRig(folder, SERVERS, Block(_FIRST, (_SECOND,))))
        self.start_cluster()
        kept.callback(self.stop_cluster)
        described = self._endpoint.described
        offered = [api.offer(each.name, KUBERNETES, "v1.0.0-eksbuild.1", "v1.0.0-eksbuild.0") for each in ADDONS]
        endpoint = {key: described[key] for key in ("endpoint", "certificateAuthority")}
        self.eks: Eks = api.install(kept, endpoint=endpoint, offered=offered)
        kept.enter_context(identities.given(cluster, self.aws, self.eks, self.name, namespace=self.namespace))

    def start_cluster(self) -> None:
        """Let the cluster's API answer, at the address at which it did before."""
        administrator = self.aws.server.administrator
        keys = {administrator.key: administrator.secret}
        self._endpoint = Endpoint(self.name, self.cluster.authority, keys=keys, port=self._port)
        self._port = self._endpoint.port

    def stop_cluster(self) -> None:
        """Let the cluster's API not answer."""
        self._endpoint.close()

    @property
    def clusters(self) -> list[str]:
        """The names of EKS's clusters."""
        return self.eks.names

    def close(self) -> None:
        """End everything."""
        self._kept.close()
        # A thread that is left keeps this one in the cluster's network.
        until(
            lambda: self._before.issuperset(threading.enumerate()), what="the end of the rig's threads", deadline_s=60
        )
        for kind, name in (("namespace", self.namespace), ("storageclass", STORAGE_CLASS)):
            self.cluster.kubectl("delete", kind, name, "--ignore-not-found", "--wait=false")

    def __enter__(self) -> Self:
        """Use it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything."""
        self.close()


def _route(verb: str) -> None:
    subprocess.run(["ip", "route", verb, "local", _BLOCK, "dev", "lo"], check=True, timeout=10)


class EksStack(ClusterStack):
    """The stack, small enough that a node of two cores runs an update of it."""

    def __init__(self, folder: Path, rig: EksRig, **sections: Mapping[str, Any]) -> None:
        """Lay out the project, with single settings of sections changed; nothing is deployed."""
        Project.__init__(self, folder, _STACK, program=ROOT / "__main__.py")
        self.rig, self.cluster, self.namespace = rig, rig.cluster, rig.namespace
        self.naming = Naming(project="mlflow-backend", stack=_STACK, namespace=rig.namespace)
        (self.project / "scripts").symlink_to(ROOT / "scripts")
        self.cluster.install_plugin(self.home)
        plugin.install(self.home, "pulumi_aws")
        shipped = yaml.safe_load((ROOT / f"Pulumi.{_STACK}.yaml").read_text())["config"]
        self.settings: dict[str, Any] = {key.partition(":")[2]: value for key, value in shipped.items()}
        self.write_settings(
            server={"workers": 1, "replicas": 1, "cpu": 2048, "memory": 2048},
            scaling={"maxReplicas": 1},
            aws={"account": ACCOUNT, "region": REGION},
            backup={"protect": False},
            kubernetes={"server": {"cpuRequest": 64, "memoryRequest": 512}},
        )
        self.serve(server_image.VERSION)
        self.write_settings(**sections)
        self.init()

    @property
    def environment(self) -> dict[str, str]:
        """What every command of this stack is run with: AWS's administrator."""
        return {
            **Project.environment.fget(self),  # type: ignore[attr-defined]
            **self.rig.aws.environment,
            # The plugin leaves a copy of the kubeconfig there at each start.
            "TMPDIR": str(self.folder),
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }

    def write_settings(self, **sections: Mapping[str, Any]) -> None:
        """Change single settings of sections, None removes one, and write the stack's file."""
        self.settings = merged(self.settings, sections)
        self.write_config(self.settings)

    @property
    def base(self) -> str:
        """The URL that users call: that of the Service, because the stack has no ingress."""
        return f"http://{self.naming.host()}.cluster.local"


def aws_names() -> AwsNaming:
    """Return the names of what the stack makes on AWS."""
    return AwsNaming(project="mlflow-backend", stack=_STACK, name="mlflow", account=ACCOUNT, region=REGION)


def cluster_name() -> str:
    """Return what the stack calls the cluster that it makes."""
    return aws_names().eks_cluster()
