"""What a preview shows of a migration, with the real tables of schemas."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from pulumi.output import Unknown

from mlflow_backend.local.locator import LocalLocator
from mlflow_backend.migrate import resource
from mlflow_backend.migrate.forecast import Seen, announcement
from mlflow_backend.migrate.known import describe, forecast
from mlflow_backend.schema import Direction, Heads
from mlflow_backend.schema_tables import schema_table

HEADS = {version: schema_table().heads[version].tracking for version in ("2.9.2", "3.4.0", "3.17.2")}

LOCATOR = LocalLocator(stack="x", folder="/nowhere").document()


def seen(version: str, *, as_of: datetime | None = None) -> Seen:
    """Return a database at a version's head."""
    return Seen(heads=Heads(tracking=HEADS[version]), as_of=as_of)


def test_a_pending_migration_is_shown_with_its_cost() -> None:
    """Each revision with its class, the downtime, and what a way back needs."""
    made = forecast("3.4.0", seen("2.9.2"))
    shown = made.document()
    assert made.direction is Direction.BEHIND
    assert len(shown["pending"]) == 15
    assert shown["pending"][-1].startswith("71994744cf8e safe")
    assert "the server is stopped for them" in shown["downtime"]
    assert "needs a restore" in shown["rollback"]


def test_at_the_head_there_is_one_line() -> None:
    """Nothing pending, nothing to read."""
    assert list(forecast("3.4.0", seen("3.4.0")).document()) == ["schema"]


def test_a_newer_database_is_refused_with_who_can_run_on_it() -> None:
    """The direction is named truly, the versions that fit, and the command that restores."""
    refusal = forecast("3.4.0", seen("3.17.2")).refusal()
    assert refusal is not None
    assert "newer than 71994744cf8e" in refusal
    assert "that is the schema of MLflow 3.17.2" in refusal
    assert "python -m scripts.rollback --stack STACK --to-version 3.4.0 --restore" in refusal


def test_of_a_newer_database_no_migration_is_announced() -> None:
    """It is refused: nobody is told that it would be migrated to what is older, or at what cost."""
    shown = forecast("3.4.0", seen("3.17.2")).document()
    assert list(shown) == ["schema"]
    assert "newer than 71994744cf8e" in shown["schema"]
    assert announcement(shown) is None


def test_what_the_ledger_remembers_is_said_as_of_when() -> None:
    """A runner of pull requests cannot reach the database: nobody shall take an old head for the live one."""
    made = forecast("3.17.2", seen("3.4.0", as_of=datetime(2026, 11, 1, 8, 30, tzinfo=UTC)))
    assert "as of 2026-11-01 08:30 UTC, from the ledger" in made.document()["schema"]


def test_what_is_not_known_is_not_guessed() -> None:
    """No database seen, and a version that the table lacks."""
    assert forecast("3.4.0", None).direction is Direction.UNKNOWN
    assert forecast("3.4.0", None).refusal() is None
    assert "asks that MLflow itself" in forecast("9.9.9", seen("3.4.0")).document()["schema"]


def test_a_new_database_is_reported_as_one() -> None:
    """There is nothing to stop and nothing to lose."""
    made = forecast("3.4.0", Seen(heads=Heads(tracking=None)))
    assert made.direction is Direction.EMPTY
    assert made.document()["schema"] == f"a new database, to be brought to {HEADS['3.4.0']} for MLflow 3.4.0"
    assert not made.breaking


def test_a_database_that_nobody_has_seen_or_knows() -> None:
    """What is not known yet and what no table knows are distinguished, and the head that is needed is named."""
    assert forecast("3.4.0", None).document() == {"schema": f"not known yet; MLflow 3.4.0 needs {HEADS['3.4.0']}"}
    strange = forecast("3.4.0", Seen(heads=Heads(tracking="0123456789ab")))
    assert strange.document()["schema"].startswith("at 0123456789ab; how that stands to ")


def test_safe_revisions_stop_nobody() -> None:
    """A migration of safe revisions alone says that there is no downtime."""
    made = forecast("3.4.0", seen("2.9.2"))
    safe = replace(made, pending=tuple(each for each in made.pending if not each.breaking))
    assert safe.pending
    assert safe.document()["downtime"] == "none: every pending revision is safe beside the running server"


def test_a_revision_that_was_never_recorded_is_breaking() -> None:
    """Safe is what was seen to be safe."""
    (found,) = describe(("0123456789ab",))
    assert found.breaking


@pytest.mark.parametrize("key", ["locator", "mlflowVersion"])
def test_unknown_inputs_of_a_preview_are_left_for_later(key: str) -> None:
    """The first preview of a stack knows no ports: the check neither fails nor guesses."""
    inputs = {
        "locator": LocalLocator(stack="x", folder="/nowhere").document(),
        "mlflowVersion": "3.4.0",
        key: Unknown(),
    }
    assert resource.check(inputs, served="2.9.2") == resource.Checked(inputs=inputs)


def test_a_preview_of_another_version_counts_where_artifacts_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is bound to a bucket that the settings do not name is said before the update, and not without a change."""
    backend = SimpleNamespace(
        heads=lambda: Heads(tracking=HEADS["3.17.2"]),
        migration=SimpleNamespace(load=lambda: None),
        platform=SimpleNamespace(artifacts="s3://new/root/artifacts"),
        roots=lambda: {"runs": {"s3://old": 3}},
    )
    monkeypatch.setattr(resource, "open_releases", lambda _: backend)
    inputs = {"locator": LOCATOR, "mlflowVersion": "3.17.2"}
    shown = resource.check(inputs, served="3.10.1").inputs["plan"]["upgrade"]
    assert any("s3://old: 3, outside" in line for line in shown)
    assert "upgrade" not in resource.check(inputs, served="3.17.2").inputs["plan"]


WISH = {
    "locator": LocalLocator(stack="x", folder="/nowhere").document(),
    "mlflowVersion": "3.4.0",
    "database": "d",
    "onFailure": "stop",
}


@pytest.mark.parametrize(
    ("news", "runs"),
    [
        ({}, False),
        ({"plan": {"action": "none"}}, False),
        ({"plan": {"action": "find out"}}, False),
        ({"plan": {"action": "migrate"}}, True),
        ({"plan": {"action": "create"}}, True),
        ({"plan": {"action": "none", "interrupted": "yes"}}, True),
        ({"mlflowVersion": "3.17.2"}, True),
        ({"database": "other"}, True),
        ({"database": Unknown()}, True),
    ],
)
def test_it_runs_for_another_image_or_database_or_where_something_is_pending(
    news: dict[str, object], *, runs: bool
) -> None:
    """An update without changes does not run it; an interrupted one, and a database set back, do."""
    assert resource.changed(WISH, {**WISH, **news}) is runs
