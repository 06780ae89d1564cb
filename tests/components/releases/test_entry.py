"""The ledger's entry: when it is made again, by what it is believed, and what it leaves alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pulumi.output import Unknown

from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.local.locator import LocalLocator
from mlflow_backend.local.platform import LocalPlatform
from mlflow_backend.local.state import StateDir
from mlflow_backend.locator import LOCATOR, at, from_document
from mlflow_backend.releases import provider, resource
from mlflow_backend.releases.records import VerifiedRelease
from mlflow_backend.releases.reports import LATEST
from mlflow_backend.schema import Heads
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.report import Report

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DeployedBackend:
    """A stack's releases, whose revisions and schema are known without a server."""

    def release(_self: object, revision: str, *, verification_id: str, verdict: str) -> VerifiedRelease:
        return VerifiedRelease(
            target="local",
            revision=revision,
            mlflow_version="3.17.2",
            environment_lock="abc",
            heads=Heads(tracking="a"),
            settings_hash="s",
            verification_id=verification_id,
            verdict=verdict,
        )

    monkeypatch.setattr(DeployedBackend, "release", release)
    return DeployedBackend(LocalPlatform(StateDir(tmp_path / "stack")))


@pytest.fixture
def inputs(target: DeployedBackend) -> dict[str, Any]:
    """The entry's inputs in a real update that has something to record."""
    locator = target.platform.locator.document()
    return {"locator": locator, "revision": "1", "verified": "now", "updateId": "first"}


def verified(target: DeployedBackend, *, revision: str = "1", verdict: Result | None = Result.PASS) -> None:
    """Keep a report as a verification does."""
    report = Report(
        url="http://x", profile="core", deadline_s=1.0, started="now", verdict=verdict, served_revision=revision
    )
    target.reports.save(report, copy=None)


def test_the_report_of_the_store_is_recorded(target: DeployedBackend, inputs: dict[str, Any]) -> None:
    """Nothing of it is asked of this machine's files."""
    verified(target)
    made = provider.LedgerEntryProvider().create(inputs)
    assert made.outs is not None
    assert made.outs["number"] == 1
    assert target.ledger.read().ends_with("1")


@pytest.mark.parametrize(
    "report", [None, {"revision": "2"}, {"verdict": None}, {"verdict": Result.FAIL}, {"verdict": Result.INCONCLUSIVE}]
)
def test_nothing_is_recorded_that_the_store_does_not_say(
    target: DeployedBackend, inputs: dict[str, Any], report: Mapping[str, Any] | None
) -> None:
    """Somebody else may have verified meanwhile."""
    if report is not None:
        verified(target, **report)
    with pytest.raises(resource.VerificationFailed):
        provider.LedgerEntryProvider().create(inputs)
    assert target.ledger.read().records == ()


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({}, False),
        ({"updateId": ""}, False),
        ({"verified": "later"}, False),
        ({"updateId": "second"}, True),
        ({"revision": "2"}, True),
        ({"revision": Unknown()}, True),
        ({"locator": LocalLocator(stack="x", folder="/elsewhere").document()}, True),
    ],
)
def test_when_an_entry_is_made_again(inputs: dict[str, Any], changed: dict[str, Any], *, wanted: bool) -> None:
    """For another release, and in an update that finds its record missing; not in a preview."""
    outs = {**inputs, "number": 1}
    assert provider.LedgerEntryProvider().diff("ledger", outs, inputs | changed).changes is wanted


def test_an_update_with_nothing_to_record_makes_no_entry(target: DeployedBackend, inputs: dict[str, Any]) -> None:
    """Each real update has another id, and asks the store whether record and locator are there."""
    verified(target)
    outs = resource.append(inputs)
    news = inputs | {"updateId": "second"}
    assert provider.LedgerEntryProvider().diff("ledger", outs, news).changes is False
    target.store.replace(LOCATOR, b"{}")
    assert provider.LedgerEntryProvider().diff("ledger", outs, news).changes is True


def test_a_record_that_is_missing_or_damaged_is_asked_for(target: DeployedBackend, inputs: dict[str, Any]) -> None:
    """`_backend` may be deleted, wholly or in part, and a record cut short."""
    locator = from_document(inputs["locator"])
    assert not resource.is_recorded(locator, "1")
    verified(target)
    resource.append(inputs)
    assert resource.is_recorded(locator, "1")
    assert not resource.is_recorded(locator, "2")
    record = target.store.path("_backend/ledger/00000001.json")
    whole = record.read_bytes()
    for damage in (b"", whole[:40], b"[]", b"null", whole.replace(b"3.17.2", b"3.4.0")):
        record.write_bytes(damage)
        assert not resource.is_recorded(locator, "1")
    record.unlink()
    assert not resource.is_recorded(locator, "1")
    assert target.store.read([LATEST])


def test_a_locator_that_the_store_has_lost_is_written_again_without_a_second_record(
    target: DeployedBackend, inputs: dict[str, Any]
) -> None:
    """By it somebody else's commands find the backend; a store of before it, or a tidied one, has none."""
    locator = from_document(inputs["locator"])
    verified(target)
    assert not resource.is_kept(locator)
    resource.append(inputs)
    assert resource.is_kept(locator)
    assert at(locator.address) == locator
    for content in (b"", b"{}", b'{"kind": "local", "stack": "stack", "folder": "/elsewhere"}'):
        target.store.replace(LOCATOR, content)
        assert not resource.is_kept(locator)
        assert resource.append(inputs)["number"] == 1
        assert resource.is_kept(locator)
    assert len(target.ledger.read().records) == 1
