"""Which release a backend on ECS serves, read from S3 and ECS before any resource exists."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from mlflow_backend.aws.connection import Connection
from mlflow_backend.aws.scope import Scope
from mlflow_backend.aws.store import S3Store
from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.ecs.backend import ledger_of
from mlflow_backend.ecs.history import describe
from mlflow_backend.ecs.render.containers import SETTINGS_LABEL, VERSION_LABEL
from mlflow_backend.ecs.render.tasks import SERVER
from mlflow_backend.releases.ledger import Ledger
from mlflow_backend.releases.records import VerifiedRelease
from mlflow_backend.schema import Heads
from mlflow_backend.schema_tables import required_heads
from tests.components.aws.emulated import emulated_aws
from tests.components.ecs.recorded import Recorded
from tests.components.ecs.stacks import naming_of, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS, NAMING = settings_of("staging"), naming_of("staging")
SCOPE = Scope(settings=SETTINGS, naming=NAMING, connection=Connection(NAMING.region))


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    """A ledger in moto's S3, whose bucket the first record makes."""
    with emulated_aws():
        s3 = boto3.client("s3", region_name=NAMING.region)
        s3.create_bucket(Bucket=NAMING.bucket("data"), CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield Ledger(S3Store(s3, bucket=NAMING.bucket("data")), by="me")


def _registered(identity: str) -> str:
    """Register a task definition of a release, and return its revision."""
    made = boto3.client("ecs", region_name=NAMING.region).register_task_definition(
        family=NAMING.family(SERVER),
        containerDefinitions=[
            {
                "name": SERVER,
                "image": "registry/mlflow@sha256:old",
                "memory": 512,
                "dockerLabels": {VERSION_LABEL: "3.4.0", SETTINGS_LABEL: identity},
            }
        ],
    )
    return str(made["taskDefinition"]["revision"])


def _release(revision: str, *, settings: str = "older") -> VerifiedRelease:
    return VerifiedRelease(
        target="ecs", revision=revision, mlflow_version="3.4.0", image_digest="sha256:old",
        heads=Heads(tracking="71994744cf8e"), settings_hash=settings, verification_id="v", verdict="pass",
    )  # fmt: skip


def test_no_bucket_yet_pins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first update of a stack."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    with mock_aws():
        assert ledger_of(SCOPE, "new") == (None, True)


def test_a_pinned_release_is_what_its_task_definition_runs(ledger: Ledger) -> None:
    """Verification compares with it; lifted, the stack serves what its settings describe."""
    revision = _registered("older")
    assert ledger_of(SCOPE, "new")[0] is None
    ledger.add_rollback(to=revision, rolled_back_from="42", reason="slow", detail={})
    found, _ = ledger_of(SCOPE, "new")
    assert found is not None
    assert (found.release.revision, found.release.mlflow_version) == (revision, "3.4.0")
    assert (found.release.image_digest, found.identity) == ("sha256:old", "older")
    assert "slow" in found.withheld
    ledger.add_unpin("fixed")
    assert ledger_of(SCOPE, "new")[0] is None


def test_a_pin_without_its_task_definition_is_refused(ledger: Ledger) -> None:
    """What a revision runs has to be known to hold verification to it."""
    ledger.add_rollback(to="7", rolled_back_from=None, reason="", detail={})
    with pytest.raises(Refused) as refused:
        ledger_of(SCOPE, "new")
    assert refused.value.code == "pinned-revision-gone"


def test_an_ecs_that_does_not_answer_is_no_revision_that_is_gone() -> None:
    """A person would lift the pin for nothing."""
    recorded = Recorded("ecs").answers("DescribeTaskDefinition", "AccessDeniedException")
    with pytest.raises(PlatformFailed) as failed:
        describe(recorded.client, "family", "7")
    assert failed.value.code == "revision-not-read"


def test_a_ledger_that_cannot_be_read_is_no_free_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unreachable is refused: a pin may stand there."""
    recorded = Recorded("s3").answers("GetObject", "AccessDenied").answers("ListObjectsV2", "AccessDenied")
    monkeypatch.setattr(Connection, "client", lambda *_: recorded.client)
    with pytest.raises(PlatformFailed, match="AccessDenied"):
        ledger_of(SCOPE, "new")


def test_the_schema_is_compared_with_the_release_before(ledger: Ledger) -> None:
    """Not with the last migration: an update that changes no schema may go back, a repeated migrating one may not."""
    needed = required_heads(SETTINGS.server.mlflow_version, auth=True)
    assert needed is not None

    def migrates() -> bool:
        return ledger_of(SCOPE, "new")[1]

    assert migrates(), "there is nothing to go back to"
    ledger.add_release(_release("41"))
    assert migrates()
    ledger.add_release(replace(_release("42", settings="new"), heads=needed))
    assert migrates(), "a second update of the same release must not change the service"
    ledger.add_release(replace(_release("43", settings="another"), heads=needed))
    assert not migrates()
