"""A backend in somebody else's program: its arguments, its account, and values that other components give."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_aws as aws
import pytest

from mlflow_backend.aws.connection import Connection
from mlflow_backend.aws.database import Database
from mlflow_backend.aws.existing import ExistingCache, ExistingDatabase, ExistingNetwork
from mlflow_backend.aws.scope import Placement, Scope
from mlflow_backend.aws.storage import Storage
from mlflow_backend.contract import Refused
from mlflow_backend.ecs.args import EcsBackendArgs
from mlflow_backend.ecs.backend import EcsBackend
from mlflow_backend.ecs.target import TARGET
from mlflow_backend.settings import Settings, SettingsError, models
from mlflow_backend.settings.aws import Aws, AwsNetwork
from mlflow_backend.settings.budget import accepted_connections
from mlflow_backend.settings.instance_class import most_connections
from tests.components.ecs.recording import FakeAws, without_aws
from tests.components.ecs.stacks import ACCOUNT, IMAGE, REGION, VARIANTS, settings_of
from tests.components.registrations import of_type, registered_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.components.registrations import Registered


def args(**changes: Any) -> EcsBackendArgs:
    """Return the arguments that nothing can be left out of, changed by `changes`."""
    own = {key: value for key, value in changes.items() if key in Settings.model_fields}
    given: dict[str, Any] = {
        "access": models.Access(mode="basic"),
        "server": models.Server(image=IMAGE),
        **own,
        "aws": own.get("aws", Aws()).model_copy(update={"account": ACCOUNT}),
    }
    others = {key: value for key, value in changes.items() if key not in own}
    return EcsBackendArgs(**{"settings": Settings(target="ecs", **given), "connection": Connection(REGION), **others})


def registered(build: Callable[[], Any], *, preview: bool = False) -> list[Registered]:
    """Return what a program registers."""
    with without_aws():
        return registered_by(
            lambda: pulumi.Output.from_input(build()), FakeAws(preview=preview), stack="dev", preview=preview
        )


@pytest.mark.parametrize("variant", VARIANTS)
def test_arguments_of_settings_are_these_settings(variant: str) -> None:
    """The program adds nothing to them and loses nothing: the release has the same identity."""
    assert EcsBackendArgs(settings=settings_of(variant)).complete().settings == settings_of(variant)


def test_what_has_a_default_can_be_left_out() -> None:
    """The defaults break no rule together: plain HTTP stays inside, and the database fits its instance."""
    (balancer,) = of_type(registered(lambda: EcsBackend("mlflow", args()).tracking_url), "LoadBalancer")
    assert balancer.inputs["internal"] is True
    found = args().complete().settings
    assert accepted_connections(found) == most_connections(found.aws.database.instance_class)


@pytest.mark.parametrize(
    ("changes", "error", "key"),
    [
        ({"access": models.Access(mode="none")}, SettingsError, "access.mode"),
        ({"server": models.Server()}, Refused, "server.image"),
        ({"aws": Aws(network=AwsNetwork(internal=False))}, Refused, "aws.network.certificate"),
    ],
)
def test_an_open_backend_is_refused(changes: dict[str, Any], error: type[Exception], key: str) -> None:
    """Arguments built in code pass no rule by."""
    with without_aws(), pytest.raises(error, match=re.escape(key)):
        EcsBackend("open", args(**changes))


def test_a_file_says_where_the_balancer_is() -> None:
    """It is read by more people than wrote it: what a program may leave out is refused there."""
    settings = args().settings
    assert not settings.aws.network.model_fields_set
    with without_aws(), pytest.raises(Refused, match=re.escape("aws.network.certificate")):
        TARGET.build(settings, project="mlflow-backend", stack="dev", folder=Path())


@pytest.mark.parametrize("given", [{"max_connections": 200}, {"maxConnections": 200}])
def test_a_program_writes_a_field_by_its_own_name(given: dict[str, Any]) -> None:
    """Python's spelling and that of a stack's file mean the same field."""
    assert models.Database(**given).max_connections == 200


def test_values_of_other_components_flow_in() -> None:
    """Known only once they are made, in a preview never: they are neither measured nor compared."""

    def build() -> Any:
        vpc = aws.ec2.Vpc("theirs", cidr_block="10.0.0.0/16")
        subnets = [aws.ec2.Subnet(f"theirs-{n}", vpc_id=vpc.id, cidr_block=f"10.0.{n}.0/24") for n in range(2)]
        group = aws.ec2.SecurityGroup("theirs", vpc_id=vpc.id)
        secret = aws.secretsmanager.Secret("theirs")
        return EcsBackend(
            "mlflow",
            args(
                network=models.Network(public_url="https://mlflow.example.com"),
                existing_network=ExistingNetwork(vpc_id=vpc.id, private_subnets=[each.id for each in subnets]),
                existing_database=ExistingDatabase(
                    host=vpc.arn, name="tracking", secret=secret.arn, security_group=group.id
                ),
                existing_cache=ExistingCache(host=vpc.arn, secret=secret.arn, security_group=group.id),
                certificate=secret.arn,
                aws=Aws(network=AwsNetwork(internal=True)),
            ),
        ).tracking_url

    made = registered(build)
    (group,) = of_type(made, "TargetGroup")
    assert group.inputs["vpcId"] == "theirs-id"
    (listener,) = [each for each in of_type(made, "Listener") if each.inputs["port"] == 443]
    assert ":theirs-" in listener.inputs["certificateArn"]
    (service,) = of_type(made, "Service")[-1:]
    assert service.inputs["networkConfiguration"]["subnets"] == ["theirs-0-id", "theirs-1-id"]
    (server,) = [each for each in of_type(made, "TaskDefinition") if each.name.endswith("-server")]
    assert ":theirs-" in server.inputs["containerDefinitions"]
    assert "of-another-component" not in server.inputs["containerDefinitions"]
    assert not of_type(made, "Instance")
    assert {each.urn for each in registered(build, preview=True)} == {each.urn for each in made}


def test_two_backends_in_one_stack_share_no_name() -> None:
    """Of no service: each physical name holds the component's."""

    def build() -> Any:
        return [EcsBackend(name, args()).tracking_url for name in ("one", "two")]

    made = registered(build)
    keys = ("name", "identifier", "replicationGroupId", "bucket", "family", "dashboardName", "secret", "group")
    for each in made:
        names = [value for key in keys if isinstance(value := each.inputs.get(key), str) and "mlflow-backend" in value]
        other = "two" if each.name.startswith("one") else "one"
        assert not [name for name in names if f"-dev-{other}" in name], each.name
    taken = [
        (each.type, key, each.inputs[key]) for each in made for key in ("name", "identifier") if key in each.inputs
    ]
    mine = [found for found in taken if isinstance(found[2], str) and "mlflow-backend-dev" in found[2]]
    twice = {found for found in mine if mine.count(found) > 1}
    assert len(mine) > 40
    # A subnet group and a parameter group are of two services' own kinds; of one kind no name is there twice.
    assert twice == set()


def test_a_connection_makes_provider_and_clients_and_keeps_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """A role is taken by STS, in each process; what the state has is its ARN."""
    role = f"arn:aws:iam::{ACCOUNT}:role/deploy"
    connection = Connection(REGION, role=role)
    made = registered(lambda: EcsBackend("mlflow", args(connection=connection)).tracking_url)
    (provider,) = [each for each in made if each.type == "pulumi:providers:aws"]
    assert role in str(provider.inputs["assumeRoles"])
    (secrets,) = of_type(made, "AwsServerSecrets")
    assert secrets.inputs["connection"] == {"region": REGION, "role": role} == connection.document()
    (preflight,) = of_type(made, "Preflight")
    assert preflight.inputs["role"] == role
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    client = Connection.at(connection.document()).client("s3")
    assert client.meta.config.read_timeout == 20
    assert client._request_signer._credentials.method == "assume-role"


def test_blocks_stand_alone() -> None:
    """A database and a store, in a network of somebody's own."""

    def build() -> Any:
        scope = Scope.of("team", settings_of("dev"))
        opts = pulumi.ResourceOptions(provider=scope.provider("aws"))
        group = aws.ec2.SecurityGroup("theirs")
        storage = Storage("store", scope, opts=opts)
        placement = Placement(subnets=["subnet-1", "subnet-2"], security_group=group.id, key_arn=storage.key_arn)
        return Database("tracking", scope, placement, opts=opts).host

    made = registered(build)
    (instance,) = of_type(made, "Instance")
    assert instance.inputs["identifier"] == "mlflow-backend-dev-team"
    assert instance.inputs["vpcSecurityGroupIds"] == ["theirs-id"]
    (own,) = [each for each in made if each.type == "pulumi:providers:aws"]
    assert own.urn in instance.provider
