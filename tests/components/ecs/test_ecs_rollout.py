"""The rollout resource: an update whose revision ECS gave up on fails, with ECS's own reasons (pulumi-aws#4487)."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend import rollout
from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.ecs.provider import RolloutProvider
from mlflow_backend.releases import resource
from mlflow_backend.releases.durations import Durations, kept
from mlflow_backend.releases.journal import Journal, rollback_journal
from mlflow_backend.releases.stores import FileStore
from tests.components.ecs.cloud import LOCATOR
from tests.components.ecs.services import BROKEN, OLD, STARTING, Aws, deployment, service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROPS: dict[str, Any] = {"revision": "42", "locator": LOCATOR.document(), "deadline": 600}


class Releases:
    """What the rollout asks of the backend's releases; its migration's journal is a real one."""

    def __init__(self, aws: Aws, folder: Path) -> None:
        """Take where it is written."""
        self.store = FileStore(folder)
        self.migration = Journal(self.store, "migration")
        self.platform = SimpleNamespace(
            start_servers=lambda revision: aws.ecs.asked.append(("started", {"revision": revision})),
            wait=aws.history.wait,
            serving=aws.history.serving,
        )

    @contextlib.contextmanager
    def migration_lock(self) -> Iterator[None]:
        """Hold no lock."""
        yield


@pytest.fixture
def migration(tmp_path: Path) -> Journal:
    """The journal of a migration that needed no server to be ended."""
    made = Journal(FileStore(tmp_path), "migration")
    made.write({"drained": False, "served": "41", "to": {"tracking": "f4a9b2c7d1e6", "auth": None}})
    return made


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Aws]:
    """Let ECS answer what a test says, at once."""

    def answer(*answers: dict[str, Any]) -> Aws:
        aws = Aws()
        aws.ecs.answers("DescribeServices", *answers)
        aws.ecs.answers("DescribeTaskDefinition", {"taskDefinition": {}})
        for module in (rollout, resource):
            monkeypatch.setattr(module, "open_releases", lambda _: Releases(aws, tmp_path))
        return aws

    return answer


def test_an_update_ends_when_its_revision_serves(answering: Callable[..., Aws]) -> None:
    """Green means that ECS runs what this update asked for."""
    aws = answering(service(STARTING, OLD), service(deployment(42)))
    created = RolloutProvider().create(PROPS)
    assert created.id == "42"
    assert created.outs == PROPS
    asked = [name for name, _ in aws.ecs.asked]
    assert ("started", {"revision": "42"}) in aws.ecs.asked
    assert asked.index("started") == 1, "what a migration drained, or a rollback left, serves before it is waited for"


def test_a_rollback_under_way_is_not_undone(answering: Callable[..., Aws], tmp_path: Path) -> None:
    """It began after the update had read the ledger: the update stops before it tells ECS anything."""
    aws = answering(service(deployment(41)))
    rollback_journal(FileStore(tmp_path)).write({"id": "1", "begun": "now", "to": "41"})
    with pytest.raises(Refused):
        RolloutProvider().create(PROPS)
    assert "started" not in {name for name, _ in aws.ecs.asked}


def test_a_revision_that_serves_no_more_is_rolled_out_again(answering: Callable[..., Aws]) -> None:
    """A rollback whose pin is lifted leaves Pulumi's state as it was: the service itself is looked at."""
    answering(service(deployment(41)))
    assert set(RolloutProvider().diff("42", PROPS, PROPS).replaces or []) == {"locator", "revision"}


def test_how_long_it_took_is_kept(answering: Callable[..., Aws], migration: Journal, tmp_path: Path) -> None:
    """ECS's own times count, and the migration that this update made for the revision."""
    migration.write({**(migration.load() or {}), "seconds": 12.5})
    started = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    done = deployment(42, createdAt=started, updatedAt=started + timedelta(seconds=75))
    answering(service(STARTING, OLD), service(done, deployment(41, status="ACTIVE")))
    RolloutProvider().create(PROPS)
    assert kept(FileStore(tmp_path), "42") == Durations(start_s=75.0, migration_s=12.5)
    assert kept(FileStore(tmp_path), "41") == Durations()


def test_a_silent_rollback_fails_the_update(answering: Callable[..., Aws]) -> None:
    """The service is stable, at the old revision: Terraform's wait is content with that, this one is not."""
    answering(service(STARTING, OLD), service(deployment(41), BROKEN))
    with pytest.raises(PlatformFailed, match="Revision 42 does not serve") as caught:
        RolloutProvider().create(PROPS)
    assert "circuit breaker: tasks failed to start." in str(caught.value)


def test_a_revision_that_serves_ends_its_migration(answering: Callable[..., Aws], migration: Journal) -> None:
    """Left open, it would be taken for another update's, and its dump be restored when that one fails."""
    answering(service(deployment(42)))
    RolloutProvider().create(PROPS)
    assert migration.load() is None


def test_after_a_migration_the_settings_decide(answering: Callable[..., Aws], migration: Journal) -> None:
    """ECS may not go back over it, so the update does what `migrate.onFailure` says, and tells where the schema is."""
    answering(service(deployment(41), BROKEN))
    with pytest.raises(PlatformFailed, match="The database stays at") as caught:
        RolloutProvider().create(PROPS)
    assert "circuit breaker: tasks failed to start." in str(caught.value)
    assert migration.load() is None


def test_a_way_back_that_fails_hides_no_reason(
    answering: Callable[..., Aws], migration: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both failures are reported, and the journal stays open for the next update."""

    def locked(_: object) -> str:
        raise Refused("Another command works on this backend.", code="of-a-test", fix="Let it end.")

    monkeypatch.setattr(rollout, "after_failed_start", locked)
    answering(service(deployment(41), BROKEN))
    with pytest.raises(PlatformFailed, match="Going back from the migration failed too: Another command") as caught:
        RolloutProvider().create(PROPS)
    assert "circuit breaker: tasks failed to start." in str(caught.value)
    assert migration.load() is not None


def test_a_release_that_fails_without_a_migration_waits_for_no_lock(
    answering: Callable[..., Aws], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another command that holds it would be named as what failed, and there is nothing to go back from."""

    def locked(_: object) -> None:
        raise Refused("Another command works on this backend.", code="of-a-test", fix="Let it end.")

    monkeypatch.setattr(Releases, "migration_lock", locked)
    answering(service(deployment(41), BROKEN))
    with pytest.raises(PlatformFailed) as caught:
        RolloutProvider().create(PROPS)
    assert "Another command" not in str(caught.value)


def test_the_way_back_is_offered_for_its_own_stack(
    answering: Callable[..., Aws], migration: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is copied in an emergency."""
    assert migration.load() is not None
    offer = "go back with `python -m scripts.rollback --stack STACK --to 41 --restore`."
    monkeypatch.setattr(rollout, "after_failed_start", lambda _: offer)
    answering(service(deployment(41), BROKEN))
    with pytest.raises(PlatformFailed, match="--stack staging --to 41 --restore"):
        RolloutProvider().create(PROPS)


@pytest.mark.parametrize(
    ("change", "replaces"),
    [({}, []), ({"revision": "43"}, ["revision"]), ({"deadline": 5}, []), ({"locator": {}}, ["locator"])],
)
def test_another_revision_is_waited_for_anew(
    answering: Callable[..., Aws], change: dict[str, Any], replaces: list[str]
) -> None:
    """As a replacement, deleted first: a failed update in place would keep the old green entry."""
    answering(service(deployment(42)))
    diff = RolloutProvider().diff("42", PROPS, {**PROPS, **change})
    assert diff.changes is bool(replaces)
    assert diff.replaces == replaces
    assert diff.delete_before_replace is True


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (service(deployment(42)), True),
        (service(deployment(41)), False),
        ({"services": []}, False),
    ],
)
def test_a_refresh_drops_what_no_longer_serves(
    *, answering: Callable[..., Aws], answer: dict[str, Any], kept: bool
) -> None:
    """Somebody rolled back by hand, or deleted the service: the next update waits again."""
    answering(answer)
    assert bool(RolloutProvider().read("42", PROPS).id) is kept
