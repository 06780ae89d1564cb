"""What the planner refuses and what it puts into a plan: a person decides by it, at night.

The cases were chosen by mutation testing (docs/mutation.md): each change of a branch or a limit in
components/mlflow_backend/releases/plan.py makes one of them red. Its wording is on the page of messages.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlflow_backend.contract import Refused
from mlflow_backend.releases.ledger import Contents
from mlflow_backend.releases.plan import Note, Request, Step, Unfit, default_goal, plan
from mlflow_backend.releases.records import Block, Dump, DumpedDatabase, LedgerState
from mlflow_backend.releases.status import RollbackContext, list_releases
from mlflow_backend.releases.text import plan_document, plan_lines
from tests.components.messages import raised
from tests.components.releases.contexts import (
    HEAD,
    MIGRATED,
    SAME_SCHEMA,
    START,
    contents,
    context,
    dump,
    revision,
    verified,
)

NOTHING = context([], contents(), current=None)
OLD = "3.4.0"
NEWER = f"The database is at {HEAD['3.17.2']}, newer than {HEAD[OLD]}, which MLflow {OLD} needs"


def block(number: int) -> Block:
    """A block of a revision, after an automatic rollback."""
    return Block(revision=str(number), settings_hash=f"s{number}", instead="1", since=START, reason="")


def of_one_schema(count: int, *checked: int, state: LedgerState | None = None) -> RollbackContext:
    """Revisions 1 to `count` of one version, the last one serving, those in `checked` verified."""
    revisions = [revision(n, OLD, "serving" if n == count else "stopped") for n in range(1, count + 1)]
    return context(revisions, contents(*(verified(n, OLD) for n in checked), state=state), current=count)


MIXED = context(
    [
        *(revision(1, OLD), revision(2, OLD, "gone"), revision(3, OLD), revision(4, "2.9.2")),
        revision(5, OLD, "serving"),
    ],
    contents(*(verified(n, OLD) for n in (2, 3)), verified(4, "2.9.2"), state=LedgerState(blocks=(block(3),))),
    current=5,
)

REFUSALS = {
    "both ways of naming": (MIGRATED, Request(to="1", to_version=OLD), "target-ambiguous", ("--to", "--to-version")),
    "an unknown revision": (MIGRATED, Request(to="9"), "revision-unknown", ("Revision 9 ", ": 2, 1.")),
    "an unknown revision of none": (NOTHING, Request(to="9"), "revision-unknown", ("Revision 9 ", ": none.")),
    "an unknown revision of many": (
        *(of_one_schema(12), Request(to="99"), "revision-unknown"),
        ("Revision 99 ", ": 12, 11, 10, 9, 8, 7, 6, 5, 4, 3."),
    ),
    "a deployment in progress": (
        *(replace(MIGRATED, busy="revision 3 starts"), Request(to="1", restore=True), "deployment-in-progress"),
        ("revision 3 starts", "--force"),
    ),
    "a revision that is gone": (
        *(replace(MIGRATED, revisions=MIGRATED.revisions[:1]), Request(to="1", restore=True), "release-gone"),
        ("Revision 1 (MLflow 3.4.0) ", "--to"),
    ),
    "a blocked one": (
        *(replace(MIGRATED, restorable=frozenset()), Request(to="1", restore=True), "release-blocked"),
        ("Revision 1 (MLflow 3.4.0) ", "BLOCKED", NEWER, "MLflow 3.17.2"),
    ),
    "a restore that was not asked for": (
        *(MIGRATED, Request(to="1"), "restore-needed"),
        ("Revision 1 (MLflow 3.4.0) ", "RESTORE", NEWER, "d1", "--restore"),
    ),
    "what serves already": (MIGRATED, Request(to="2"), "serves-already", ("Revision 2 (MLflow 3.17.2) ",)),
    "an unknown version": (
        *(MIGRATED, Request(to_version="2.9.2"), "version-unknown"),
        ("MLflow 2.9.2", ": 3.17.2, 3.4.0."),
    ),
    "an unknown version of none": (
        *(NOTHING, Request(to_version="2.9.2"), "version-unknown"),
        ("MLflow 2.9.2", ": none."),
    ),
    "a version that no release of fits": (
        *(replace(SAME_SCHEMA, contents=Contents()), Request(to_version=OLD), "version-without-fit-release"),
        ("MLflow 3.4.0", "--to", ": 3, 2, 1."),
    ),
    "a version whose verified releases are gone, blocked and rolled back from": (
        context(
            [revision(1, OLD, "gone"), revision(2, OLD), revision(3, OLD)],
            contents(
                *(verified(n, OLD) for n in (1, 2, 3)), state=LedgerState(blocks=(block(2),), rolled_back_from=("3",))
            ),
            current=None,
        ),
        *(Request(to_version=OLD), "version-without-fit-release"),
        ("MLflow 3.4.0", "--to", ": 3, 2, 1."),
    ),
    "no default without a restore": (
        *(MIGRATED, Request(), "no-release-to-roll-back-to"),
        (f"2 (MLflow 3.17.2): {Unfit.SERVES}", f"1 (MLflow 3.4.0): RESTORE. {NEWER}", "d1", "--restore"),
    ),
    "no default at all": (
        *(MIXED, Request(), "no-release-to-roll-back-to"),
        (
            f"5 (MLflow 3.4.0): {Unfit.SERVES}",
            f"4 (MLflow 2.9.2): BLOCKED. The database is at {HEAD[OLD]}, newer than {HEAD['2.9.2']}",
            f"3 (MLflow 3.4.0): {Unfit.FAILED}",
            f"2 (MLflow 3.4.0): {Unfit.GONE}",
            f"1 (MLflow 3.4.0): {Unfit.UNVERIFIED}",
            "--to",
        ),
    ),
    "no default of many: the newest five are listed": (
        *(of_one_schema(7), Request(), "no-release-to-roll-back-to"),
        (
            f"7 (MLflow 3.4.0): {Unfit.SERVES}",
            *(f"{n} (MLflow 3.4.0): {Unfit.UNVERIFIED}" for n in (6, 5, 4, 3)),
            "--to",
        ),
    ),
    "no default left after a rollback": (
        *(of_one_schema(2, 1, state=LedgerState(rolled_back_from=("1",))), Request(), "no-release-to-roll-back-to"),
        (f"2 (MLflow 3.4.0): {Unfit.SERVES}", f"1 (MLflow 3.4.0): {Unfit.FAILED}", "--to"),
    ),
    "no default, and what is current does not serve": (
        *(context([revision(1, OLD)], contents(), current=1), Request(), "no-release-to-roll-back-to"),
        (f"1 (MLflow 3.4.0): {Unfit.CURRENT}", "--to"),
    ),
    "no default of none": (NOTHING, Request(), "no-release-to-roll-back-to", ("ledger", "--to")),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_says_what_was_found_and_what_to_do(name: str) -> None:
    """By its code; the revisions, versions, heads and options that a person decides by are in it."""
    found, request, code, facts = REFUSALS[name]
    with raised(code, *facts):
        plan(found, request)


def test_a_list_of_unfit_releases_ends_with_the_fifth() -> None:
    """An eighth of a page of old revisions helps nobody at night."""
    with pytest.raises(Refused) as refused:
        plan(of_one_schema(7), Request())
    assert "Revision 2 " not in refused.value.finding


def test_a_plan_of_one_schema() -> None:
    """From the serving revision to the one before, without downtime, and with nothing to note."""
    found = plan(SAME_SCHEMA, Request())
    assert (found.target, found.start and found.start.revision, found.goal.revision) == ("local", "3", "2")
    assert (found.dump, found.downtime_s, found.force, found.notes) == (None, 0.0, False, ())
    assert dict(found.losses) == {}


def test_a_plan_without_verification() -> None:
    """--no-verify leaves out that step and no other."""
    assert plan(SAME_SCHEMA, Request(verify=False)).steps == (Step.ACTIVATE, Step.WAIT, Step.RECORD)


def test_a_plan_that_is_not_recorded() -> None:
    """Where the ledger is not ours to write, that step is left out and no other."""
    assert plan(SAME_SCHEMA, Request(record=False)).steps == (Step.ACTIVATE, Step.WAIT, Step.VERIFY)


def test_a_dump_that_is_not_needed_is_not_in_the_plan() -> None:
    """A dump of the very schema that is live would be restored for nothing, and what was written since be lost."""
    found = context(
        SAME_SCHEMA.revisions,
        contents(*(verified(n, OLD) for n in (1, 2, 3)), dump("d1", OLD)),
        current=3,
    )
    assert plan(found, Request(restore=True)).dump is None


def test_a_plan_of_a_restore() -> None:
    """It stops first, and its downtime is one start and the least that a restore takes."""
    found = plan(MIGRATED, Request(restore=True))
    assert (found.goal.revision, found.dump) == ("1", dump("d1", OLD))
    assert found.steps == (Step.STOP, Step.RESTORE, Step.ACTIVATE, Step.WAIT, Step.VERIFY, Step.RECORD)
    assert found.downtime_s == 14.0
    assert found.notes == ()


def test_a_large_dump_takes_longer() -> None:
    """50 MB at 2 MB a second, and a start; tenths of a second are kept."""

    def of_size(size: int) -> Dump:
        database = DumpedDatabase(object="tracking.dump", sha256="0" * 64, size_bytes=size, head=HEAD[OLD])
        return replace(dump("d1", OLD), databases={"tracking": database})

    for size, downtime in ((50_000_000, 38.0), (2_500_000, 14.2), (2_700_000, 14.3)):
        ledger = contents(verified(1, OLD), of_size(size), verified(2, "3.17.2"))
        found = context(MIGRATED.revisions, ledger, current=2, live="3.17.2")
        assert plan(found, Request(restore=True)).downtime_s == downtime


def test_the_downtime_follows_what_the_ledger_measured() -> None:
    """The start of the very target; else the newest known one; else the figure of two idle cores."""

    def announced(of_goal: float | None, of_newer: float | None) -> float:
        ledger = contents(
            replace(verified(1, OLD), start_s=of_goal),
            dump("d1", OLD),
            replace(verified(2, "3.17.2"), start_s=of_newer),
        )
        return plan(context(MIGRATED.revisions, ledger, current=2, live="3.17.2"), Request(restore=True)).downtime_s

    assert announced(25.75, 9.0) == 26.8
    assert announced(0.0, 9.0) == 1.0
    assert announced(None, 9.0) == 10.0
    assert announced(None, None) == 14.0


def test_a_start_that_was_measured_of_a_gone_release_counts_too() -> None:
    """It is the newest known one where the target's own is not known."""
    ledger = contents(verified(1, OLD), dump("d1", OLD), replace(verified(2, "3.17.2"), start_s=20.0))
    found = context([revision(1, OLD)], ledger, current=None, live="3.17.2")
    assert plan(found, Request(to="1", restore=True)).downtime_s == 21.0


def test_where_nothing_serves_the_start_is_downtime() -> None:
    """There is no old server that serves until the new one is ready."""
    found = plan(replace(SAME_SCHEMA, current=None), Request())
    assert found.start is None
    assert found.downtime_s == 13.0


def test_force_is_in_the_plan_only_where_something_is_stopped() -> None:
    """A plan that says it stops a deployment that is not there frightens for nothing."""
    assert plan(replace(SAME_SCHEMA, busy="revision 4 starts"), Request(force=True)).force is True
    assert plan(SAME_SCHEMA, Request(force=True)).force is False


def test_the_notes() -> None:
    """What a person overrides, and what they asked for in vain, is said in the plan."""
    assert plan(SAME_SCHEMA, Request(restore=True)).notes == (Note.NOTHING_RESTORED,)
    never = replace(SAME_SCHEMA, contents=contents(verified(1, OLD)))
    assert plan(never, Request(to="2")).notes == (Note.UNVERIFIED,)
    before = (Note.FAILED,)
    for state in (LedgerState(blocks=(block(2),)), LedgerState(rolled_back_from=("2",))):
        assert plan(of_one_schema(3, 1, 2, 3, state=state), Request(to="2")).notes == before


def test_a_version_is_its_newest_release_that_fits() -> None:
    """Newer ones that are gone, unverified, blocked or left are passed over."""
    revisions = [revision(n, OLD, "gone" if n == 6 else "stopped") for n in range(1, 7)]
    state = LedgerState(blocks=(block(4),), rolled_back_from=("3",))
    ledger = contents(*(verified(n, OLD) for n in (1, 2, 3, 4, 6)), state=state)
    assert plan(context(revisions, ledger, current=None), Request(to_version=OLD)).goal.revision == "2"


def test_a_restore_is_the_default_only_where_it_is_asked_for() -> None:
    """Without a word of it, a release that needs a restore is no default."""
    releases = list_releases(MIGRATED)
    assert default_goal(releases) is None
    restored = default_goal(releases, restore=True)
    assert restored is not None
    assert restored.revision == "1"


def test_safe_comes_before_restore() -> None:
    """With --restore too, an older release that loses nothing is taken before a newer one that does."""
    found = context(
        [revision(1, "3.17.2"), revision(2, OLD), revision(3, "3.17.2", "serving")],
        contents(verified(1, "3.17.2"), verified(2, OLD), dump("d1", OLD), verified(3, "3.17.2")),
        current=3,
        live="3.17.2",
    )
    assert plan(found, Request(restore=True)).goal.revision == "1"


@pytest.mark.parametrize("before", ["none", "basic", "token", None])
@pytest.mark.parametrize("after", ["none", "basic", "token", None])
def test_a_change_of_access_is_said(before: str | None, after: str | None) -> None:
    """A rollback that opens or closes the backend is never a surprise; what is not known is not guessed."""
    found = of_one_schema(2, 1)
    modes = {"1": after, "2": before}
    revisions = [replace(each, release=replace(each.release, access=modes[each.id])) for each in found.revisions]
    made = plan(replace(found, revisions=revisions), Request())
    differs = None not in {before, after} and before != after
    assert bool(made.access_change) is differs
    assert any(line.startswith("access ") for line in plan_lines(made)) is differs
    assert plan_document(made)["accessChange"] == made.access_change
    if differs:
        assert f"{before} to {after}" in made.access_change
        assert ("whoever reaches" in made.access_change) is (after == "none")
