"""A backend registered under Pulumi's mocks, with everything that was registered kept for a test to look at.

Always under `tests.mocked`, which awaits every registration. Outputs are what AWS would have drawn; in a preview
a resource has none but what its inputs say, as in a real one.
"""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_aws
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks

from mlflow_backend.ecs.backend import EcsBackend
from mlflow_backend.ecs.foundation import aws_provider
from mlflow_backend.ecs.protection import Protection
from mlflow_backend.ecs.render.database import protected
from tests import mocked
from tests.components.ecs.stacks import IMAGE, place_of, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow_backend.ecs.holding import Held
    from mlflow_backend.settings import Settings

ACCOUNT, REGION = "123456789012", "eu-west-1"


@dataclass(frozen=True, kw_only=True)
class Registered:
    """One resource as it was registered."""

    urn: str
    type: str
    name: str
    inputs: dict[str, Any] = field(repr=False)
    protect: bool
    retained: bool
    ignored: tuple[str, ...]
    needs: tuple[str, ...] = field(repr=False)
    provider: str
    timeouts: dict[str, str]
    property_needs: dict[str, frozenset[str]] = field(default_factory=dict, repr=False)

    @property
    def line(self) -> str:
        """What of a resource must not change unnoticed: its URN without the stack, and which inputs it has."""
        keys = " ".join(sorted(key for key in self.inputs if not key.startswith("__")))
        return f"{self.urn.split('::', 2)[2]} [{keys}]"


class Recorder(MockMonitor):
    """Keeps each registration request."""

    def __init__(self, mocks: Mocks) -> None:
        """Start with nothing registered."""
        super().__init__(mocks)
        self.registered: list[Registered] = []

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the monitor's own
        """Register, and keep the request."""
        register: Callable[[Any], Any] = super().RegisterResource
        answer = register(request)
        if request.type != "pulumi:pulumi:Stack":
            self.registered.append(
                Registered(
                    urn=answer.urn,
                    type=request.type,
                    name=request.name,
                    inputs=pulumi.runtime.rpc.deserialize_properties(request.object),
                    protect=request.protect,
                    retained=request.retainOnDelete,
                    ignored=tuple(request.ignoreChanges),
                    needs=tuple(request.dependencies),
                    provider=request.provider,
                    timeouts={
                        what: getattr(request.customTimeouts, what)
                        for what in ("create", "update", "delete")
                        if getattr(request.customTimeouts, what)
                    },
                    property_needs={key: frozenset(of.urns) for key, of in request.propertyDependencies.items()},
                )
            )
        return answer


class Drawn(Mocks):
    """Answers as AWS would: an identifier of its own for everything."""

    def __init__(self, *, preview: bool) -> None:
        """In a preview nothing is there yet."""
        self.preview = preview

    def call(self, args: MockCallArgs) -> Any:
        """Answer the one question that the backend asks."""
        assert args.token == "aws:index/getAvailabilityZones:getAvailabilityZones", args.token
        return {"names": [f"{REGION}{letter}" for letter in "abc"], "id": REGION, "zoneIds": []}

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        """Answer with the inputs and what AWS would have added."""
        if args.typ.endswith("mlflow-backend:Preflight"):
            # `check` writes these among the inputs, in a preview too.
            found = {"pinnedImage": IMAGE, "imageHeads": {"tracking": "abc"}, "findings": []}
            return "preflight", {**args.inputs, **found}
        if self.preview:
            return None, {}
        return f"{args.name}-id", {**args.inputs, **_drawn(args)}


def _drawn(args: MockResourceArgs) -> dict[str, Any]:
    """Return what a resource's service adds."""
    suffix = args.typ.split("::")[-1].rsplit(":", 1)[-1]
    arn = f"arn:aws:{suffix.lower()}:{REGION}:{ACCOUNT}:{args.name}-AbCdEf"
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
        "EcsServerSecrets": {"version": "v-server"},
        "EcsCacheToken": {"value": "t0ken0of0sixteen"},
        "Migration": {"applied": 0, "head": "abc", "authHead": None, "dump": None},
        "Reencryption": {"lost": []},
        "Verification": {"verdict": "pass", "finished": "now", "summary": "", "table": "", "revision": "7"},
    }  # fmt: skip
    return {**common, **special.get(suffix, {})}


def record(
    variant: str,
    *,
    settings: Settings | None = None,
    preview: bool = False,
    held: Held | None = None,
    migrated: bool = False,
) -> list[Registered]:
    """Register a variant's backend and return everything that was registered."""
    wanted, place = settings or settings_of(variant), place_of(variant)

    def build() -> pulumi.Output[Any]:
        provider = aws_provider("aws", wanted, place)
        backend = EcsBackend(
            "mlflow",
            settings=wanted,
            place=place,
            held=held,
            migrated=migrated,
            opts=pulumi.ResourceOptions(providers=[provider]),
        )
        Protection("mlflow", backend=backend, protect=protected(wanted))
        exported = backend.outputs().exports()
        return pulumi.Output.all(**{name: pulumi.Output.from_input(value) for name, value in exported.items()})

    return registered_by(build, variant, preview=preview)


def registered_by(build: Callable[[], pulumi.Output[Any]], stack: str, *, preview: bool = False) -> list[Registered]:
    """Run `build` as a program of its own and return what it registered."""
    mocks = Drawn(preview=preview)
    recorder = Recorder(mocks)
    mocked.run(build, mocks, stack=stack, preview=preview, monitor=recorder)
    return recorder.registered


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


def snapshot(registered: list[Registered]) -> str:
    """Return the lines that guard URNs: every type, name and parent, and which inputs each has."""
    return "".join(f"{line}\n" for line in sorted(each.line for each in registered))


def of_type(registered: list[Registered], name: str) -> list[Registered]:
    """Return the resources whose type's last part is `name`."""
    return [each for each in registered if each.type.rsplit(":", 1)[-1] == name]


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Go through nested inputs and give each leaf with its path."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from walk(item, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from walk(item, f"{path}[{number}]")
    else:
        yield path, value


def document(text: str) -> Any:
    """Return an input that is JSON as a value."""
    return json.loads(text)
