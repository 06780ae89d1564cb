"""The backend as it is registered: its URNs guarded, in every variant and in preview, and what a pin makes of it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pulumi_kubernetes
import pytest

from mlflow_backend.contract import Release
from mlflow_backend.kubernetes.render import server
from mlflow_backend.kubernetes.render.monitoring import GROUP
from mlflow_backend.releases.pins import PinnedRelease
from tests.components.kubernetes.recording import SAME_URNS, record
from tests.components.kubernetes.stacks import DIGEST, STACK, VARIANTS, naming, settings_of
from tests.components.registrations import assert_distinct, assert_urns_kept, of_type, walk

SNAPSHOTS = Path(__file__).parent / "snapshots"
_PASSWORD = re.compile(r"://[^/\s@]*:[^/\s@{]+@")


@pytest.mark.parametrize("variant", VARIANTS)
def test_urns_do_not_change_unnoticed(variant: str) -> None:
    """A moved or renamed resource is made anew, a database too. UPDATE_SNAPSHOTS=1 records what is meant."""
    assert_urns_kept(record, variant, SNAPSHOTS / f"{SAME_URNS.get(variant, variant)}.txt")


def test_no_two_snapshots_are_the_same() -> None:
    """A variant that differs in values alone belongs into `SAME_URNS`."""
    assert_distinct(SNAPSHOTS, len(VARIANTS) - len(SAME_URNS))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_property_is_one_that_the_sdk_knows(variant: str) -> None:
    """A mock takes any name; the real provider does not."""
    looked_at = 0
    for each in record(variant):
        # Of the operator's kinds the SDK knows nothing.
        if each.type.startswith("kubernetes:") and GROUP not in each.type:
            group, version = each.type.split(":")[1].split("/")
            class_ = getattr(getattr(getattr(pulumi_kubernetes, group.split(".")[0]), version), each.type.split(":")[2])
            known = {_camel(name) for name in inspect.signature(class_._internal_init).parameters}
            assert set(each.inputs) <= known, each.urn
            looked_at += 1
    assert looked_at > 10


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_object_is_in_the_cluster_that_is_named(variant: str) -> None:
    """The default provider would use whatever context is current."""
    registered = record(variant)
    (own,) = [each for each in registered if each.type == "pulumi:providers:kubernetes"]
    assert own.inputs["context"] == "example"
    for each in registered:
        if each.type.startswith("kubernetes:"):
            assert each.provider.startswith(own.urn), each.urn


def test_servers_come_after_the_migration_and_the_candidate() -> None:
    """No server of ours is ever started on a database that is not at its head, nor before its release was verified."""
    registered = {each.name: each for each in record(STACK)}
    assert registered["mlflow-migration"].urn in registered["mlflow-candidate"].needs
    assert registered["mlflow-candidate"].urn in registered["mlflow-server"].needs
    assert registered["mlflow-server"].urn in registered["mlflow-rollout"].needs
    for store in ("database", "cache", "database-tool", "policy-out"):
        assert registered[f"mlflow-{store}"].urn in registered["mlflow-migration"].needs


def test_a_change_of_a_secret_rolls_the_servers() -> None:
    """A server that keeps an old password fails at its next start."""
    (deployment,) = [each for each in of_type(record(STACK), "Deployment") if each.name == "mlflow-server"]
    assert deployment.inputs["spec"]["template"]["metadata"]["annotations"][server.SECRETS] == "v1"


def test_a_pinned_stack_registers_the_revision_that_serves() -> None:
    """What Pulumi has in its state is what the cluster has, so that a refresh finds no difference."""
    settings = settings_of()
    template = server.template(settings, naming(settings), component="server", secrets_version="v0")
    template["metadata"]["annotations"][server.SETTINGS] = "older"
    release = Release(revision="5d4", mlflow_version="3.16.0", image_digest=DIGEST)
    pinned = PinnedRelease(release=release, identity="older", withheld="pinned", manual=True)
    registered = {each.name: each for each in record(STACK, pinned=(pinned, template))}
    assert registered["mlflow-server"].inputs["spec"]["template"] == template
    assert registered["mlflow-candidate"].inputs["pinned"] is True
    assert registered["mlflow-rollout"].inputs["identity"] == "older"
    assert registered["mlflow-migration"].inputs["mlflowVersion"] == "3.16.0"
    assert registered["mlflow-hold"].inputs["withheld"] == "pinned"


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_secret_is_registered(variant: str) -> None:
    """Pulumi's state holds whatever is registered: versions, never values."""
    for each in record(variant):
        for path, value in walk(each.inputs):
            assert "PRIVATE KEY" not in str(value), (each.urn, path)
            assert not _PASSWORD.search(str(value)), (each.urn, path)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
