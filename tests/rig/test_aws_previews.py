"""The shipped stacks, previewed by the real engine on the rig: what is refused before anything is touched, and why.

Preflight asks the emulated account as itself: its registry, its certificates, the other stack's ledger.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pytest

from tests.rig.aws.previews import _BOTH, Account, certify
from tests.rig.aws.scene import VERSION
from tests.rig.aws.stack import AwsStack
from tests.rig.faults import Fault, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.rig.aws.rig import AwsRig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def account(rig: AwsRig, tmp_path_factory: pytest.TempPathFactory) -> Account:
    """An empty account with a certificate for the URL of `staging`."""
    folder = tmp_path_factory.mktemp("previews")
    dev, staging = AwsStack(folder / "dev", rig), AwsStack(folder / "staging", rig, "staging")
    certify(rig, staging)
    return Account(rig, dev, staging)


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
