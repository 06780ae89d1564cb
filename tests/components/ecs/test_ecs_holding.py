"""What the ledger holds a stack to, read from S3 before any resource exists."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from mlflow_backend.aws.store import S3Store
from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.ecs import holding
from mlflow_backend.ecs.holding import Held
from mlflow_backend.ecs.render.tasks import release_identity
from mlflow_backend.releases.journal import Journal
from mlflow_backend.releases.ledger import Ledger
from mlflow_backend.releases.records import Block, VerifiedRelease
from mlflow_backend.schema import Heads
from mlflow_backend.schema_tables import required_heads
from tests.components.ecs.recorded import Recorded
from tests.components.ecs.stacks import changed, naming_of, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.settings import Settings

SETTINGS, NAMING = settings_of("staging"), naming_of("staging")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Client]:
    """Moto's S3."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "x")
    with mock_aws():
        yield boto3.client("s3", region_name="us-east-1")


def _ledger(s3: S3Client) -> Ledger:
    s3.create_bucket(Bucket=NAMING.bucket("data"))
    return Ledger(S3Store(s3, bucket=NAMING.bucket("data")), by="me")


def _release(revision: str, *, settings: str = "older") -> VerifiedRelease:
    return VerifiedRelease(
        target="ecs", revision=revision, mlflow_version="3.4.0", image_digest="sha256:old",
        heads=Heads(tracking="71994744cf8e"), settings_hash=settings, verification_id="v", verdict="pass",
    )  # fmt: skip


def held(settings: Settings, naming: Naming, client: S3Client) -> Held | None:
    """Return what the program asks the ledger for."""
    return holding.held(settings, release_identity(settings, naming), holding.read(settings, naming, client))


def migrates(settings: Settings, naming: Naming, client: S3Client) -> bool:
    """Return what the program asks the same ledger for."""
    return holding.migrates(settings, release_identity(settings, naming), holding.read(settings, naming, client))


def test_no_bucket_yet_is_no_hold(s3: S3Client) -> None:
    """The first update of a stack."""
    assert held(SETTINGS, NAMING, s3) is None


def test_a_free_stack_serves_what_its_settings_describe(s3: S3Client) -> None:
    """Records alone hold nothing."""
    _ledger(s3).add_release(_release("41"))
    assert held(SETTINGS, NAMING, s3) is None


def test_a_pin_holds_until_it_is_lifted(s3: S3Client) -> None:
    """The pinned release names what that revision runs, and why the configured release waits."""
    ledger = _ledger(s3)
    ledger.add_release(_release("41"))
    ledger.add_rollback(to="41", rolled_back_from="42", reason="slow", detail={})
    found = held(SETTINGS, NAMING, s3)
    assert found is not None
    assert (found.revision, found.mlflow_version, found.image_digest) == ("41", "3.4.0", "sha256:old")
    assert "pinned to 41" in found.withheld
    assert "slow" in found.withheld
    assert found.manual
    ledger.add_unpin("fixed")
    assert held(SETTINGS, NAMING, s3) is None


def test_nothing_is_withheld_where_the_pin_is_what_is_wished(s3: S3Client) -> None:
    """The settings were put back too: the update ends green."""
    ledger = _ledger(s3)
    ledger.add_release(_release("41", settings=release_identity(SETTINGS, NAMING)))
    ledger.add_rollback(to="41", rolled_back_from="42", reason="", detail={})
    found = held(SETTINGS, NAMING, s3)
    assert isinstance(found, Held)
    assert found.withheld == ""


def test_a_failed_release_is_blocked_and_another_is_not(s3: S3Client) -> None:
    """An automatic rollback records a block on that release only, which any other release lifts."""
    ledger = _ledger(s3)
    record = ledger.add_release(_release("41"))
    ledger.add_block(
        Block(
            revision="42", settings_hash=release_identity(SETTINGS, NAMING), instead="41", since=record.at, reason="red"
        )
    )
    found = held(SETTINGS, NAMING, s3)
    assert found is not None
    assert (found.revision, found.manual) == ("41", False)
    fixed = changed("staging", {"server": {"mlflowVersion": "3.16.1"}})
    assert held(fixed, NAMING, s3) is None


def test_settings_that_disagree_with_the_ledger_are_refused(s3: S3Client) -> None:
    """`release.pin` is a request; the ledger is the only truth."""
    _ledger(s3)
    with pytest.raises(Refused, match="asks for revision 41"):
        held(changed("staging", {"release": {"pin": "41"}}), NAMING, s3)


def test_a_pin_without_a_record_is_refused(s3: S3Client) -> None:
    """What a revision runs has to be known to hold verification to it."""
    _ledger(s3).add_rollback(to="7", rolled_back_from=None, reason="", detail={})
    with pytest.raises(Refused, match="no record of"):
        held(SETTINGS, NAMING, s3)


def test_an_interrupted_rollback_is_finished_first(s3: S3Client) -> None:
    """An update in between would end in neither of its two states."""
    s3.create_bucket(Bucket=NAMING.bucket("data"))
    Journal(S3Store(s3, bucket=NAMING.bucket("data")), "rollback").write({"to": "41", "begun": "now"})
    with pytest.raises(Refused, match="was interrupted"):
        held(SETTINGS, NAMING, s3)


def test_a_ledger_that_cannot_be_read_is_no_free_stack() -> None:
    """Unreachable is refused: a pin may stand there."""
    recorded = Recorded("s3").answers("GetObject", "AccessDenied").answers("ListObjectsV2", "AccessDenied")
    with pytest.raises(PlatformFailed, match="AccessDenied"):
        held(SETTINGS, NAMING, recorded.client)


def test_the_schema_is_compared_with_the_release_before(s3: S3Client) -> None:
    """Not with the last migration: an update that changes no schema may go back, a repeated migrating one may not."""
    wished, needed = release_identity(SETTINGS, NAMING), required_heads(SETTINGS.server.mlflow_version, auth=True)
    assert needed is not None
    assert migrates(SETTINGS, NAMING, s3), "there is nothing to go back to"
    ledger = _ledger(s3)
    ledger.add_release(_release("41"))
    assert migrates(SETTINGS, NAMING, s3)
    ledger.add_release(replace(_release("42", settings=wished), heads=needed))
    assert migrates(SETTINGS, NAMING, s3), "a second update of the same release must not change the service"
    ledger.add_release(replace(_release("43", settings="another"), heads=needed))
    assert not migrates(SETTINGS, NAMING, s3)
