"""Causes in the database, as MLflow passes its errors on."""

from __future__ import annotations

from typing import Final

from mlflow_backend.verify.model import Certainty, Part
from mlflow_backend.verify.rules.matching import LOGS, Rule, error_code, every, part, says, unless

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        code="schema-mismatch",
        when=says(
            r"undefinedtable|undefinedcolumn|no such (table|column)|relation .{1,80} does not exist"
            r"|out-of-date database schema"
        ),
        certainty=Certainty.KNOWN,
        cause=(
            "The database's schema is not the one that this MLflow version needs: another head, or an empty database."
        ),
        next_step="Compare alembic_version with what the version needs; migrate, or restore the right dump.",
    ),
    Rule(
        code="database-password",
        when=says(r"password authentication failed|role .{1,80} does not exist|access denied for user"),
        certainty=Certainty.KNOWN,
        cause="The database refuses the server's user or password.",
        next_step="Check the secret that the server reads; a rotated password needs a new revision.",
    ),
    Rule(
        code="database-rights",
        when=says(r"insufficientprivilege|permission denied for|must be owner of"),
        certainty=Certainty.KNOWN,
        cause="The server's database role lacks rights on its tables.",
        next_step="Grant the role its tables and sequences, or connect as their owner.",
    ),
    Rule(
        code="database-full",
        when=every(
            says(r"no space left|diskfull|database or disk is full|could not extend file"), unless(part(Part.ARTIFACTS))
        ),
        certainty=Certainty.KNOWN,
        cause="The database has no space left to write.",
        next_step="Give its volume more space; then see what grew.",
    ),
    Rule(
        code="database-read-only",
        when=says(r"read-only transaction|readonly database|readonlysqltransaction"),
        certainty=Certainty.KNOWN,
        cause="The database takes no writes: a standby, or set to read only.",
        next_step="Point the server at the primary, or end the read-only mode.",
    ),
    Rule(
        code="database-connections",
        when=says(r"too many (clients|connections)|remaining connection slots|queuepool limit"),
        certainty=Certainty.KNOWN,
        cause="The database has no connection left for the server.",
        next_step="Compare replicas x workers x pool with max_connections; lower the one or raise the other.",
    ),
    Rule(
        code="database-timeout",
        when=says(
            r"querycanceled|(statement|lock|transaction|user request)[ -]?time-?out|canceling statement"
            r"|locknotavailable|deadlock ?detected|lock wait timeout|maximum statement execution time"
        ),
        certainty=Certainty.KNOWN,
        cause=(
            "The database cancelled the server's statement: statement_timeout or lock_timeout is too short for it, or "
            "somebody holds a lock."
        ),
        next_step=(
            "See the timeouts of the server's role and database (\\drds, SHOW statement_timeout) and who holds locks "
            "(pg_stat_activity)."
        ),
    ),
    Rule(
        code="database-encoding",
        when=every(
            unless(part(Part.ARTIFACTS)),
            says(
                r"codec can't (en|de)code|untranslatablecharacter|characternotinrepertoire|invalid byte sequence"
                r"|has no equivalent in encoding|incorrect string value|unicode(en|de)codeerror"
            ),
        ),
        certainty=Certainty.KNOWN,
        cause=(
            "The server and its database do not talk in UTF-8: text beyond that encoding can be neither written nor "
            "read."
        ),
        next_step=(
            "Take client_encoding out of the role, the database and the server's environment (PGCLIENTENCODING); the "
            "database itself must be of UTF8 (MySQL: utf8mb4)."
        ),
    ),
    Rule(
        code="database-discards",
        when=says(r"did not produce a new primary key|(flush|staledata)error|expected to (update|delete) \d+ row"),
        certainty=Certainty.KNOWN,
        cause="The database took a statement and kept other rows than it was given: a trigger or a rule discards them.",
        next_step="See which triggers, rules and row policies the table has (\\d TABLE), and who made them.",
    ),
    Rule(
        code="request-repeated",
        when=error_code("RESOURCE_ALREADY_EXISTS"),
        cause=(
            "The name was never used before, and the server has it already: something in front sends a POST twice (a "
            "retry after a slow answer, a mirror)."
        ),
        next_step="Let the front repeat GET and HEAD only (nginx: proxy_next_upstream without non_idempotent).",
    ),
    Rule(
        code="database-away",
        when=every(
            error_code("TEMPORARILY_UNAVAILABLE"),
            says(
                r"could not (connect|translate)|connection (refused|reset|timed out|already closed|to server)"
                r"|server closed the connection|terminating connection|ssl connection has been closed"
                r"|is (starting up|shutting down)|the database system|timeout expired|no route to host"
                r"|could not receive data|can't connect to mysql|lost connection"
            ),
        ),
        certainty=Certainty.KNOWN,
        cause="The server cannot reach its database.",
        next_step=(
            "See that the database runs and takes connections from the server; MLflow reconnects by itself with the "
            "next request."
        ),
    ),
    Rule(
        code="database-error",
        when=says(r"psycopg2|sqlalchemy|sqlite3\.|operationalerror|programmingerror"),
        certainty=Certainty.KNOWN,
        cause="The database answered the server with an error.",
        next_step="Read the message above, then the database's log.",
    ),
    Rule(
        code="unavailable",
        when=every(error_code("TEMPORARILY_UNAVAILABLE"), unless(part(Part.ARTIFACTS))),
        cause="The server cannot reach its database: that is when MLflow says that it is temporarily unavailable.",
        next_step="See that the database runs and takes connections from the server. " + LOGS,
    ),
)
