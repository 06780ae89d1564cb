"""What a restore loses, counted from COPY text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from mlflow_backend_server.db.rows import TABLES, Content, compare, read_dump

if TYPE_CHECKING:
    from collections.abc import Iterable

DUMP = rb"""--
-- Data for Name: runs; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.runs (run_uuid, name, status) FROM stdin;
a	first	RUNNING
b	back\\slash \t tab	FINISHED
\.


COPY public.latest_metrics (key, value, run_uuid) FROM stdin;
loss	1	b
loss	2	a
accuracy	1	a
\.


COPY public.inputs (source_id, destination_id) FROM stdin;
k	a
\.


COPY public.model_versions (name, version, "storage location") FROM stdin;
m	1	\N
\.
"""
TRACKING = TABLES["tracking"]
COLUMNS = {
    "runs": ("run_uuid", "name", "status"),
    "latest_metrics": ("key", "value", "run_uuid"),
    "model_versions": ("name", "version", "storage location"),
}
RUNS = (b"a\tfirst\tRUNNING", b"b\tback\\\\slash \\t tab\tFINISHED")
METRICS = (b"accuracy\t1\ta", b"loss\t2\ta", b"loss\t1\tb")


def dumped() -> Content:
    """Return what is read of the dump as pg_restore writes it."""
    return read_dump(DUMP.splitlines(keepends=True), TRACKING, COLUMNS)


def live(runs: Iterable[bytes], metrics: Iterable[bytes], versions: Iterable[bytes] = (b"m\t1\t\\N",)) -> Content:
    """Return what the live tables hold."""
    found = Content()
    for name, rows in (("runs", runs), ("latest_metrics", metrics), ("model_versions", versions)):
        add = found.adding(name, TRACKING[name], COLUMNS[name])
        for row in rows:
            add(row)
    return found


def test_the_same_content_in_another_order_is_no_loss() -> None:
    """A backslash or a tab in a name is not taken for another value, nor for another field; other tables are left."""
    assert dumped().columns == COLUMNS
    assert compare(dumped(), live(reversed(RUNS), METRICS)) == {}


def test_added_changed_and_deleted_rows_are_distinguished() -> None:
    """A run that went on since the dump is as lost as a new one, and a deleted one comes back."""
    now = live((b"a\tfirst\tFINISHED", b"c\t\tRUNNING", b"d\t\tRUNNING"), METRICS[:2], (b"m\t1\ts3", b"m\t2\t\\N"))
    assert compare(dumped(), now) == {
        "runs": 2,
        "changed runs": 1,
        "deleted runs that come back": 1,
        "model versions": 1,
        "changed model versions": 1,
    }


def test_what_was_logged_to_an_older_run_is_reported() -> None:
    """A metric is a row of another table: without it a restore that loses hours of a training would lose 'nothing'."""
    assert compare(dumped(), live(RUNS, (*METRICS, b"recall\t1\ta"))) == {"changed runs": 1}
    assert compare(dumped(), live(RUNS, (b"accuracy\t1\ta", b"loss\t9\ta", b"loss\t9\tb"))) == {"changed runs": 2}
    assert compare(dumped(), live(RUNS, METRICS[1:])) == {"changed runs": 1}


def test_columns_that_a_migration_added_or_dropped_are_not_compared() -> None:
    """Every row would look changed."""
    migrated = {"runs": ("workspace", "status", "run_uuid")}
    before = read_dump(DUMP.splitlines(keepends=True), TRACKING, migrated)
    assert before.columns == {"runs": ("run_uuid", "status")}
    now = Content()
    add = now.adding("runs", TRACKING["runs"], before.columns["runs"])
    add(b"a\tRUNNING")
    add(b"b\tFINISHED")
    assert compare(before, now) == {}


def test_a_table_that_the_dump_lacks_is_lost_whole() -> None:
    """What a migration made and clients filled is not in an older dump."""
    assert compare(Content(), live((), ())) == {"model versions": 1}


KEYS = st.sets(st.text("abc", min_size=1, max_size=3), max_size=6)


@given(KEYS, KEYS)
def test_the_counts_are_exact(before: set[str], now: set[str]) -> None:
    """Any two sets of rows: what is new is counted as lost, what is missing as coming back, nothing twice."""

    def rows(keys: set[str]) -> Content:
        return live([f"{key}\t{key}\tRUNNING".encode() for key in keys], ())

    counted = compare(rows(before), rows(now))
    assert counted.get("runs", 0) == len(now - before)
    assert counted.get("deleted runs that come back", 0) == len(before - now)
    assert "changed runs" not in counted
