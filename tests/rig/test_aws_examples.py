"""Other people's programs on AWS, deployed from the wheel in an environment without the checkout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.engine import wheel
from tests.engine.wheel import Example
from tests.rig import contents
from tests.rig.aws.inventory import inventory
from tests.rig.aws.scene import VERSION
from tests.rig.standin import plugin
from tests.server.servers import install_package

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.rig.aws.rig import AwsRig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class AwsExample(Example):
    """An example on a rig, which has the image that it asks for."""

    timeout_s = 540
    dropped = (*Example.dropped, "AWS_")

    def __init__(self, folder: Path, example: str, environment: Path, rig: AwsRig, image: str) -> None:
        """Make its stack and set what it requires; nothing is deployed."""
        self.rig = rig
        plugin.install(folder / "home", "pulumi_aws")
        super().__init__(folder, example, environment)
        for key, value in {"aws:region": rig.region, "account": rig.account, "image": image}.items():
            assert self.pulumi("config", "set", key, value).ok

    @property
    def environment(self) -> dict[str, str]:
        """What every command of the project is run with."""
        own = {"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true"}
        return {**super().environment, **self.rig.environment, **own}


@pytest.fixture(scope="module")
def deploy(server_rig: AwsRig, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], AwsExample]:
    """Deploy an example from the wheel into an account that has the image."""
    folder = tmp_path_factory.mktemp("examples")
    environment, package = wheel.install(folder), install_package(folder / "package")
    server = contents.mlflow(VERSION, package, server_rig.authority)
    image = server_rig.images.publish(VERSION, server, labels=contents.labels(VERSION))

    def deployed(name: str) -> AwsExample:
        example = AwsExample(folder / name, name, environment, server_rig, image)
        example.must_up()
        return example

    return deployed


def physical(example: AwsExample, kind: str) -> list[dict[str, Any]]:
    """Return the outputs of the deployed resources of a type."""
    return [each["outputs"] for each in example.state_of_resources() if each["type"] == kind]


def test_the_stores_are_made_alone(deploy: Callable[[str], AwsExample], server_rig: AwsRig) -> None:
    """The blocks of a backend are components by themselves: a bucket and a database, and no server."""
    before = inventory(server_rig)
    example = deploy("only_stores")
    outputs = example.outputs()
    assert outputs["bucket"] in {each["bucket"] for each in physical(example, "aws:s3/bucket:Bucket")}
    assert [each["address"] for each in physical(example, "aws:rds/instance:Instance")] == [outputs["databaseHost"]]
    assert not physical(example, "aws:ecs/service:Service")
    ended = example.destroy()
    assert ended.ok, ended.text
    assert inventory(server_rig) == before


@pytest.mark.full
def test_a_backend_stands_in_a_network_of_somebody_elses(deploy: Callable[[str], AwsExample]) -> None:
    """The network's ids flow in as outputs of other resources; commands find the backend by its address."""
    example = deploy("own_vpc")
    (vpc,) = physical(example, "aws:ec2/vpc:Vpc")
    (service,) = physical(example, "aws:ecs/service:Service")
    own = {each["id"] for each in physical(example, "aws:ec2/subnet:Subnet") if each["vpcId"] == vpc["id"]}
    assert set(service["networkConfiguration"]["subnets"]) < own
    listed = example.command("releases", "--locator", str(example.output("locator")))
    assert listed.ok, listed.text
    assert VERSION in listed.text


@pytest.mark.full
def test_two_backends_stand_in_one_stack(deploy: Callable[[str], AwsExample], server_rig: AwsRig) -> None:
    """Every physical name holds the name of its component, so that none is another's."""
    example = deploy("two_backends")
    clusters = sorted(each["name"] for each in physical(example, "aws:ecs/cluster:Cluster"))
    assert clusters == ["example-mine-blue", "example-mine-red"]
    databases = {each["identifier"] for each in physical(example, "aws:rds/instance:Instance")}
    assert databases == {"example-mine-blue", "example-mine-red"}
    assert databases <= set(server_rig.databases.running)
    outputs = example.outputs()
    assert len({outputs[f"{team}{what}"] for team in ("red", "blue") for what in ("Url", "Locator")}) == 4
