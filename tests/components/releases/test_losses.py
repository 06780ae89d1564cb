"""What a restore loses, counted from COPY text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from components.releases.losses import Rows, common, losses, read_dump

DUMP = """--
-- Data for Name: runs; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.runs (run_uuid, name, status) FROM stdin;
a\tfirst\tRUNNING
b\tback\\\\slash \\t tab\tFINISHED
\\.


COPY public.model_versions (name, version, "storage location") FROM stdin;
m\t1\t\\N
\\.
"""


def test_a_dump_is_read_table_by_table() -> None:
    """Fields stay as COPY escapes them, for the live side is read in the same spelling."""
    found = read_dump(DUMP.split("\n"))
    assert found["runs"].columns == ("run_uuid", "name", "status")
    assert found["runs"].rows[1] == ("b", "back\\\\slash \\t tab", "FINISHED")
    assert found["model_versions"].columns == ("name", "version", "storage location")


def test_added_changed_and_deleted_rows_are_told_apart() -> None:
    """A run that went on since the dump is as lost as a new one, and a deleted one comes back."""
    live = Rows(columns=("run_uuid", "status"), rows=(("a", "FINISHED"), ("c", "RUNNING"), ("d", "RUNNING")))
    counted = losses(read_dump(DUMP.split("\n")), {"runs": live})
    assert counted == {"runs": 2, "changed runs": 1, "deleted runs that come back": 1}


def test_columns_that_a_migration_added_are_not_compared() -> None:
    """Every row would look changed."""
    assert common(("run_uuid", "name", "status"), ("status", "workspace", "run_uuid")) == ("run_uuid", "status")


KEYS = st.sets(st.text("abc", min_size=1, max_size=3), max_size=6)


@given(KEYS, KEYS)
def test_the_counts_are_exact(before: set[str], now: set[str]) -> None:
    """Any two sets of rows: what is new is counted as lost, what is missing as coming back, nothing twice."""

    def rows(keys: set[str]) -> Rows:
        return Rows(columns=("run_uuid", "name"), rows=tuple((key, key) for key in sorted(keys)))

    counted = losses({"runs": rows(before)}, {"runs": rows(now)})
    assert counted.get("runs", 0) == len(now - before)
    assert counted.get("deleted runs that come back", 0) == len(before - now)
    assert "changed runs" not in counted


def test_a_table_that_the_dump_lacks_is_lost_whole() -> None:
    """What a migration made and clients filled is not in an older dump."""
    assert losses({}, {"runs": Rows(columns=("run_uuid",), rows=(("a",),))}) == {"runs": 1}
