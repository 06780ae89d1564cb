"""The planner of rollbacks: what it chooses, what it refuses, and that its plans lead where they say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_backend.contract import Refused, RevisionState
from mlflow_backend.releases.ledger import Contents
from mlflow_backend.releases.plan import Plan, Request, Step, default_goal, plan
from mlflow_backend.releases.records import (
    Block,
    Dump,
    Kind,
    LedgerState,
    Pin,
    Record,
    VerifiedRelease,
    after_rollback,
)
from mlflow_backend.releases.status import RollbackContext, list_releases
from mlflow_backend.schema import Heads, Verdict
from tests.components.releases.contexts import (
    HEAD,
    MIGRATED,
    SAME_SCHEMA,
    START,
    VERSIONS,
    contents,
    context,
    dump,
    revision,
    verified,
)


def test_the_default_is_the_newest_verified_safe_release() -> None:
    """Without a options the release before the current one is taken, with no downtime and nothing lost."""
    found = plan(SAME_SCHEMA, Request())
    assert (found.goal.revision, found.downtime_s, found.dump) == ("2", 0.0, None)
    assert found.steps == (Step.ACTIVATE, Step.WAIT, Step.VERIFY, Step.RECORD)


def test_two_rollbacks_walk_back_and_do_not_ping_pong() -> None:
    """The revision that the first rollback left is not the second one's target."""
    after = carried_out(SAME_SCHEMA, plan(SAME_SCHEMA, Request()))
    assert plan(after, Request()).goal.revision == "1"


def test_a_schema_change_is_refused_without_restore() -> None:
    """The refusal says that the database is newer, which dump fits, and the option that restores it."""
    with pytest.raises(Refused, match=r"newer than 71994744cf8e.*dump d1.*--restore"):
        plan(MIGRATED, Request(to="1"))
    with pytest.raises(Refused, match=r"RESTORE.*--restore"):
        plan(MIGRATED, Request())


def _keyed(*found: bool | None) -> RollbackContext:
    """Return three verified revisions of one schema, the last one serving, that have the stack's keys or not."""
    given = zip(SAME_SCHEMA.revisions, reversed(found), strict=True)
    revisions = [replace(each, release=replace(each.release, keyed=keyed)) for each, keyed in given]
    return replace(SAME_SCHEMA, revisions=tuple(revisions))


def test_a_revision_from_before_the_stacks_keys_is_refused() -> None:
    """It would read no gateway secret and fail each listing of webhooks, and its verification might not see it."""
    old = _keyed(False, True, True)
    assert plan(old, Request()).goal.revision == "2"
    with pytest.raises(Refused, match="BLOCKED") as refused:
        plan(old, Request(to="1"))
    assert "server.mlflowVersion" in refused.value.fix
    with pytest.raises(Refused):
        plan(_keyed(False, False, True), Request())


def test_keys_that_serve_count_before_they_were_verified() -> None:
    """The update that gave them re-encrypted everything, and then failed its verification; itself it is not blocked."""
    old = replace(_keyed(False, False, True), contents=contents(*(verified(n, "3.4.0") for n in (1, 2))))
    assert [each.decision.verdict for each in list_releases(old)] == [Verdict.SAFE, Verdict.BLOCKED, Verdict.BLOCKED]
    back = replace(_keyed(False, True, False), contents=contents(*(verified(n, "3.4.0") for n in (1, 2, 3))))
    assert [each.decision.verdict for each in list_releases(back)] == [Verdict.SAFE, Verdict.SAFE, Verdict.BLOCKED]


def test_a_dump_without_users_fits_a_release_that_has_them() -> None:
    """Access was given to a stack that had none: its users' database is left as it is by the restore."""
    auth = Heads(tracking=HEAD["3.4.0"], auth="0123456789ab")
    found = contents(replace(verified(1, "3.4.0"), heads=auth), dump("d1", "3.4.0"), verified(2, "3.17.2"))
    (one,) = [each for each in list_releases(replace(MIGRATED, contents=found)) if each.revision == "1"]
    assert one.restore_from == dump("d1", "3.4.0")


@pytest.mark.parametrize("keyed", [(False, False, False), (None, None, None), (None, True, True)])
def test_without_keys_or_knowledge_of_them_every_revision_is_decided_by_its_schema(
    keyed: tuple[bool | None, ...],
) -> None:
    """Nothing was encrypted with keys that no revision has; on `local` each one is given them when it is started."""
    assert plan(_keyed(*keyed), Request(to="1")).goal.revision == "1"


def test_a_restore_stops_the_server_first() -> None:
    """With --restore the dump of the target's schema is put in while nothing serves, and the downtime is said."""
    found = plan(MIGRATED, Request(restore=True))
    assert found.dump == dump("d1", "3.4.0")
    assert found.steps[:2] == (Step.STOP, Step.RESTORE)
    assert found.downtime_s > 1


@pytest.mark.parametrize(
    ("changed", "request_", "match"),
    [
        (MIGRATED, Request(to="9"), "does not exist"),
        (MIGRATED, Request(to="2"), "serves already"),
        (MIGRATED, Request(to_version="2.9.2"), "No release of MLflow 2.9.2 is known"),
        (MIGRATED, Request(to="1", to_version="3.4.0"), "not both"),
        (replace(MIGRATED, restorable=frozenset()), Request(to="1", restore=True), "BLOCKED.*no restorable dump"),
        (replace(MIGRATED, live=None), Request(to="1", restore=True), "could not be read"),
        (replace(MIGRATED, live=Heads(tracking="0123456789ab")), Request(to="1", restore=True), "is not known"),
        (replace(MIGRATED, busy="revision 3 starts"), Request(to="1", restore=True), "in progress.*--force"),
        (replace(MIGRATED, revisions=MIGRATED.revisions[:1]), Request(to="1", restore=True), "is gone"),
        (
            replace(SAME_SCHEMA, revisions=[replace(r, state="gone") for r in SAME_SCHEMA.revisions]),
            Request(to="2"),
            "is gone",
        ),
        (replace(SAME_SCHEMA, contents=Contents()), Request(), "never verified"),
    ],
)
def test_what_is_refused_and_why(changed: RollbackContext, request_: Request, match: str) -> None:
    """Every refusal is made before anything is touched and says what was found."""
    with pytest.raises(Refused, match=match):
        plan(changed, request_)


def test_force_stops_a_deployment_first() -> None:
    """The plan with --force says that it stops the deployment under way."""
    assert plan(replace(SAME_SCHEMA, busy="revision 4 starts"), Request(force=True)).force


def test_a_version_is_found_by_its_newest_verified_revision() -> None:
    """--to-version takes the newest revision of that version that was verified, whatever serves."""
    found = plan(MIGRATED, Request(to_version="3.4.0", restore=True))
    assert found.goal.revision == "1"
    with pytest.raises(Refused):
        plan(MIGRATED, Request(to_version="3.17.2"))


def test_a_revision_named_by_hand_need_not_be_verified_but_it_is_said() -> None:
    """A person may know better than the ledger; the plan says what the ledger does not know."""
    found = plan(replace(SAME_SCHEMA, contents=contents(verified(1, "3.4.0"))), Request(to="2"))
    assert "never verified" in found.notes[0]


@pytest.mark.parametrize("state", ["stopped", "failed"])
def test_the_current_release_can_be_named_where_it_does_not_serve(state: RevisionState) -> None:
    """A migration stopped it, or it ended: its way back over the schema is a plan, and no default leads to it."""
    stopped = [replace(r, state="stopped") for r in MIGRATED.revisions]
    found = plan(replace(MIGRATED, revisions=stopped, current="1"), Request(to="1", restore=True))
    assert (found.goal.revision, found.dump) == ("1", dump("d1", "3.4.0"))
    ended = [replace(r, state=state) for r in SAME_SCHEMA.revisions]
    assert plan(replace(SAME_SCHEMA, revisions=ended), Request()).goal.revision == "2"
    again = plan(replace(SAME_SCHEMA, revisions=ended), Request(to="3"))
    assert (again.goal.revision, again.downtime_s > 1) == ("3", True)


STATES = st.sampled_from(["stopped", "failed", "gone"])
CURRENT_STATES = st.sampled_from(["serving", "stopped", "failed", "gone"])


@st.composite
def rollback_contexts(draw: st.DrawFn) -> RollbackContext:
    """Return any context of up to eight revisions, with any of them verified, gone, blocked, left or pinned."""
    count = draw(st.integers(1, 8))
    numbers = range(1, count + 1)
    versions = {n: draw(st.sampled_from(VERSIONS)) for n in numbers}
    current = draw(st.none() | st.sampled_from(list(numbers)))
    revisions = [
        revision(n, versions[n], draw(CURRENT_STATES) if n == current else draw(STATES))
        for n in numbers
        if n == current or draw(st.booleans())
    ]
    some = st.lists(st.sampled_from(list(numbers)), unique=True, max_size=3)
    bodies: list[VerifiedRelease | Dump] = [verified(n, versions[n]) for n in numbers if draw(st.booleans())]
    bodies += [dump(f"d{v}", v) for v in VERSIONS if draw(st.booleans())]
    pinned = draw(st.none() | st.sampled_from(list(numbers)))
    state = LedgerState(
        pin=None if pinned is None else Pin(revision=str(pinned), since=START, reason="", by="ada"),
        blocks=tuple(
            Block(revision=str(n), settings_hash=f"s{n}", instead="1", since=START, reason="") for n in draw(some)
        ),
        rolled_back_from=tuple(str(n) for n in draw(some)),
    )
    found = context(revisions, contents(*bodies, state=state), current=current, live=draw(st.sampled_from(VERSIONS)))
    return replace(found, restorable=frozenset(i for i in found.restorable if draw(st.booleans())))


REQUESTS = st.builds(
    Request,
    to=st.none() | st.integers(1, 9).map(str),
    to_version=st.none() | st.sampled_from(VERSIONS),
    restore=st.booleans(),
    verify=st.booleans(),
)


@given(rollback_contexts(), st.booleans())
def test_the_default_is_never_unfit(found: RollbackContext, restore: bool) -> None:  # noqa: FBT001 - drawn
    """Never an unverified, missing, blocked, left or current release, and one to restore only when asked."""
    releases = list_releases(found)
    goal = default_goal(releases, restore=restore)
    if goal is None:
        return
    state = found.contents.state
    assert goal.verified
    assert goal.state != "gone"
    assert goal.revision in {r.id for r in found.revisions}
    assert goal.revision != found.current
    assert goal.revision not in {block.revision for block in state.blocks}
    assert goal.revision not in state.rolled_back_from
    assert goal.decision.verdict is Verdict.SAFE or (restore and goal.decision.verdict is Verdict.RESTORE)
    better = [v for v in releases[: releases.index(goal)] if v.decision.verdict is Verdict.SAFE]
    assert all(not v.verified or v.current or v.state == "gone" or v.blocked or v.rolled_back_from for v in better)


@given(rollback_contexts(), REQUESTS)
def test_no_plan_leads_to_what_is_gone_or_blocked_by_its_schema(found: RollbackContext, request_: Request) -> None:
    """Whatever is asked for: a plan is possible, restores exactly when the schema demands it, and is never empty."""
    try:
        made = plan(found, request_)
    except Refused:
        return
    assert made.goal.state != "gone"
    assert not made.goal.serves
    assert (made.goal.decision.verdict is Verdict.RESTORE) == (made.dump is not None)
    assert made.dump is None or (request_.restore and made.dump.id in found.restorable)
    assert (Step.RESTORE in made.steps) == (made.dump is not None)
    assert made.steps[-1] is Step.RECORD


@settings(max_examples=300)
@given(rollback_contexts(), REQUESTS)
def test_the_plan_of_a_plans_result_is_empty(found: RollbackContext, request_: Request) -> None:
    """A rollback that was carried out leaves nothing to do for the same target."""
    try:
        made = plan(found, request_)
    except Refused:
        return
    with pytest.raises(Refused):
        plan(carried_out(found, made), Request(to=made.goal.revision, restore=True))


def carried_out(found: RollbackContext, made: Plan) -> RollbackContext:
    """Return the context that a plan leads to, by the ledger's own rule for its state."""
    last = found.contents.records[-1] if found.contents.records else None
    number = last.number + 1 if last else 1
    pin = Pin(revision=made.goal.revision, since=START, reason="", by="ada")
    state = after_rollback(found.contents.state, pin, rolled_back_from=found.current)
    record = Record(number=number, kind=Kind.ROLLBACK, at=START, by="ada", body={}, state=state)
    states: dict[str, RevisionState] = {str(found.current): "stopped", made.goal.revision: "serving"}
    return replace(
        found,
        current=made.goal.revision,
        live=made.goal.heads if made.dump else found.live,
        revisions=tuple(replace(r, state=states.get(r.id, r.state)) for r in found.revisions),
        contents=Contents(records=(*found.contents.records, record)),
    )
