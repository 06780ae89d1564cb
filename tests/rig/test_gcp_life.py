"""The life of a backend on Cloud Run, by the real engine and real MLflow, from a first update to `destroy`.

The tests stand in the order of a life, and share its deployment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from mlflow_backend.gcp.naming import Naming
from tests.engine.stack import nothing_changed
from tests.rig import contents
from tests.rig.clock import SERVERS
from tests.rig.gcp.rig import GcpRig
from tests.rig.gcp.stack import GcpStack
from tests.server.servers import install_package
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

_SOON_S: Final = 120
OLD, NEW = "3.10.1", "3.17.2"


class Life:
    """A stack on a rig, with an image of each version."""

    def __init__(self, folder: Path, rig: GcpRig) -> None:
        """Publish the images, and write the stack's file; nothing is deployed."""
        self.rig = rig
        self.package = install_package(folder / "package")
        self.naming = Naming(
            stack_project="mlflow-backend", stack="gcp", project=rig.project, number=rig.number, region=rig.region
        )
        self.stack = GcpStack(
            folder / "stack",
            rig,
            {
                "target": "cloudrun",
                "server": {"mlflowVersion": OLD, "image": self.image(OLD), "workers": 1, "cpu": 2048, "memory": 4096},
                "access": {"mode": "basic"},
                "backup": {"protect": False},
                "gcp": {"project": rig.project, "projectNumber": rig.number, "region": rig.region},
                "policy": {"acceptVulnerabilities": known(OLD)},
            },
        )

    def image(self, version: str) -> str:
        """Return an image of a version, by its digest."""
        made = contents.fronted(contents.mlflow(version, self.package, self.rig.authority))
        return self.rig.registry.publish(version, made, labels=contents.labels(version))

    def serve(self, version: str) -> None:
        """Ask for another version."""
        self.stack.write_settings(
            server={"mlflowVersion": version, "image": self.image(version)},
            policy={"acceptVulnerabilities": known(version)},
        )

    @property
    def service(self) -> dict[str, Any]:
        """The service as the rig has it."""
        return self.rig.call("GET", f"v2/{self.naming.parent}/services/{self.naming.service()}")

    @property
    def serving(self) -> str:
        """The revision that has the traffic, as Google says it."""
        found = self.service
        (target,) = [each for each in found["trafficStatuses"] if each.get("percent") == 100]
        return str(target.get("revision") or found["latestReadyRevision"]).rpartition("/")[2]


def known(version: str) -> list[str]:
    """Return what is known against a version, which the tests accept."""
    from mlflow_backend.server import parse_version  # noqa: PLC0415
    from mlflow_backend.vulnerabilities.table import of_version  # noqa: PLC0415

    return [row.id for row in of_version(parse_version(version))]


@pytest.fixture(scope="module")
def life(containers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """The stack in an empty project."""
    folder = tmp_path_factory.mktemp("gcp-life")
    with GcpRig(folder, SERVERS) as rig:
        yield Life(folder, rig)


def test_a_first_update_ends_verified(life: Life) -> None:
    """From an empty project to a server that was seen to work, through the URL that users call."""
    life.stack.must_up()
    outputs = life.stack.outputs()
    assert outputs["trackingUrl"] == life.naming.url()
    assert outputs["verification"]["verdict"] == "pass"
    assert outputs["release"] == {**outputs["release"], "mlflowVersion": OLD, "revision": life.serving}
    assert life.rig.ask(f"{life.naming.url()}/health").status == 200


def test_a_repeated_update_changes_nothing(life: Life) -> None:
    """It verifies again, and neither traffic nor template differs."""
    before = life.service["generation"]
    said = life.stack.must_up("--refresh").text
    assert nothing_changed(said), said
    assert life.service["generation"] == before


def test_a_new_release_is_verified_before_users_meet_it(life: Life) -> None:
    """The old one keeps a tag to go back to, and the update after it changes nothing."""
    old = life.serving
    life.stack.write_settings(server={"workers": 2})
    life.stack.must_up()
    assert life.serving != old
    tags = {each["tag"]: each["revision"] for each in life.service["traffic"] if "tag" in each}
    assert set(tags.values()) == {old, life.serving}
    said = life.stack.must_up("--refresh").text
    assert nothing_changed(said), said


def test_a_rollback_moves_the_traffic(life: Life) -> None:
    """It is verified, and neither the next update nor a refresh undoes it; lifting the pin does."""
    new = life.serving
    back = life.stack.script("rollback", "--reason", "a test", "--yes")
    assert back.code == 0, back.text
    old = life.serving
    assert old != new
    life.stack.write_settings(release={"acceptPin": True})
    life.stack.must_up("--refresh")
    assert life.serving == old
    assert life.stack.script("rollback", "--unpin").code == 0
    life.stack.must_up()
    assert life.serving == new


def test_an_upgrade_migrates_the_database(life: Life) -> None:
    """A dump first, one writer, then the candidate."""
    life.serve(NEW)
    said = life.stack.up()
    assert said.ok, said.text
    outputs = life.stack.outputs()
    assert (outputs["release"]["mlflowVersion"], outputs["verification"]["verdict"]) == (NEW, "pass")
    assert life.rig.ask(f"{life.naming.url()}/health").status == 200


def test_destroy_ends_every_instance(life: Life) -> None:
    """Of a stack that protects nothing, nothing is left, although Google keeps the database's connection for days."""
    done = life.stack.destroy()
    assert done.ok, done.text
    assert not life.rig.services.kept
    assert not life.rig.networks.kept
    assert not life.rig.networks.connections
    until(lambda: life.rig.live == [], what="the end of all instances", deadline_s=_SOON_S)
