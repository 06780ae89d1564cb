"""The words that terminal and comment share: what is not known, or not there, is said as such."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlflow_backend.report import phrases
from mlflow_backend.report.model import (
    Change,
    Drift,
    Migration,
    Operation,
    Outcome,
    PolicyFinding,
    PolicyResult,
    Release,
    Report,
    Verdict,
)

OLD = Release(mlflow_version="3.10.1", revision="7", schema_head="abc")
NEW = Release(mlflow_version=None, image_digest="sha256:0123456789abcdef")
REPORT = Report(stack="dev", created_at="2026-01-01T00:00:00Z", verdict=Verdict.CHANGES, counts={}, changes=())


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (None, None, []),
        (OLD, OLD, ["unchanged: MLflow 3.10.1, revision 7, schema abc"]),
        (None, OLD, ["first: MLflow 3.10.1, revision 7, schema abc"]),
        (OLD, None, ["from MLflow 3.10.1, revision 7, schema abc to what is not known before the update"]),
        (
            OLD,
            NEW,
            [
                "from MLflow 3.10.1, revision 7, schema abc",
                "to MLflow not known yet, image sha256:0123456789ab",
            ],
        ),
    ],
)
def test_the_release_before_and_after(before: Release | None, after: Release | None, lines: list[str]) -> None:
    """A release that is not known is never told as unchanged."""
    assert list(phrases.release(replace(REPORT, before=before, after=after))) == lines


def migration(**changes: object) -> list[str]:
    """Return what is said of a migration."""
    found = replace(Migration(action="migrate", schema="at abc"), **changes)  # type: ignore[arg-type]
    return list(phrases.migration(replace(REPORT, migration=found)))


def test_going_back_is_only_promised_where_it_is_known() -> None:
    """Without a word on the restore nothing is said of the rollback: silence is no promise."""
    assert list(phrases.migration(REPORT)) == []
    assert migration(restore_needed=None) == ["migrate: at abc"]
    assert migration(restore_needed=False) == ["migrate: at abc", "rollback: needs no restore"]
    assert migration(restore_needed=True, rollback="a restore")[-1] == "rollback: a restore"


def test_a_migration_that_nobody_can_foresee_is_reported_without_our_own_word_for_it() -> None:
    """`find out` is what the JSON says; people read what it means."""
    assert migration(action="find out", schema="later") == ["not known yet: later"]


def result(
    name: str, outcome: Outcome, *said: tuple[str, str], level: str = "mandatory", evaluated: int = 0
) -> PolicyResult:
    """What a policy came to, with what it said of where."""
    findings = tuple(PolicyFinding(where=where, outcome=outcome, message=words) for where, words in said)
    return PolicyResult(
        name=name, level=level, outcome=outcome, remediation="Fix it.", evaluated=evaluated, findings=findings
    )


def test_policies_are_read_by_what_was_found() -> None:
    """One line for what is wrong in many places, a remedy only if something is to be fixed, no row for a pass."""
    gap = "policy is not known before the update"
    policies = (
        result("tagged", Outcome.VIOLATED, ("a", "no tags"), ("b", "no tags"), ("c", "no stack"), level="advisory"),
        result("iam", Outcome.NOT_EVALUATED, ("role", gap), ("task", gap), evaluated=4),
        result("logs", Outcome.NOT_EVALUATED),
        result("keys", Outcome.NOT_EVALUATED),
        result("bucket", Outcome.PASSED, evaluated=1),
    )
    told = [row[1:] for row in phrases.policy_rows(replace(REPORT, policies=policies))]
    assert told == [
        ("violated (advisory)", "tagged", "a, b: no tags\nc: no stack", "Fix it."),
        (
            "not evaluated",
            "iam",
            f"role, task: {gap}\nof what is known or rendered from the settings, 4 passed",
            "",
        ),
        ("not evaluated", "logs, keys", "nothing was evaluated", ""),
    ]


def test_rows_are_reported_of_the_tables_that_hold_some() -> None:
    """How long a migration takes depends on them; a database that could not be asked is not told as empty."""
    assert migration(rows={"runs": 7, "spans": 0, "tags": 9})[1] == "rows in the tables that they touch: runs 7, tags 9"
    assert migration(rows={"spans": 0})[1] == "rows in the tables that they touch: none"
    assert migration() == ["migrate: at abc"]


def test_an_interrupted_migration_and_a_safe_one_are_said_so() -> None:
    """Whoever reads the preview knows that an earlier update did not end, and that no server stops for this one."""
    assert migration(interrupted="at step 2", pending=("abc safe: more",), breaking=False)[1:3] == [
        "interrupted: at step 2",
        "1 pending revision(s), safe",
    ]


def test_a_plan_without_resources_says_so() -> None:
    """An empty line would read as 'nothing changes'."""
    assert phrases.counts(REPORT) == "nothing in the plan"
    assert phrases.counts(replace(REPORT, counts={"create": 2, "unchanged": 9})) == "2 to create, 9 unchanged"


@pytest.mark.parametrize(
    ("forcing", "properties", "told"),
    [
        ((), (), ""),
        ((), ("tags",), "tags"),
        (("name",), ("name",), "forced by name"),
        (("name",), ("name", "tags"), "forced by name; tags"),
    ],
)
def test_what_forces_a_replacement_is_reported_once(
    forcing: tuple[str, ...], properties: tuple[str, ...], told: str
) -> None:
    """A loss stands before what merely differs."""
    change = Change(operation=Operation.REPLACE, urn="u", type="t", name="n", forcing=forcing, properties=properties)
    assert phrases.differing(change) == told


def test_a_loss_that_nothing_stops_is_not_softened() -> None:
    """Only a protected resource is said to be protected."""
    change = Change(operation=Operation.DELETE, urn="u", type="t", name="db", loses="the database")
    assert phrases.loss(change) == "db will be deleted and holds the database."
    assert phrases.loss(replace(change, protected=True)).endswith("the update will be refused until that is lifted.")


def test_drift_that_the_engine_does_not_detail_is_still_drift() -> None:
    """A resource without named properties differs all the same."""
    drift = Drift(name="topic", type="t", gone=False)
    assert phrases.drift(drift) == "topic differs in what the state says of it"
    assert phrases.drift(replace(drift, properties=("a", "b"))) == "topic differs in a, b"
    assert phrases.drift(replace(drift, gone=True)) == "topic is gone"


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("aws:rds/instance:Instance", "aws:rds:Instance"),
        ("pulumi-python:dynamic/mlflow-backend:Migration", "mlflow-backend:Migration"),
    ],
)
def test_a_type_is_said_as_people_say_it(token: str, message: str) -> None:
    """The engine's doubled names are its own business."""
    assert phrases.kind(token) == message
