"""The stand-in as the engine sees it: by gRPC, through previews, changes, drift, failures half-way and a cancel."""

from __future__ import annotations

import json
from concurrent import futures
from typing import TYPE_CHECKING, Any

import boto3
import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from tests.components.ecs.conftest import DEPRECATED
from tests.rig.standin.aws.account import Account
from tests.rig.standin.aws.provider import Aws
from tests.rig.standin.base import Servicer
from tests.rig.standin.sdk import Sdk
from tests.rig.standin.values import UNKNOWN, from_struct, to_struct

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.filterwarnings(DEPRECATED)
GROUP = "aws:cloudwatch/logGroup:LogGroup"
GATEWAY = "aws:ec2/internetGateway:InternetGateway"
ROLE = "aws:iam/role:Role"
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
                    "Principal": {"Service": "ecs-tasks.amazonaws.com"}}]})  # fmt: skip


class Engine:
    """Asks as the engine does; `settings` are the provider's own."""

    def __init__(self, stub: Any, **settings: str) -> None:
        """Configure the provider."""
        self.stub = stub
        stub.Configure(provider_pb2.ConfigureRequest(args=to_struct({"region": "eu-west-1", **settings})))

    def urn(self, token: str) -> str:
        """Return a resource's name."""
        return f"urn:pulumi:dev::project::mlflow-backend:ecs:Backend${token}::subject"

    def check(self, token: str, **inputs: Any) -> dict[str, Any]:
        """Check inputs, and return them completed."""
        answer = self.stub.Check(
            provider_pb2.CheckRequest(urn=self.urn(token), news=to_struct(inputs), randomSeed=b"seed")
        )
        assert not answer.failures, answer.failures
        return from_struct(answer.inputs)

    def create(self, token: str, *, preview: bool = False, **inputs: Any) -> tuple[str, dict[str, Any]]:
        """Create, or say what would be."""
        request = provider_pb2.CreateRequest(urn=self.urn(token), properties=to_struct(inputs), preview=preview)
        answer = self.stub.Create(request)
        return answer.id, from_struct(answer.properties)

    def diff(self, token: str, id_: str, state: dict[str, Any], olds: dict[str, Any], news: dict[str, Any]) -> Any:
        """Compare."""
        return self.stub.Diff(
            provider_pb2.DiffRequest(
                id=id_, urn=self.urn(token), olds=to_struct(state), old_inputs=to_struct(olds), news=to_struct(news)
            )
        )

    def read(self, token: str, id_: str, state: dict[str, Any], inputs: dict[str, Any]) -> Any:
        """Look."""
        return self.stub.Read(
            provider_pb2.ReadRequest(id=id_, urn=self.urn(token), properties=to_struct(state), inputs=to_struct(inputs))
        )


@pytest.fixture
def stub(moto: None) -> Iterator[Any]:
    """A provider of its own, served."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(Aws(Sdk("pulumi_aws"))), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)
    server.stop(None)


@pytest.fixture
def engine(stub: Any) -> Engine:
    """A configured provider, with one tag for everything."""
    return Engine(stub, defaultTags=json.dumps({"tags": {"stack": "dev"}}), allowedAccountIds='["123456789012"]')


def test_a_preview_touches_nothing_and_knows_what_it_can(engine: Engine) -> None:
    """Inputs are echoed, what AWS draws is unknown, and an unknown input is no error."""
    id_, state = engine.create(GROUP, preview=True, name="preview", kmsKeyId=UNKNOWN)
    assert id_ == ""
    assert (state["name"], state["kmsKeyId"], state["arn"]) == ("preview", UNKNOWN, UNKNOWN)
    assert boto3.client("logs").describe_log_groups(logGroupNamePrefix="preview")["logGroups"] == []


def test_an_account_that_is_not_allowed_is_refused(stub: Any) -> None:
    """The one setting that keeps a stack out of somebody else's account."""
    with pytest.raises(grpc.RpcError, match="AWS account ID not allowed: 123456789012"):
        Engine(stub, allowedAccountIds='["210987654321"]')


def test_settings_are_checked_against_the_sdk(stub: Any) -> None:
    """A misspelt setting, a wrong type, and one that the stand-in does not do."""
    asked = {"regoin": "eu-west-1", "allowedAccountIds": '"1"', "assumeRoles": "[]"}
    failures = stub.CheckConfig(provider_pb2.CheckRequest(news=to_struct(asked))).failures
    assert {each.property for each in failures} == {"regoin", "allowedAccountIds", "assumeRoles"}


def test_a_change_a_replacement_and_none(engine: Engine) -> None:
    """What an update takes is changed in place, what none takes is replaced, and the same again is nothing."""
    news = engine.check(GROUP, name="changed", retentionInDays=7)
    id_, state = engine.create(GROUP, **news)
    assert not engine.diff(GROUP, id_, state, news, news).diffs
    later = {**news, "retentionInDays": 30}
    answer = engine.diff(GROUP, id_, state, news, later)
    assert (list(answer.diffs), list(answer.replaces)) == (["retentionInDays"], [])
    changed = engine.stub.Update(
        provider_pb2.UpdateRequest(
            id=id_, urn=engine.urn(GROUP), olds=to_struct(state), old_inputs=to_struct(news), news=to_struct(later)
        )
    )
    assert from_struct(changed.properties)["retentionInDays"] == 30
    assert list(engine.diff(GROUP, id_, state, news, {**news, "name": "other"}).replaces) == ["name"]
    taken = {name: value for name, value in news.items() if name != "retentionInDays"}
    # AWS keeps what it has where the program says nothing, unless the SDK says that it may be missing.
    assert list(engine.diff(GROUP, id_, state, news, taken).diffs) == ["retentionInDays"]


def test_drift_by_hand_is_found_by_a_refresh(engine: Engine) -> None:
    """A change that somebody made in the console is in the inputs after a refresh, and the program's wish is a diff."""
    news = engine.check(GROUP, name="drifting", retentionInDays=7)
    id_, state = engine.create(GROUP, **news)
    boto3.client("logs").put_retention_policy(logGroupName="drifting", retentionInDays=90)
    seen = engine.read(GROUP, id_, state, news)
    assert from_struct(seen.inputs)["retentionInDays"] == 90
    answer = engine.diff(GROUP, id_, from_struct(seen.properties), from_struct(seen.inputs), news)
    assert list(answer.diffs) == ["retentionInDays"]
    boto3.client("logs").delete_log_group(logGroupName="drifting")
    assert engine.read(GROUP, id_, state, news).id == ""


def test_tags_are_the_providers_and_the_resources(engine: Engine) -> None:
    """Default tags reach AWS and `tagsAll`; one that is taken off by hand is a difference."""
    news = engine.check(ROLE, name="tagged", assumeRolePolicy=TRUST, tags={"own": "1"})
    id_, state = engine.create(ROLE, **news)
    assert (state["tags"], state["tagsAll"]) == ({"own": "1"}, {"own": "1", "stack": "dev"})
    boto3.client("iam").untag_role(RoleName="tagged", TagKeys=["stack"])
    seen = from_struct(engine.read(ROLE, id_, state, news).properties)
    assert list(engine.diff(ROLE, id_, seen, news, news).diffs) == ["tags"]


def test_a_name_that_is_not_given_is_drawn_once(engine: Engine) -> None:
    """A drawn name stays over updates, and two resources may stand beside each other in a replacement."""
    news = engine.check(ROLE, assumeRolePolicy=TRUST)
    assert news["name"].startswith("subject-")
    again = engine.stub.Check(
        provider_pb2.CheckRequest(
            urn=engine.urn(ROLE), olds=to_struct(news), news=to_struct({"assumeRolePolicy": TRUST}), randomSeed=b"else"
        )
    )
    assert from_struct(again.inputs)["name"] == news["name"]


def test_a_creation_that_fails_half_way_is_kept(engine: Engine) -> None:
    """What AWS made before a later step failed is in the error's details, so that the engine does not lose it."""
    news = engine.check(GATEWAY, vpcId="vpc-0123456789abcdef0")
    with pytest.raises(grpc.RpcError) as failed:
        engine.create(GATEWAY, **news)
    (details,) = [each.value for each in failed.value.trailing_metadata() if each.key == "grpc-status-details-bin"]
    status = status_pb2.Status.FromString(details)
    kept = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(kept)
    assert boto3.client("ec2").describe_internet_gateways(InternetGatewayIds=[kept.id])["InternetGateways"]
    assert "attach_internet_gateway: InvalidVpcID.NotFound" in kept.reasons[0]


def test_an_error_never_holds_a_value(engine: Engine) -> None:
    """Botocore quotes what it refuses; the stand-in does not pass it on."""
    account = Account(region="eu-west-1", number="123456789012")
    with pytest.raises(Exception, match="value hidden") as refused:
        account.call("elasticache", "modify_replication_group", {"ReplicationGroupId": "a", "AuthToken": ["s3cret"]})
    assert "s3cret" not in str(refused.value)


def test_after_a_cancel_nothing_more_is_asked(engine: Engine) -> None:
    """Ctrl-C ends an update at its next call."""
    engine.stub.Cancel(empty_pb2.Empty())
    with pytest.raises(grpc.RpcError, match="cancelled"):
        engine.create(GROUP, name="late")
