"""The cause why a server did not start, by its last words. Pure."""

from __future__ import annotations

import re

from mlflow_backend.contract import PlatformFailed

# Each line: what the log says (measured on real servers, docs/facts.md), the cause, the fix. First match wins.
_START = (
    (
        r"password authentication failed for user",
        "the database refused the server's password",
        "Run `make up`, which refreshes and sets the database's password from the credential file",
    ),
    (
        r"Can't locate revision identified by '(\w+)'",
        "the database is at schema {0}, which is newer than this MLflow version knows",
        "Choose the MLflow version that migrated the database, or a newer one",
    ),
    (
        r"Detected out-of-date database schema \(found version (\w+), but expected (\w+)\)",
        "the database is at schema {0} and this MLflow version needs {1}",
        "Choose the MLflow version that the database was migrated for",
    ),
    (
        r"[Aa]ddress already in use",
        "another process holds the server's port",
        "End that process and repeat",
    ),
    (
        r"No such option:? '?(--[\w-]+)",
        "this MLflow version does not know the flag {0}",
        "Remove it from mlflow-backend:server.extraFlags",
    ),
    (
        r"(ModuleNotFoundError|ImportError): ([^\n]+)",
        "its environment cannot import what it needs: {1}",
        "Make its lock again: `python -m scripts.lock_server`, with the MLflow version behind it",
    ),
    (
        r"Connection refused|could not connect to server|server closed the connection",
        "it could not reach the database",
        "See the `database` program's log with `make logs`",
    ),
)


# What stands last waits for a database that may come back: MLflow itself tries again for 107 s.
_CURABLE = 1


def is_hopeless(log: str) -> bool:
    """Return whether a starting server's log names a cause that no waiting cures."""
    return any(re.search(pattern, log) for pattern, _, _ in _START[:-_CURABLE])


def explain_start(failure: PlatformFailed, version: str) -> PlatformFailed:
    """Return the failure with the likely cause and its fix in front of the log lines, if they show one."""
    part = f"MLflow {version} ({failure.part})"
    for pattern, cause, fix in _START:
        found = re.search(pattern, failure.finding)
        if found:
            return PlatformFailed(
                f"{cause.format(*found.groups())}; it {failure.finding}", code="part-failed-known", fix=fix, part=part
            )
    return PlatformFailed(failure.finding, code="part-failed", fix=failure.fix, part=part)
