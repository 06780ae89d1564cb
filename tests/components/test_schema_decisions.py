"""Which case a release and a schema are, and the orders that it rests on.

The cases were chosen by mutation testing (docs/mutation.md): each change of a branch or a limit in
components/mlflow_backend/schema.py makes one of them red. Its wording is on the page of messages.
"""

from __future__ import annotations

import pytest

from mlflow_backend.schema import Direction, Heads, SchemaTable, Verdict, decide, direction, version_order
from tests.components.messages import assert_says

VERSIONS = ("3.9.0", "3.10.0", "3.10.1", "3.11.0", "3.12.0")


def table() -> SchemaTable:
    """Five versions on `new`, one on `newer`, one on `old`; a chain for the auth database too."""
    heads = {version: Heads(tracking="new") for version in VERSIONS}
    return SchemaTable(
        heads={**heads, "4.0": Heads(tracking="newer"), "2.0": Heads(tracking="old"), "3.0": Heads(tracking="mid")},
        revisions={"tracking": ("old", "mid", "new", "newer"), "auth": ("x", "y")},
    )


def of_few(*versions: str) -> SchemaTable:
    """These versions on `new`."""
    return SchemaTable(
        heads={version: Heads(tracking="new") for version in versions}, revisions={"tracking": ("old", "new")}
    )


def on(tracking: str | None, auth: str | None = None) -> Heads:
    """Heads of both databases."""
    return Heads(tracking=tracking, auth=auth)


NEEDS_AUTH = "old (auth x), which MLflow 2.0 needs"
DECISIONS: dict[str, tuple[tuple[str, Heads | None, Heads | None, str | None], Verdict, tuple[str, ...]]] = {
    "schema-not-read": (("2.0", on("old"), None, None), Verdict.BLOCKED, ("make up",)),
    "version-not-in-table": (("9.9", None, on("old"), None), Verdict.BLOCKED, ("MLflow 9.9", "schema_heads.json")),
    "schema-fits": (("2.0", on("old"), on("old"), None), Verdict.SAFE, ("old, which MLflow 2.0 needs",)),
    "schema-fits (an auth head is named only if the database has one)": (
        *(("2.0", on("old", "x"), on("old"), None), Verdict.SAFE),
        ("old, which MLflow 2.0 needs",),
    ),
    "schema-fits (both databases)": (("2.0", on("old", "x"), on("old", "x"), None), Verdict.SAFE, (NEEDS_AUTH,)),
    "schema-restorable": (
        *(("2.0", on("old"), on("new"), "d7"), Verdict.RESTORE),
        ("at new,", "old, which MLflow 2.0 needs", "d7", "--restore", "--dry-run"),
    ),
    "schema-newer": (
        *(("2.0", on("old"), on("new"), None), Verdict.BLOCKED),
        ("at new,", "old, which MLflow 2.0 needs", "MLflow 3.9.0 to 3.12.0"),
    ),
    "schema-newer (the auth database alone)": (
        *(("2.0", on("old", "x"), on("old", "y"), None), Verdict.BLOCKED),
        ("at old (auth y),", NEEDS_AUTH, "MLflow 2.0."),
    ),
    "schema-older": (
        *(("4.0", on("newer"), on("mid"), None), Verdict.BLOCKED),
        ("at mid,", "newer, which MLflow 4.0 needs", "pulumi up"),
    ),
    "schema-empty": (
        *(("4.0", on("newer"), on(None), None), Verdict.BLOCKED),
        ("newer, which MLflow 4.0 needs", "pulumi up"),
    ),
    "schema-order-unknown": (
        *(("4.0", on("newer"), on("?"), None), Verdict.BLOCKED),
        ("at ?,", "newer, which MLflow 4.0 needs", "schema_heads.json"),
    ),
    "schema-order-unknown (a release without a schema)": (
        *(("4.0", on(None, "x"), on("new", "x"), None), Verdict.BLOCKED),
        ("at new (auth x),", "empty (auth x), which MLflow 4.0 needs", "schema_heads.json"),
    ),
}


@pytest.mark.parametrize("case", DECISIONS)
def test_a_decision_names_the_case_and_what_it_rests_on(case: str) -> None:
    """Verdict and code; the heads, the version, and the command or option that helps are in its text."""
    (version, required, live, dump), verdict, facts = DECISIONS[case]
    found = decide(version=version, required=required, live=live, table=table(), dump=dump)
    assert (found.verdict, found.code) == (verdict, case.partition(" ")[0])
    assert_says(f"{found.reason} {found.fix}", *facts)
    assert bool(found.fix) is (verdict is not Verdict.SAFE)


@pytest.mark.parametrize("live", [on("mid"), on(None)])
def test_a_pin_is_lifted_before_an_update_helps(live: Heads) -> None:
    """Only then: an update of a pinned stack deploys nothing else, and no update helps against an unknown order."""
    free = decide(version="4.0", required=on("newer"), live=live, table=table())
    pinned = decide(version="4.0", required=on("newer"), live=live, table=table(), pinned=True)
    assert "--unpin" not in free.fix
    assert "--unpin" in pinned.fix.removesuffix(free.fix)
    assert pinned.fix.endswith(free.fix)
    unknown = decide(version="4.0", required=on("newer"), live=on("?"), table=table(), pinned=True)
    assert "--unpin" not in unknown.fix


@pytest.mark.parametrize(
    ("versions", "named"),
    [
        ((), "a newer MLflow."),
        (("3.9.0",), "MLflow 3.9.0."),
        (("3.10.0", "3.9.0"), "MLflow 3.9.0 or 3.10.0."),
        (VERSIONS[:4], "MLflow 3.9.0 or 3.10.0 or 3.10.1 or 3.11.0."),
        (VERSIONS, "MLflow 3.9.0 to 3.12.0."),
    ],
)
def test_what_runs_on_the_database_is_named(versions: tuple[str, ...], named: str) -> None:
    """Up to four by name, oldest first; of more the span; and of none that it has to be a newer one."""
    found = decide(version="2.0", required=on("old"), live=on("new"), table=of_few(*versions))
    assert found.fix.endswith(named)


def test_versions_are_in_their_own_order() -> None:
    """3.9 is before 3.10, and a part that is no number before every number."""
    assert version_order("3.10.1") == (3, 10, 1)
    assert version_order("3.10.rc1") == (3, 10, -1)
    assert table().versions_on("new") == VERSIONS


@pytest.mark.parametrize(
    ("live", "required", "found"),
    [
        (on(None, "x"), on("old", "x"), Direction.EMPTY),
        (on(None, "y"), on("old", "x"), Direction.EMPTY),
        (on("old", "?"), on("old", "x"), Direction.UNKNOWN),
        (on("mid", "?"), on("old", "x"), Direction.UNKNOWN),
        (on("mid", "x"), on("old", "x"), Direction.AHEAD),
        (on("old", "y"), on("old", "x"), Direction.AHEAD),
        (on("old", "x"), on("old", "y"), Direction.BEHIND),
        (on("mid", "x"), on("old", "y"), Direction.UNKNOWN),
        (on("old", "x"), on("old", "x"), Direction.EQUAL),
        (on("old", "x"), on("old"), Direction.EQUAL),
        (on("old"), on("old", "x"), Direction.EQUAL),
    ],
)
def test_the_two_databases_together(live: Heads, required: Heads, found: Direction) -> None:
    """The one that decides what can be done is reported; one newer and one older is fixed by nothing."""
    assert direction(live=live, required=required, table=table()) is found


def test_a_chain_that_is_not_known() -> None:
    """Then it is not known how two different heads stand, and equal ones are equal."""
    assert SchemaTable().direction("a", "b") is Direction.UNKNOWN
    assert SchemaTable().direction("a", "a") is Direction.EQUAL


def test_heads_in_a_sentence() -> None:
    """A database without a schema is named so, and the auth head only if there is one."""
    assert [str(on(None)), str(on("a")), str(on("a", "x")), str(on(None, "x"))] == [
        "empty",
        "a",
        "a (auth x)",
        "empty (auth x)",
    ]
