"""Causes in the database, as MLflow passes its errors on."""

from __future__ import annotations

from typing import Final

from components.verify.model import Part
from components.verify.rules.matching import Rule, error_code, every, says

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        code="schema-mismatch",
        when=says(
            r"undefinedtable|undefinedcolumn|no such (table|column)|relation .{1,80} does not exist"
            r"|out-of-date database schema"
        ),
        cause=(
            "The database's schema is not the one that this MLflow version needs: another head, or an empty database."
        ),
        next_step="Compare alembic_version with what the version needs; migrate, or restore the right dump.",
    ),
    Rule(
        code="database-password",
        when=says(r"password authentication failed|role .{1,80} does not exist|access denied for user"),
        cause="The database refuses the server's user or password.",
        next_step="Check the secret that the server reads; a rotated password needs a new revision.",
    ),
    Rule(
        code="database-rights",
        when=says(r"insufficientprivilege|permission denied for|must be owner of"),
        cause="The server's database role lacks rights on its tables.",
        next_step="Grant the role its tables and sequences, or connect as their owner.",
    ),
    Rule(
        code="database-full",
        when=says(r"no space left|diskfull|database or disk is full|could not extend file"),
        cause="The database has no space left to write.",
        next_step="Give its volume more space; then see what grew.",
    ),
    Rule(
        code="database-read-only",
        when=says(r"read-only transaction|readonly database|readonlysqltransaction"),
        cause="The database takes no writes: a standby, or set to read only.",
        next_step="Point the server at the primary, or end the read-only mode.",
    ),
    Rule(
        code="database-connections",
        when=says(r"too many (clients|connections)|remaining connection slots|queuepool limit"),
        cause="The database has no connection left for the server.",
        next_step="Compare replicas x workers x pool with max_connections; lower the one or raise the other.",
    ),
    Rule(
        code="database-away",
        when=every(error_code("TEMPORARILY_UNAVAILABLE"), lambda _x, s: s.part is not Part.ARTIFACTS),
        cause="The server cannot reach its database.",
        next_step=(
            "See that the database runs and takes connections from the server; MLflow reconnects by itself with the "
            "next request."
        ),
    ),
    Rule(
        code="database-error",
        when=says(r"psycopg2|sqlalchemy|sqlite3\.|operationalerror|programmingerror"),
        cause="The database answered the server with an error.",
        next_step="Read the message above, then the database's log.",
    ),
)
