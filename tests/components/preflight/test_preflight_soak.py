"""A release comes to this stack only after it was verified on another one for long enough."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from mlflow_backend.aws.store import S3Store
from mlflow_backend.ecs.preflight import preflight_args
from mlflow_backend.findings import Outcome
from mlflow_backend.preflight import soak
from mlflow_backend.preflight.provider import PreflightProvider
from mlflow_backend.releases.ledger import Ledger
from mlflow_backend.releases.records import VerifiedRelease
from mlflow_backend.schema import Heads
from tests.components.aws.emulated import emulated_aws
from tests.components.ecs.recorded import Recorded
from tests.components.ecs.stacks import naming_of, settings_of
from tests.components.preflight.inputs import inputs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

    from tests.components.preflight.images import Store

SOURCE = naming_of("dev").bucket("data")


@pytest.fixture
def s3() -> Iterator[S3Client]:
    """Moto's S3, with the other stack's bucket in it."""
    with emulated_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=SOURCE)
        yield client


def _verified(ledger: Ledger, digest: str) -> None:
    ledger.add_release(
        VerifiedRelease(
            target="ecs", revision="1", mlflow_version="3.17.2", image_digest=digest, heads=Heads(tracking="abc"),
            settings_hash="h", verification_id="v", verdict="pass",
        )
    )  # fmt: skip


@pytest.mark.parametrize(("hours", "outcome"), [(23, Outcome.FAIL), (24, Outcome.PASS), (100, Outcome.PASS)])
def test_the_first_pass_counts(s3: S3Client, hours: int, outcome: Outcome) -> None:
    """Verified again a minute ago, it has soaked all the same."""
    ledger = Ledger(S3Store(s3, bucket=SOURCE), by="me")
    _verified(ledger, "sha256:a")
    _verified(ledger, "sha256:a")
    first = ledger.read().releases[0].at
    found = soak.check(ledger, digest="sha256:a", source="dev", hours=24, now=first + timedelta(hours=hours))
    assert found.outcome is outcome
    if outcome is Outcome.FAIL:
        assert "Wait 1.0 hours more" in found.fix


def test_another_image_has_not_soaked(s3: S3Client) -> None:
    """Digests are compared: a tag of the same name may be another image."""
    ledger = Ledger(S3Store(s3, bucket=SOURCE), by="me")
    _verified(ledger, "sha256:a")
    found = soak.check(ledger, digest="sha256:b", source="dev", hours=1)
    assert found.outcome is Outcome.FAIL
    assert "never verified on the stack dev" in found.message


def test_a_ledger_that_may_not_be_read_is_skipped_visibly() -> None:
    """It may be another team's."""
    recorded = Recorded("s3").answers("GetObject", "AccessDenied").answers("ListObjectsV2", "AccessDenied")
    ledger = Ledger(S3Store(recorded.client, bucket=SOURCE), by="")
    assert soak.check(ledger, digest="sha256:a", source="dev", hours=1).outcome is Outcome.SKIP


def test_the_preview_is_where_it_is_refused(s3: S3Client, store: Store) -> None:
    """Staging names dev's ledger by its name alone, and a young image fails the preview."""
    wanted = preflight_args(settings_of("staging"), naming_of("staging")).soak
    assert wanted == {"stack": "dev", "hours": 24, "region": "eu-west-1", "bucket": SOURCE, "root": ""}
    assert preflight_args(settings_of("dev"), naming_of("dev")).soak is None
    digest = store.image("young")
    _verified(Ledger(S3Store(s3, bucket=SOURCE), by="me"), digest)
    # Moto lets requests to this machine through only if it is configured to.
    with mock_aws(config={"core": {"passthrough": {"urls": [rf"{store.host}.*"]}}}):
        (failure,) = PreflightProvider().check({}, inputs(store, "young", soak=wanted)).failures
    assert failure.property == "release.soakHours"
    assert "less than 24 hours ago" in failure.reason
