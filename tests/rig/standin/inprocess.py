"""A stack's program on the stand-in without engine and without processes: quick, and every answer at hand.

Pulumi's mocks hand each registration to the stand-in, which makes it on moto; what only waits for a running server is
answered as `tests.components.ecs.recording` does.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import boto3
from pulumi.runtime.mocks import Mocks

from mlflow_backend.ecs.args import EcsBackendArgs
from mlflow_backend.ecs.backend import EcsBackend
from tests import mocked
from tests.components.ecs.recording import FakeAws, without_aws
from tests.components.ecs.stacks import settings_of
from tests.rig.standin.aws.provider import Aws, translation
from tests.rig.standin.base import HalfMade, Refused, Resource
from tests.rig.standin.sdk import Sdk
from tests.rig.standin.values import from_struct, to_struct

if TYPE_CHECKING:
    from collections.abc import Callable

    import pulumi
    from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs

_SEED = b"seed-of-names"


class Made(Mocks):
    """What a program registered, made by the stand-in; `resources` in the order of their making."""

    def __init__(self, others: Mocks) -> None:
        """Nothing is made yet; `others` answer for what is no resource of AWS."""
        self.others = others
        self.aws = Aws(Sdk("pulumi_aws"))
        self.resources: list[Resource] = []
        self.failures: list[str] = []
        self.configured: dict[str, Any] = {}

    def call(self, args: MockCallArgs) -> Any:
        """Answer a function."""
        result, problems = self.aws.invoke(args.token, from_struct(to_struct(args.args)))
        assert not problems
        return result

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        """Make a resource."""
        inputs = from_struct(to_struct(args.inputs))
        if args.typ == "pulumi:providers:aws":
            assert not self.aws.check_settings(inputs)
            self.configured = inputs
            self.aws.configure(inputs)
            return "provider", inputs
        if args.typ.endswith("AwsServerSecrets"):
            made = boto3.client("secretsmanager").create_secret(Name=inputs["secret"], SecretString="{}")
            return made["ARN"], {**inputs, "arn": made["ARN"], "version": made["VersionId"]}
        if not args.typ.startswith("aws:"):
            return self.others.new_resource(args)
        try:
            return self.make(args.typ, args.name, inputs)
        except (AssertionError, HalfMade, Refused) as error:
            # Raised here, the program would wait for the resource for ever.
            self.failures.append(f"{args.typ} {args.name}: {error}")
            return self.others.new_resource(args)

    def make(self, token: str, name: str, inputs: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Check and make one resource."""
        subject = Resource(token=token, name=name)
        completed, problems = self.aws.check(subject, inputs, _SEED)
        assert not problems, problems
        id_, state = self.aws.create(subject, completed)
        self.resources.append(Resource(token=token, name=name, id=id_, inputs=completed, state=state))
        return id_, state

    def change(self, resource: Resource) -> None:
        """Change all of a resource that can be changed in naming, tags to and fro included.

        moto alone cannot do each change, and fails in ways of its own, which are passed over.
        """
        names = tuple(name for name in resource.inputs if name in translation(resource.token).updatable)
        worker = self.aws._worker(resource)
        tags = dict(resource.inputs.get("tags") or {})
        state: Any = resource.state
        for news in ({**resource.inputs, "tags": {**tags, "more": "1"}}, resource.inputs):
            with contextlib.suppress(Exception):
                state = worker.update(resource.id, state, news, (*names, "tags", "tagsAll"))


def make(variant: str) -> Made:
    """Make every resource of a variant."""

    def build() -> pulumi.Output[Any]:
        return EcsBackend("mlflow", EcsBackendArgs(settings=settings_of(variant))).tracking_url

    with without_aws():
        return made_of(build, FakeAws(preview=False), stack=variant)


def made_of(build: Callable[[], pulumi.Output[Any]], others: Mocks, *, stack: str) -> Made:
    """Make every resource of AWS that a program registers; `others` answer for what is none."""
    made = Made(others)
    mocked.run(build, made, stack=stack)
    assert not made.failures, made.failures
    return made
