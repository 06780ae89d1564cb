"""A backend registered under Pulumi's mocks, with everything that was registered kept for a test to look at.

Always under `tests.mocked`, which awaits every registration. Outputs are what AWS would have drawn; in a preview
a resource has none but what its inputs say, as in a real one.
"""

from __future__ import annotations

import inspect
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pulumi_aws
import pytest

from mlflow_backend.aws import plugin
from mlflow_backend.ecs import backend
from mlflow_backend.ecs.args import EcsBackendArgs
from mlflow_backend.ecs.backend import EcsBackend
from tests.components.ecs.stacks import IMAGE, settings_of
from tests.components.registrations import FakePlatform, registered_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs

    from mlflow_backend.releases.pins import PinnedRelease
    from mlflow_backend.settings import Settings
    from tests.components.registrations import Registered

ACCOUNT, REGION = "123456789012", "eu-west-1"


ZONES: dict[str, Callable[[MockCallArgs], Any]] = {
    "aws:index/getAvailabilityZones:getAvailabilityZones": lambda _: {
        "names": [f"{REGION}{letter}" for letter in "abc"],
        "id": REGION,
        "zoneIds": [],
    }
}
"""What AWS answers about its zones."""
SAME_URNS = dict.fromkeys(("arm64", "jobs", "old-mlflow"), "staging")
"""Variants that differ from another in values alone; `test_what_is_asked_for_reaches_the_task` holds those."""
_CHECKED = {"Preflight": {"pinnedImage": IMAGE, "imageHeads": {"tracking": "abc"}, "findings": []}}


class FakeAws(FakePlatform):
    """An account that answers as AWS would: an identifier of its own for everything."""

    def __init__(self, *, preview: bool) -> None:
        """In a preview nothing is there yet."""
        super().__init__(_added, preview=preview, checked=_CHECKED, calls=ZONES)


def _added(args: MockResourceArgs, kind: str) -> dict[str, Any]:
    arn = f"arn:aws:{kind.lower()}:{REGION}:{ACCOUNT}:{args.name}-AbCdEf"
    common = {"arn": arn, "id": f"{args.name}-id"}
    special: dict[str, dict[str, Any]] = {
        "TaskDefinition": {"revision": 7},
        "Instance": {
            "address": "db.internal", "resourceId": "db-ABC",
            "masterUserSecrets": [{"secretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db-1-AbCdEf"}],
        },
        "ReplicationGroup": {"primaryEndpointAddress": "cache.internal"},
        "LoadBalancer": {"dnsName": "Internal-X.elb.amazonaws.com", "zoneId": "Z1", "arnSuffix": "app/b/1"},
        "TargetGroup": {"arnSuffix": "targetgroup/t/1"},
        "SecretVersion": {"versionId": "v-cache"},
        "Key": {"keyId": "key-1"},
        "VpcEndpoint": {"prefixListId": "pl-1"},
        "AwsServerSecrets": {"version": "v-server"},
        "AwsCacheToken": {"value": "t0ken0of0sixteen"},
    }  # fmt: skip
    return {**common, **special.get(kind, {})}


def record(
    variant: str,
    *,
    settings: Settings | None = None,
    preview: bool = False,
    pinned: PinnedRelease | None = None,
    migrated: bool = False,
) -> list[Registered]:
    """Register a variant's backend and return everything that was registered."""
    args = EcsBackendArgs(settings=settings or settings_of(variant))
    with without_aws(pinned=pinned, migrated=migrated):
        return registered_with(
            lambda: EcsBackend("mlflow", args), FakeAws(preview=preview), stack=variant, preview=preview
        )


@contextmanager
def without_aws(*, pinned: PinnedRelease | None = None, migrated: bool = False) -> Iterator[None]:
    """Let a backend be registered without its plugin, and with a ledger that was read already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugin, "require", lambda: None)
        patch.setattr(backend, "ledger_of", lambda *_: (pinned, migrated))
        yield


def known_inputs(type_token: str) -> frozenset[str] | None:
    """Return the property names that the installed SDK's resource of a type takes; None for what is no AWS resource."""
    if not type_token.startswith("aws:"):
        return None
    _, module, name = type_token.split(":")
    package = module.split("/")[0]
    resource = getattr(getattr(pulumi_aws, package), name)
    parameters = inspect.signature(resource._internal_init).parameters
    return frozenset(_camel(name) for name in parameters)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def document(text: str) -> Any:
    """Return an input that is JSON as a value."""
    return json.loads(text)
