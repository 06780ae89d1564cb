"""The shipped stacks, previewed by the real engine on the rig: what is refused before anything is touched, and why.

Preflight asks the emulated account as itself: its registry, its certificates, the other stack's ledger.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import pytest

from mlflow_backend.aws.store import S3Store
from mlflow_backend.ecs.render.place import Place
from mlflow_backend.releases import ledger
from mlflow_backend.releases.records import VerifiedRelease
from mlflow_backend.schema_tables import required_heads
from tests.rig.aws import contents
from tests.rig.aws.scene import VERSION
from tests.rig.aws.stack import AwsStack
from tests.rig.faults import Fault, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.rig.aws.rig import AwsRig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_BOTH: Final = ("linux/amd64", "linux/arm64")


class Account:
    """An account that has nothing but images, and the stacks that ask for them."""

    def __init__(self, rig: AwsRig, dev: AwsStack, staging: AwsStack) -> None:
        """Take the stacks; nothing is deployed."""
        self.rig, self.dev, self.staging = rig, dev, staging
        self._published = 0

    def push(self, *, platforms: Sequence[str] = _BOTH, index: bool = True, version: str = VERSION) -> str:
        """Push another image, and return its digest; `dev` asks for it by a tag of its own, `staging` by the digest."""
        self._published += 1
        tag, labels = f"preview-{self._published}", contents.labels(version)
        name = self.rig.images.publish(tag, contents.small(), labels=labels, platforms=platforms, index=index)
        self.dev.write_settings(server={"image": f"{name.partition('@')[0]}:{tag}"})
        # It is protected, so that a tag is refused.
        self.staging.write_settings(server={"image": name})
        return name.partition("@")[2]

    def verified(self, digest: str, *, ago: timedelta) -> None:
        """Write into the ledger of `dev` that an image was verified so long ago."""
        place = Place(project="mlflow-backend", stack="dev", account=self.rig.account, region=self.rig.region)
        s3, bucket = self.rig.client("s3"), place.bucket("data")
        if bucket not in {each["Name"] for each in s3.list_buckets()["Buckets"]}:
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": self.rig.region})
        heads = required_heads(VERSION, auth=True)
        assert heads is not None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ledger, "_now", lambda: datetime.now(UTC) - ago)
            ledger.Ledger(S3Store(s3, bucket=bucket), by="a test").add_release(
                VerifiedRelease(
                    target="ecs", revision="1", mlflow_version=VERSION, image_digest=digest, heads=heads,
                    settings_hash="h", verification_id="v", verdict="pass",
                )
            )  # fmt: skip


@pytest.fixture(scope="module")
def account(rig: AwsRig, tmp_path_factory: pytest.TempPathFactory) -> Account:
    """An empty account with a certificate for the URL of `staging`."""
    folder = tmp_path_factory.mktemp("previews")
    dev, staging = AwsStack(folder / "dev", rig), AwsStack(folder / "staging", rig, "staging")
    certify(rig, staging)
    return Account(rig, dev, staging)


def certify(rig: AwsRig, staging: AwsStack) -> None:
    """Give the account a certificate for the URL of `staging`, and its settings the certificate."""
    host = str(staging.settings["network"]["publicUrl"]).partition("://")[2]
    with pytest.MonkeyPatch.context() as patch:
        # A minute otherwise, in which a certificate waits for its validation.
        patch.setattr("moto.settings.ACM_VALIDATION_WAIT", -1)
        certificates = rig.client("acm")
        arn = certificates.request_certificate(DomainName=host, ValidationMethod="DNS")["CertificateArn"]
        certificates.describe_certificate(CertificateArn=arn)
    network = {**staging.settings["aws"]["network"], "certificate": arn}
    staging.write_settings(aws={"network": network})


def previewed(stack: AwsStack) -> str:
    """Return what a preview says."""
    return stack.pulumi("preview", "--stack", stack.name).text


def young(account: Account) -> str:
    """Ask for what was verified on `dev` an hour ago."""
    account.verified(account.push(), ago=timedelta(hours=1))
    return previewed(account.staging)


def soaked(account: Account) -> str:
    """Ask for what was verified on `dev` two days ago."""
    account.verified(account.push(), ago=timedelta(days=2))
    return previewed(account.staging)


def image(*, platforms: Sequence[str] = _BOTH, index: bool = True, version: str = VERSION) -> Callable[[Account], str]:
    """Return what previews `dev` with an image of its own."""

    def asked(account: Account) -> str:
        account.push(platforms=platforms, index=index, version=version)
        return previewed(account.dev)

    return asked


FAULTS: Final = (
    Fault(
        name="image-for-arm64-only",
        mechanism="the image's index has linux/arm64 only, and tasks run on X86_64",
        cause="exec format error",
        broken=image(platforms=["linux/arm64"]),
        control=image(),
    ),
    Fault(
        name="single-image-for-arm64",
        mechanism="the image has no index, and its configuration says arm64",
        cause="exec format error",
        broken=image(platforms=["linux/arm64"], index=False),
        control=image(platforms=["linux/amd64"], index=False),
    ),
    Fault(
        name="image-of-another-version",
        mechanism="the image's label names another MLflow than the settings",
        cause="server.mlflowVersion",
        broken=image(version="3.4.0"),
        control=image(),
    ),
    Fault(
        name="not-soaked",
        mechanism="staging asks for an image that was verified on dev an hour ago, and wants a day",
        cause="less than 24 hours ago",
        broken=young,
        control=soaked,
    ),
)


@table(FAULTS)
def test_a_preview_refuses_what_would_fail(account: Account, fault: Fault[Account]) -> None:
    """The preview ends red with the cause, and nothing is planned."""
    text = fault.broken(account)
    assert fault.cause in text, text
    assert "error:" in text, text


@pytest.mark.parametrize("fault", FAULTS[1:2] + FAULTS[3:], ids=lambda row: row.name)
def test_its_control_is_planned(account: Account, fault: Fault[Account]) -> None:
    """The same without the fault is planned to the end; for the other rows the same image serves as control."""
    text = fault.control(account)
    assert " to create" in text, text
    assert "error:" not in text, text
