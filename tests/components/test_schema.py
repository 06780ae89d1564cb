"""The schema of each MLflow version and what it means for a release: a table of cases, and properties."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.schema import Direction, Heads, SchemaTable, Verdict, decide, direction, parse_table, version_order
from tests.components.messages import raised

# Five releases and their real heads (docs/facts.md, C), with one revision of no release between two of them.
HEADS = {
    "2.9.2": "acf3f17fdcc7",
    "3.1.4": "bda7b8c39065",
    "3.4.0": "71994744cf8e",
    "3.17.2": "dc11669786a5",
    "3.18.0": "f4a9b2c7d1e6",
}
BETWEEN = "cbc13b556ace"
AUTH = ("8606fa83a998", "f1a2b3c4d5e6")
TRACKING = (
    HEADS["2.9.2"],
    HEADS["3.1.4"],
    BETWEEN,
    HEADS["3.4.0"],
    HEADS["3.17.2"],
    HEADS["3.18.0"],
)
DOCUMENT = {
    "versions": {
        version: {"tracking": head, "auth": AUTH[0 if version_order(version) < (3, 6) else 1]}
        for version, head in HEADS.items()
    },
    "revisions": {"tracking": list(TRACKING), "auth": list(AUTH)},
}
TABLE = parse_table(DOCUMENT)


def verdict_of(version: str, live: Heads | None, dump: str | None = None) -> Verdict:
    """Return the verdict on a version at its required heads."""
    return decide(version=version, required=TABLE.required(version), live=live, table=TABLE, dump=dump).verdict


@pytest.mark.parametrize(
    ("version", "live", "dump", "expected"),
    [
        ("3.4.0", HEADS["3.4.0"], None, Verdict.SAFE),
        ("3.4.0", HEADS["3.17.2"], None, Verdict.BLOCKED),
        ("3.4.0", HEADS["3.17.2"], "d1", Verdict.RESTORE),
        ("2.9.2", HEADS["3.18.0"], "d1", Verdict.RESTORE),
        ("3.17.2", HEADS["3.4.0"], None, Verdict.BLOCKED),
        ("3.17.2", HEADS["3.4.0"], "d1", Verdict.BLOCKED),
        ("3.4.0", BETWEEN, None, Verdict.BLOCKED),
        ("3.1.4", BETWEEN, "d1", Verdict.RESTORE),
        ("3.4.0", "0123456789ab", "d1", Verdict.BLOCKED),
        ("3.4.0", None, "d1", Verdict.BLOCKED),
        ("1.0.0", HEADS["3.4.0"], "d1", Verdict.BLOCKED),
    ],
)
def test_what_a_release_may_do_follows_from_the_order_of_heads(
    version: str, live: str | None, dump: str | None, expected: Verdict
) -> None:
    """Equal is safe; newer needs a dump; older, unknown and empty are blocked, whatever dumps there are."""
    assert verdict_of(version, Heads(tracking=live), dump) is expected


def test_a_schema_that_could_not_be_read_blocks() -> None:
    """Nothing is decided about a database that nobody has seen."""
    assert verdict_of("3.4.0", None) is Verdict.BLOCKED


def test_a_newer_database_is_called_newer() -> None:
    """MLflow's own message says 'out-of-date' in both directions; ours names the direction and who can run on it."""
    found = decide(version="3.4.0", required=TABLE.required("3.4.0"), live=Heads(tracking=HEADS["3.17.2"]), table=TABLE)
    assert "newer than 71994744cf8e, which MLflow 3.4.0 needs" in found.reason
    assert found.fix == "Choose a release of MLflow 3.17.2."


@pytest.mark.parametrize(("live", "offered"), [(HEADS["3.4.0"], True), ("0123456789ab", False)])
def test_whoever_pinned_is_advised_to_lift_it_if_an_update_helps(live: str, *, offered: bool) -> None:
    """An update is withheld while a revision is pinned; where the table must grow first, lifting would not help."""
    required = TABLE.required("3.17.2")
    for pinned in (False, True):
        found = decide(version="3.17.2", required=required, live=Heads(tracking=live), table=TABLE, pinned=pinned)
        assert ("--unpin" in found.fix) == (pinned and offered)


def test_the_auth_database_blocks_too() -> None:
    """With basic auth the release must fit both databases: both are dumped and restored together."""
    newer = Heads(tracking=HEADS["3.4.0"], auth=AUTH[1])
    assert verdict_of("3.4.0", newer) is Verdict.BLOCKED
    assert verdict_of("3.4.0", newer, "d1") is Verdict.RESTORE


def test_databases_that_disagree_are_never_restored_over() -> None:
    """One newer and one older than the release: neither a dump of both nor a migration is the answer."""
    required = Heads(tracking=HEADS["3.17.2"], auth=AUTH[0])
    live = Heads(tracking=HEADS["3.4.0"], auth=AUTH[1])
    assert direction(live=live, required=required, table=TABLE) is Direction.UNKNOWN


def test_pending_revisions_are_those_between() -> None:
    """What a migration would apply is what lies after the database's head, up to the one that is needed."""
    assert TABLE.pending(HEADS["3.1.4"], HEADS["3.4.0"]) == (BETWEEN, HEADS["3.4.0"])
    assert TABLE.pending(None, HEADS["2.9.2"]) == (HEADS["2.9.2"],)
    assert TABLE.pending(HEADS["3.4.0"], HEADS["3.4.0"]) == ()
    assert TABLE.pending(HEADS["3.17.2"], HEADS["3.4.0"]) == ()
    assert TABLE.pending("0123456789ab", HEADS["3.4.0"]) == ()


@given(
    version=st.sampled_from(sorted(HEADS)),
    live=st.sampled_from([*TRACKING, "0123456789ab", None]),
    dump=st.sampled_from([None, "d1"]),
)
def test_only_the_very_head_is_safe(version: str, live: str | None, dump: str | None) -> None:
    """SAFE is said of the required head and of nothing else; RESTORE only of a newer database with a dump."""
    found = verdict_of(version, Heads(tracking=live), dump)
    assert (found is Verdict.SAFE) == (live == HEADS[version])
    if found is Verdict.RESTORE:
        assert live is not None
        assert dump is not None
        assert TABLE.direction(live, HEADS[version]) is Direction.AHEAD


@given(st.permutations(range(6)))
def test_exactly_one_direction_holds_between_two_heads(order: list[int]) -> None:
    """Ahead one way is behind the other way, in any chain."""
    ids = tuple(f"r{number}" for number in order)
    table = SchemaTable(revisions={"tracking": ids})
    for earlier, later in itertools.pairwise(ids):
        assert table.direction(later, earlier) is Direction.AHEAD
        assert table.direction(earlier, later) is Direction.BEHIND


def test_a_table_is_read_as_it_stands() -> None:
    """Heads by version and revisions by chain, an auth head only if there is one; keys and ids become text."""
    document = {
        "revisions": {"tracking": ["a", "b"], "auth": ["x"]},
        "versions": {"1.0": {"tracking": "a"}, "2.0": {"tracking": "b", "auth": "x"}},
    }
    table = parse_table(document)
    assert table.revisions == {"tracking": ("a", "b"), "auth": ("x",)}
    assert table.heads == {"1.0": Heads(tracking="a"), "2.0": Heads(tracking="b", auth="x")}
    assert parse_table({"revisions": {"tracking": [1]}, "versions": {3: {"tracking": "1"}}}).heads == {
        "3": Heads(tracking="1")
    }


@pytest.mark.parametrize(
    ("document", "code", "facts"),
    [
        ({}, "schema-table-malformed", ()),
        ({"revisions": {}, "versions": []}, "schema-table-malformed", ()),
        ({"revisions": 1, "versions": []}, "schema-table-malformed", ()),
        (
            {"revisions": {"tracking": ["a"]}, "versions": {"1.0": {"tracking": "b"}}},
            *("schema-table-head-unknown", ("1.0",)),
        ),
        ({"revisions": {}, "versions": {"1.0": {"tracking": "b"}}}, "schema-table-head-unknown", ("1.0",)),
    ],
)
def test_a_broken_table_is_refused(document: dict[str, object], code: str, facts: tuple[str, ...]) -> None:
    """A table that names a head which its chain does not hold would call a newer database unknown."""
    with raised(code, "schema_heads.json", *facts, kind=PlatformFailed):
        parse_table(document)


def test_revisions_between_two_heads() -> None:
    """The revisions that are applied: from behind the one found, or from the first, to the one required."""
    table = SchemaTable(revisions={"tracking": ("a", "b", "c", "d"), "auth": ("x", "y")})
    assert table.pending("a", "c") == ("b", "c")
    assert table.pending(None, "b") == ("a", "b")
    assert table.pending("c", "c") == table.pending("d", "b") == ()
    assert table.pending("?", "c") == table.pending("a", "?") == ()
    assert table.pending("x", "y", chain="auth") == ("y",)
    assert table.pending("a", "b", chain="none such") == ()
