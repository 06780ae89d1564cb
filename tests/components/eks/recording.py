"""A backend on EKS registered under Pulumi's mocks, with an account and a cluster that answer as real ones would."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.aws import plugin
from mlflow_backend.aws.render.cluster import ADDONS
from mlflow_backend.eks import addons, backend
from mlflow_backend.eks.backend import EksBackend, EksBackendArgs
from tests.components.ecs.recording import ZONES
from tests.components.eks.stacks import ACCOUNT, REGION, STACK, settings_of
from tests.components.kubernetes import recording
from tests.components.registrations import FakePlatform, registered_with

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs

    from mlflow_backend.aws.connection import Connection
    from tests.components.registrations import Registered

TOKEN = "t0ken0of0sixteen"
VERSION = "v1.0.0-eksbuild.1"
CLUSTER = {"endpoint": "https://ABC.eks.example.com", "vpcConfig": {"clusterSecurityGroupId": "sg-0cluster"}}
_AUTHORITY = "YXV0aG9yaXR5"
_ADDED: dict[str, dict[str, Any]] = {
    **recording.ADDED,
    "Cluster": {**CLUSTER, "certificateAuthority": {"data": _AUTHORITY}},
    "LaunchTemplate": {"latestVersion": 3},
    "Instance": {
        "address": "db.internal",
        "resourceId": "db-ABC",
        "masterUserSecrets": [{"secretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db-AbCdEf"}],
    },
    "ReplicationGroup": {"primaryEndpointAddress": "cache.internal"},
    "SecretVersion": {"versionId": "v-cache"},
    "AwsCacheToken": {"value": TOKEN},
    "VpcEndpoint": {"prefixListId": "pl-1"},
    "Key": {"keyId": "key-1"},
    "EksLogin": {"version": "v1"},
}


def record(variant: str, *, preview: bool = False, connection: Connection | None = None) -> list[Registered]:
    """Register a variant's backend and return everything that was registered."""
    args = EksBackendArgs(settings=settings_of(variant), connection=connection)
    with without_cluster():
        account = fake_account(preview=preview)
        return registered_with(lambda: EksBackend("mlflow", args), account, stack=STACK, preview=preview)


@contextmanager
def without_cluster() -> Iterator[None]:
    """Let a backend be registered without its plugin, with a cluster that was looked at already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugin, "require", lambda: None)
        patch.setattr(backend, "_inspect", lambda *_: ((), None, None))
        patch.setattr(addons, "versions", lambda *_: {each.name: VERSION for each in ADDONS})
        yield


def fake_account(*, preview: bool = False) -> FakePlatform:
    """Return an account that answers as AWS would."""
    return FakePlatform(_added, preview=preview, calls={**ZONES, "aws:eks/getCluster:getCluster": _cluster})


def _cluster(args: MockCallArgs) -> dict[str, Any]:
    return {**CLUSTER, "certificateAuthorities": [{"data": _AUTHORITY}], "name": args.args["name"]}


def _added(args: MockResourceArgs, kind: str) -> dict[str, Any]:
    return {"arn": f"arn:aws:{kind.lower()}:{REGION}:{ACCOUNT}:{args.name}-AbCdEf", **_ADDED.get(kind, {})}
