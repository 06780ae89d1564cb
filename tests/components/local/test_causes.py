"""What a server's last words are said to mean."""

from __future__ import annotations

import pytest

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local.causes import explain_start, is_hopeless

# The words as real servers wrote them.
LOGS = [
    (
        'FATAL:  password authentication failed for user "mlflow"',
        "the database refused the server's password",
        True,
    ),
    (
        "alembic.util.exc.CommandError: Can't locate revision identified by 'dc11669786a5'",
        "schema dc11669786a5, which is newer",
        True,
    ),
    (
        "Detected out-of-date database schema (found version aaa111, but expected bbb222). Take a backup",
        "the database is at schema aaa111 and this MLflow version needs bbb222",
        True,
    ),
    ("[Errno 98] error while attempting to bind: address already in use", "another process holds the port", True),
    ("Error: No such option: --allowed-hosts", "does not know the flag --allowed-hosts", True),
    ("ModuleNotFoundError: No module named 'psycopg'", "cannot import what it needs: No module named 'psycopg'", True),
    ('connection to server at "127.0.0.1", port 5 failed: Connection refused', "could not reach the database", False),
]


@pytest.mark.parametrize(("log", "cause", "hopeless"), LOGS)
def test_a_start_that_failed_is_explained(log: str, cause: str, *, hopeless: bool) -> None:
    """Each cause is named with the version, and the log line stays to be seen; only some are worth waiting for."""
    told = explain_start(
        PlatformFailed(f"cannot start\n  | {log}", code="of-a-test", fix="Read the log", part="server-00002"), "3.17.2"
    )
    assert cause.replace("the port", "the server's port") in str(told)
    assert "MLflow 3.17.2 (server-00002)" in str(told)
    assert log in str(told)
    assert told.fix != "Read the log"
    assert is_hopeless(log) is hopeless


def test_what_is_not_known_is_passed_on() -> None:
    """No guess: the log's own words and where to read on."""
    told = explain_start(
        PlatformFailed("ended\n  | strange", code="of-a-test", fix="Read the log", part="server-00002"), "3.17.2"
    )
    assert "strange" in str(told)
    assert told.fix == "Read the log"
