"""What a person reads before agreeing to a rollback, and what a program reads instead: nothing is left out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mlflow_backend import vulnerabilities
from mlflow_backend.releases import text
from mlflow_backend.releases.plan import Request, plan
from mlflow_backend.releases.records import Block, LedgerState, Pin
from mlflow_backend.releases.status import list_releases
from tests.components.releases.contexts import MIGRATED, SAME_SCHEMA, START, contents, context, revision, verified


def test_a_plan_of_one_schema_in_lines() -> None:
    """From where, to where, why it may be done, what is lost, how long nobody is served, and the steps."""
    lines = text.plan_lines(plan(SAME_SCHEMA, Request()))
    assert lines == [
        "from       Revision 3 (MLflow 3.4.0)",
        "to         Revision 2 (MLflow 3.4.0)",
        "schema     SAFE: The database is at 71994744cf8e, which MLflow 3.4.0 needs.",
        "lost       nothing: the database stays as it is",
        "downtime   none: the old server serves until the other one is ready",
        "steps      activate, wait, verify, record",
        f"known      {vulnerabilities.note('3.4.0')}",
    ]


def test_a_plan_of_a_restore_in_lines() -> None:
    """The losses are counted, and a count of none is said too."""
    made = plan(MIGRATED, Request(restore=True))
    lost = {"runs": 12, "model versions": 1}
    since = "lost       what was written since 2026-11-01 00:00 UTC, by verifications too"
    assert f"{since}: 12 runs, 1 model version" in text.plan_lines(replace(made, losses=lost))
    assert f"{since}: nothing" in text.plan_lines(made)
    assert "downtime   about 14 s" in text.plan_lines(made)


def test_one_of_a_kind_is_reported_as_one() -> None:
    """Whatever the database tool counts, a sentence about one of it reads as one."""
    one = {"runs": 1, "changed registered models": 1, "deleted experiments that come back": 1, "traces": 2}
    assert text.counted(one) == "1 run, 1 changed registered model, 1 deleted experiment that comes back, 2 traces"


def test_what_is_forced_and_noted_is_shown() -> None:
    """What a person overrides stands in the plan that they agree to."""
    made = plan(replace(SAME_SCHEMA, busy="revision 4 starts"), Request(force=True, restore=True))
    assert text.plan_lines(made)[-2:] == [
        "first      the deployment in progress is stopped",
        "note       The schema is the same: nothing will be restored.",
    ]


def test_where_nothing_serves() -> None:
    """The plan does not name a server that is not there, and says of one that it does not serve."""
    nothing = plan(replace(SAME_SCHEMA, current=None), Request())
    assert text.plan_lines(nothing)[0] == "from       nothing that serves"
    assert text.plan_document(nothing)["from"] is None


def test_a_plan_as_data() -> None:
    """A program gets what a person gets."""
    document = text.plan_document(plan(MIGRATED, Request(restore=True)))
    assert document["from"] == "2"
    assert (document["to"], document["toVersion"], document["dump"]) == ("1", "3.4.0", "d1")
    assert document["schema"]["verdict"] == "RESTORE"
    assert document["steps"] == ["stop", "restore", "activate", "wait", "verify", "record"]


STATE = LedgerState(
    pin=Pin(revision="1", since=START, reason="", by="ada"),
    blocks=(Block(revision="2", settings_hash="s2", instead="1", since=START, reason="red"),),
    rolled_back_from=("3",),
)


def test_the_table_of_releases() -> None:
    """One line a revision, newest first, with its age and what holds of it; what is not known is a question mark."""
    made = context(
        [revision(n, "3.4.0", "serving" if n == 4 else "stopped") for n in (1, 2, 3, 4)],
        contents(*(verified(n, "3.4.0") for n in (1, 2, 3)), state=STATE),
        current=4,
    )
    header, *rows = text.table(list_releases(made), now=START + timedelta(hours=4, seconds=30))
    assert header.split() == ["revision", "state", "MLflow", "schema", "verified", "age", "rollback"]
    assert [row.split()[0] for row in rows] == ["4", "3", "2", "1"]
    assert "30 s" in rows[0]
    assert "1 h" in rows[1]
    assert rows[1].endswith("left by a rollback")
    assert rows[2].endswith("blocked")
    assert rows[3].endswith("pinned")


def test_what_is_blocked_has_its_reason_below_the_table() -> None:
    """Once for all that it holds: of a database that is away it is the same for each; what serves has none."""
    away = replace(SAME_SCHEMA, live=None)
    releases = list_releases(away)
    (line,) = text.blocked_lines(releases)
    held = [each.revision for each in releases if not each.serves]
    assert line.startswith(f"BLOCKED {', '.join(held)}: {releases[-1].decision.reason}")
    assert text.blocked_lines(list_releases(SAME_SCHEMA)) == []


AGES = [(59, "59 s"), (60, "1 min"), (3_600, "1 h"), (86_400, "1 d"), (0, "0 s"), (-1, "in 1 s"), (-90_000, "in 1 d")]


@pytest.mark.parametrize(("seconds", "age"), AGES)
def test_an_age_is_in_the_largest_unit_that_it_fills(seconds: int, age: str) -> None:
    """A day is not shown as 86400 s."""
    (release, *_) = list_releases(context([revision(1, "3.4.0")], contents(), current=None))
    (_, row) = text.table([release], now=START + timedelta(hours=1, seconds=seconds))
    assert age in row


def test_a_revision_as_data() -> None:
    """Times are ISO 8601, and what is not known is null."""
    releases = list_releases(context([revision(1, "3.4.0")], contents(verified(1, "3.4.0")), current=None))
    document = text.release_document(releases[0])
    assert document["created"] == (START + timedelta(hours=1)).isoformat()
    assert document["verified"] == (START + timedelta(hours=1)).isoformat()
    assert document["schemaHead"] == "71994744cf8e"
    unknown = text.release_document(list_releases(context([revision(1, "9.9")], contents(), current=None))[0])
    assert unknown["schemaHead"] is unknown["verified"] is None


def test_what_the_stack_is_held_to() -> None:
    """Who pinned it, since when and why; what is blocked, and what serves instead."""
    assert text.ledger_lines(contents(verified(1, "3.4.0"), state=STATE)) == [
        "pinned to 1 since 2026-11-01 00:00 UTC by ada: no reason given",
        "blocked: 2 since 2026-11-01 00:00 UTC (red); 1 serves instead",
    ]
    assert text.ledger_lines(contents(verified(1, "3.4.0"))) == []
