"""What is said of a release and a schema, word for word, and the orders that it rests on.

The cases were chosen by mutation testing (docs/mutation.md): each change of a branch, a limit or a sentence in
components/mlflow_backend/schema.py makes one of them red.
"""

from __future__ import annotations

import pytest

from mlflow_backend.schema import Decision, Direction, Heads, SchemaTable, Verdict, decide, direction, version_order

VERSIONS = ("3.9.0", "3.10.0", "3.10.1", "3.11.0", "3.12.0")
MAKE_TABLE = "Add the version to schema_heads.json with the script that makes it, and repeat."


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


@pytest.mark.parametrize(
    ("version", "wanted", "live", "dump", "decision"),
    [
        (
            *("2.0", on("old"), None, None),
            Decision(
                verdict=Verdict.BLOCKED,
                reason="The database's schema could not be read.",
                fix="Start the database (make up) and repeat.",
            ),
        ),
        (
            *("9.9", None, on("old"), None),
            Decision(verdict=Verdict.BLOCKED, reason="It is not known which schema MLflow 9.9 needs.", fix=MAKE_TABLE),
        ),
        (
            *("2.0", on("old"), on("old"), None),
            Decision(verdict=Verdict.SAFE, reason="The database is at old, which MLflow 2.0 needs."),
        ),
        (
            # An auth head is named only where the database has one.
            *("2.0", on("old", "x"), on("old"), None),
            Decision(verdict=Verdict.SAFE, reason="The database is at old, which MLflow 2.0 needs."),
        ),
        (
            *("2.0", on("old", "x"), on("old", "x"), None),
            Decision(verdict=Verdict.SAFE, reason="The database is at old (auth x), which MLflow 2.0 needs."),
        ),
        (
            *("2.0", on("old"), on("new"), "d7"),
            Decision(
                verdict=Verdict.RESTORE,
                reason="The database is at new, newer than old, which MLflow 2.0 needs; the dump d7 has that schema.",
                fix="Add --restore; what was written since is lost, and --dry-run counts it.",
            ),
        ),
        (
            *("2.0", on("old"), on("new"), None),
            Decision(
                verdict=Verdict.BLOCKED,
                reason="The database is at new, newer than old, which MLflow 2.0 needs, and no intact dump has that "
                "schema.",
                fix="Choose a release of MLflow 3.9.0 to 3.12.0.",
            ),
        ),
        (
            # The auth database alone is newer.
            *("2.0", on("old", "x"), on("old", "y"), None),
            Decision(
                verdict=Verdict.BLOCKED,
                reason="The database is at old (auth y), newer than old (auth x), which MLflow 2.0 needs, and no "
                "intact dump has that schema.",
                fix="Choose a release of MLflow 2.0.",
            ),
        ),
        (
            *("4.0", on("newer"), on("mid"), None),
            Decision(
                verdict=Verdict.BLOCKED,
                reason="The database is at mid, older than newer, which MLflow 4.0 needs; MLflow would migrate it "
                "while it starts.",
                fix="Deploy that version with `pulumi up`, which dumps and migrates first.",
            ),
        ),
        (
            *("4.0", on("newer"), on(None), None),
            Decision(
                verdict=Verdict.BLOCKED,
                reason="The database has no schema yet, not newer, which MLflow 4.0 needs.",
                fix="Deploy with `pulumi up`, which makes it.",
            ),
        ),
        (
            *("4.0", on("newer"), on("?"), None),
            Decision(
                verdict=Verdict.BLOCKED,
                reason="The database is at ?; how that stands to newer, which MLflow 4.0 needs, is not known.",
                fix=MAKE_TABLE,
            ),
        ),
        (
            *("4.0", on(None, "x"), on("new", "x"), None),
            Decision(
                verdict=Verdict.BLOCKED,
                reason="The database is at new (auth x); how that stands to empty (auth x), which MLflow 4.0 needs, is "
                "not known.",
                fix=MAKE_TABLE,
            ),
        ),
    ],
)
def test_a_decision_says_all_of_it(
    version: str, wanted: Heads | None, live: Heads | None, dump: str | None, decision: Decision
) -> None:
    """Verdict, reason and fix, as the person reads them."""
    assert decide(version=version, wanted=wanted, live=live, table=table(), dump=dump) == decision


@pytest.mark.parametrize(
    ("versions", "fix"),
    [
        ((), "Choose a release of a newer MLflow."),
        (("3.9.0",), "Choose a release of MLflow 3.9.0."),
        (("3.10.0", "3.9.0"), "Choose a release of MLflow 3.9.0 or 3.10.0."),
        (VERSIONS[:4], "Choose a release of MLflow 3.9.0 or 3.10.0 or 3.10.1 or 3.11.0."),
        (VERSIONS, "Choose a release of MLflow 3.9.0 to 3.12.0."),
    ],
)
def test_what_runs_on_the_database_is_named(versions: tuple[str, ...], fix: str) -> None:
    """Up to four by name, oldest first; of more the span; and of none that it has to be a newer one."""
    found = decide(version="2.0", wanted=on("old"), live=on("new"), table=of_few(*versions))
    assert found.fix == fix


def test_versions_are_in_their_own_order() -> None:
    """3.9 is before 3.10, and a part that is no number before every number."""
    assert version_order("3.10.1") == (3, 10, 1)
    assert version_order("3.10.rc1") == (3, 10, -1)
    assert table().versions_on("new") == VERSIONS


@pytest.mark.parametrize(
    ("live", "wanted", "found"),
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
def test_the_two_databases_together(live: Heads, wanted: Heads, found: Direction) -> None:
    """The one that decides what can be done is told; one newer and one older is mended by nothing."""
    assert direction(live=live, wanted=wanted, table=table()) is found


def test_a_chain_that_is_not_known() -> None:
    """Then it is not known how two different heads stand, and equal ones are equal."""
    assert SchemaTable().direction("a", "b") is Direction.UNKNOWN
    assert SchemaTable().direction("a", "a") is Direction.EQUAL


def test_heads_in_a_sentence() -> None:
    """A database without a schema is named so, and the auth head only where there is one."""
    assert [str(on(None)), str(on("a")), str(on("a", "x")), str(on(None, "x"))] == [
        "empty",
        "a",
        "a (auth x)",
        "empty (auth x)",
    ]
