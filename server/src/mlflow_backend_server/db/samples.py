"""Checksums over rows of the tracking database, by which a restored one is known to hold what was dumped.

Of small tables they are over all rows, of large ones over those of the newest runs: all metrics would take minutes. The
users' database has none, because its rows hold hashes of passwords.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg2 import sql

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg2.extensions import connection as Connection

_ALL = "true"
# The order of equal times must not depend on a collation, which another machine may have in another version.
# An array is looked up by index; IN (SELECT ...) reads all metrics.
_NEWEST_RUNS = """
    run_uuid = ANY(ARRAY(
        SELECT run_uuid FROM runs ORDER BY start_time DESC NULLS LAST, run_uuid COLLATE "C" LIMIT 20))
"""
#: Table -> which of its rows are read.
SAMPLED: Mapping[str, str] = {
    "experiments": _ALL,
    "registered_models": _ALL,
    "model_versions": _ALL,
    "runs": _NEWEST_RUNS,
    "params": _NEWEST_RUNS,
    "tags": _NEWEST_RUNS,
    "metrics": _NEWEST_RUNS,
    "latest_metrics": _NEWEST_RUNS,
}


def sample_rows(connection: Connection, tables: frozenset[str]) -> dict[str, str]:
    """Return, for each of the tables that is sampled, how many rows were read and the sum of their checksums.

    A sum does not depend on the order in which rows are found.
    """
    samples = {}
    with connection.cursor() as cursor:
        for table in sorted(tables & SAMPLED.keys()):
            cursor.execute(
                sql.SQL(
                    "SELECT count(*), coalesce(sum(('x' || left(md5(each::text), 15))::bit(60)::bigint), 0)"
                    " FROM {} AS each WHERE {}"
                ).format(sql.Identifier(table), sql.SQL(SAMPLED[table]))
            )
            row = cursor.fetchone()
            assert row is not None  # noqa: S101 - an aggregate has one
            samples[table] = f"{row[0]} rows, {row[1]}"
    return samples
