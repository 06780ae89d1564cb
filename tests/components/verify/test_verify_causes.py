"""From what was observed to the cause: one row an observation, with the code that must come out."""

from __future__ import annotations

import gzip
import json
from typing import Any

import psycopg2
import pytest
from psycopg2 import errors

from mlflow_backend.verify.causes import describe, explain
from mlflow_backend.verify.model import Certainty, Exchange, Part, Result, Trouble
from mlflow_backend.verify.observed import EXCERPT, FailureContext
from mlflow_backend.verify.rules import RULES


def told(code: str, message: str = "") -> bytes:
    """An error's body in MLflow's shape."""
    return json.dumps({"error_code": code, "message": message}).encode()


def answered(status: int, body: bytes = b"", *, method: str = "POST", **headers: str) -> Exchange:
    """An exchange that was answered."""
    return Exchange(method=method, path="/api/2.0/mlflow/x", status=status, body=body, headers=headers, timeout_s=30)


def broke(trouble: Trouble, detail: str = "", *, method: str = "GET") -> Exchange:
    """An exchange without an answer."""
    return Exchange(method=method, path="/health", trouble=trouble, detail=detail, timeout_s=30)


def around(part: Part = Part.DATABASE, **more: Any) -> FailureContext:
    """What is known around an exchange; credentials were sent unless it is said otherwise."""
    return FailureContext(part=part, host="mlflow.example.com", **{"access": "basic", **more})


HTML = b"<!doctype html><html><title>Welcome</title></html>"
LISTED = answered(200, b'{"files": []}')
NO_SUCH = answered(500, told("INTERNAL_ERROR", "An error occurred (404) when calling the HeadObject operation"))
DOCUMENT = json.dumps(
    {"a": [-1.5, True, None, {"b": 'x\\"y\u00fc', "c": -3e300}], "e": "", "f": float("-inf")}
).encode()
AWAY = (
    'connection to server at "127.0.0.1", port 5432 failed: Connection refused',
    "server closed the connection unexpectedly",
    "terminating connection due to administrator command",
    'could not translate host name "db" to address: Name or service not known',
    "FATAL:  the database system is starting up",
    "SSL connection has been closed unexpectedly",
    "timeout expired",
)
CANCELLED = (
    "(psycopg2.errors.QueryCanceled) canceling statement due to statement timeout",
    "(psycopg2.errors.QueryCanceled) canceling statement due to lock timeout",
    "(psycopg2.errors.QueryCanceled) canceling statement due to user request",
    "(psycopg2.errors.LockNotAvailable) canceling statement due to lock timeout",
    "(psycopg2.errors.DeadlockDetected) deadlock detected",
    "(pymysql.err.OperationalError) (1205, 'Lock wait timeout exceeded; try restarting transaction')",
)
DISCARDED = (
    "Single-row INSERT statement for Mapper[SqlInput(inputs)] did not produce a new primary key result being invoked.",
    "UPDATE statement on table 'runs' expected to update 1 row(s); 0 were matched.",
    "DELETE statement on table 'tags' expected to delete 1 row(s); 0 were matched.",
    "(sqlalchemy.orm.exc.StaleDataError) something",
)
ENCODED = (
    "'latin-1' codec can't encode characters in position 36-37: ordinal not in range(256)",
    "'ascii' codec can't encode character '\\xdc' in position 32: ordinal not in range(128)",
    "'ascii' codec can't decode byte 0xc3 in position 32: ordinal not in range(128)",
    "(psycopg2.errors.UntranslatableCharacter) character with byte sequence 0xf0 0x9f has no equivalent in encoding",
    '(psycopg2.errors.CharacterNotInRepertoire) invalid byte sequence for encoding "UTF8": 0x00',
    "(pymysql.err.DataError) (1366, \"Incorrect string value: '\\xF0\\x9F' for column 'value' at row 1\")",
)
LOGIN = b'<html><form><input type="password"></form></html>'


def _is_operational(name: str) -> bool:
    """Whether Postgres names an operational error so, other than those of a connection that ends."""
    error = getattr(errors, name)
    ends = {"AdminShutdown", "CrashShutdown", "CannotConnectNow", "DatabaseDropped", "IdleSessionTimeout"}
    return isinstance(error, type) and issubclass(error, psycopg2.OperationalError) and name not in ends


ROWS = [
    # The connection.
    (broke(Trouble.DEADLINE), around(), "deadline"),
    (broke(Trouble.REFUSED), around(Part.SERVER), "not-listening"),
    (broke(Trouble.NAME_UNKNOWN), around(Part.SERVER), "name-unknown"),
    (broke(Trouble.NO_ROUTE), around(Part.SERVER), "unreachable"),
    (broke(Trouble.CONNECT_TIMEOUT), around(Part.SERVER), "unreachable"),
    (broke(Trouble.TLS_EXPIRED), around(Part.SERVER), "tls-expired"),
    (broke(Trouble.TLS_SELF_SIGNED), around(Part.SERVER), "tls-self-signed"),
    (broke(Trouble.TLS_UNTRUSTED), around(Part.SERVER), "tls-untrusted"),
    (broke(Trouble.TLS_WRONG_NAME), around(Part.SERVER), "tls-wrong-name"),
    (broke(Trouble.TLS_BROKEN, "WRONG_VERSION_NUMBER"), around(Part.SERVER), "tls-broken"),
    (broke(Trouble.REDIRECT_LOOP), around(Part.SERVER), "redirect-loop"),
    (broke(Trouble.READ_TIMEOUT), around(Part.SERVER), "server-hang"),
    (broke(Trouble.READ_TIMEOUT), around(Part.DATABASE), "database-hang"),
    (broke(Trouble.READ_TIMEOUT), around(Part.ARTIFACTS), "artifacts-hang"),
    (broke(Trouble.CLOSED), around(), "connection-closed"),
    (broke(Trouble.TRUNCATED), around(), "truncated"),
    (broke(Trouble.NOT_HTTP), around(Part.SERVER), "not-http"),
    (broke(Trouble.TOO_LARGE), around(Part.UI), "not-http"),
    (broke(Trouble.CLOSED), around(Part.ARTIFACTS, large=True), "large-cut"),
    (broke(Trouble.TRUNCATED, method="PUT"), around(Part.ARTIFACTS, also=LISTED), "large-cut"),
    (broke(Trouble.CLOSED, method="DELETE"), around(), "method-dropped"),
    (broke(Trouble.ENCODING), around(), "broken-encoding"),
    (answered(403, HTML), around(agent_refused=True), "client-refused"),
    (broke(Trouble.CLOSED), around(agent_refused=True), "client-refused"),
    (answered(500), around(Part.ARTIFACTS, large=True, also=LISTED), "store-space"),
    (answered(502, HTML), around(Part.ARTIFACTS, also=LISTED, missing=NO_SUCH), "upload-failed"),
    (answered(500), around(Part.ARTIFACTS, also=LISTED, missing=NO_SUCH), "upload-failed"),
    (
        answered(500),
        around(Part.ARTIFACTS, also=LISTED, missing=answered(500, b"Internal Server Error")),
        "temporary-folder",
    ),
    # The server's own refusal (server/src/mlflow_backend_server/http/exchange.py).
    (
        answered(503, told("TEMPORARILY_UNAVAILABLE", "The server has no temporary space left for this.")),
        around(Part.ARTIFACTS, also=LISTED),
        "temporary-space",
    ),
    # MLflow's own refusals, as measured on 3.18.0 and 3.17.2.
    (answered(403, b"Invalid Host header - possible DNS rebinding attack detected"), around(), "host-refused"),
    (answered(403, b"Cross-origin request blocked"), around(), "origin-refused"),
    (answered(401, told("UNAUTHENTICATED")), around(Part.ARTIFACTS), "store-key-refused"),
    (
        answered(500, b"Internal Server Error"),
        around(Part.ARTIFACTS, also=answered(401, told("UNAUTHENTICATED"))),
        "store-key-refused",
    ),
    (
        answered(500, b"Internal Server Error"),
        around(Part.ARTIFACTS, also=answered(404, told("RESOURCE_DOES_NOT_EXIST"))),
        "bucket-missing",
    ),
    (
        answered(500, b"Internal Server Error"),
        around(Part.ARTIFACTS, also=answered(500, told("INTERNAL_ERROR"))),
        "store-away",
    ),
    (answered(401, b"You are not authenticated"), around(access="none"), "credentials-missing"),
    (answered(401, b"You are not authenticated"), around(), "credentials-rejected"),
    (answered(403, told("PERMISSION_DENIED")), around(), "permission-denied"),
    (
        answered(400, told("INVALID_PARAMETER_VALUE", "Bad Request. Content-Type header is missing.")),
        around(),
        "header-stripped",
    ),
    (answered(503, told("TEMPORARILY_UNAVAILABLE")), around(), "unavailable"),
    *[
        (
            answered(503, told("TEMPORARILY_UNAVAILABLE", f"(psycopg2.OperationalError) {words}")),
            around(),
            "database-away",
        )
        for words in AWAY
    ],
    (
        answered(503, told("TEMPORARILY_UNAVAILABLE", "(psycopg2.errors.OutOfMemory) out of memory")),
        around(),
        "database-error",
    ),
    (answered(400, told("RESOURCE_ALREADY_EXISTS", "Experiment(name=x) already exists")), around(), "request-repeated"),
    (answered(500, told("INTERNAL_ERROR", "(psycopg2.errors.UndefinedTable) relation")), around(), "schema-mismatch"),
    (answered(500, told("BAD_REQUEST", "(sqlite3.OperationalError) no such table: runs")), around(), "schema-mismatch"),
    (
        answered(500, told("X", 'FATAL: password authentication failed for user "mlflow"')),
        around(),
        "database-password",
    ),
    (
        answered(500, told("X", "(psycopg2.errors.InsufficientPrivilege) permission denied for table")),
        around(),
        "database-rights",
    ),
    (answered(500, told("X", "could not extend file: No space left on device")), around(), "database-full"),
    (answered(500, told("X", "cannot execute INSERT in a read-only transaction")), around(), "database-read-only"),
    (answered(500, told("X", "FATAL: sorry, too many clients already")), around(), "database-connections"),
    *[(answered(400, told("BAD_REQUEST", words)), around(), "database-discards") for words in DISCARDED],
    *[(answered(503, told("TEMPORARILY_UNAVAILABLE", words)), around(), "database-timeout") for words in CANCELLED],
    *[(answered(500, told("INTERNAL_ERROR", words)), around(), "database-encoding") for words in ENCODED],
    (answered(500, told("X", "(sqlalchemy.exc.SomethingElse)")), around(), "database-error"),
    (answered(404, told("RESOURCE_DOES_NOT_EXIST")), around(fresh=True), "another-database"),
    # What stands in front.
    (answered(302, location="https://accounts.example.com/login"), around(), "login-page"),
    (answered(200, LOGIN), around(), "login-page"),
    (answered(302, location="https://other.example.com/"), around(), "redirected"),
    (answered(403, HTML), around(), "forbidden"),
    (answered(403, HTML, method="PATCH"), around(), "method-forbidden"),
    (answered(403, told("PERMISSION_DENIED"), method="PATCH"), around(), "permission-denied"),
    (answered(413), around(Part.ARTIFACTS), "body-limit"),
    (answered(429), around(), "rate-limit"),
    (answered(405), around(), "method-blocked"),
    (answered(502, HTML), around(), "no-server-behind"),
    (answered(503, HTML), around(), "no-server-behind"),
    (answered(504), around(), "front-timeout"),
    (answered(404, HTML), around(), "path-rewritten"),
    (answered(200, HTML), around(), "something-else"),
    (answered(200, b"hello"), around(), "garbage"),
    (answered(200, gzip.compress(b"{}")), around(), "broken-encoding"),
    (answered(200, b"\x0b\x02\x80", **{"content-encoding": "br"}), around(), "broken-encoding"),
    *[(answered(200, DOCUMENT[:size]), around(), "answer-cut") for size in range(1, len(DOCUMENT))],
    (answered(500, told("INTERNAL_ERROR")), around(), "server-error"),
    (answered(400, told("INVALID_PARAMETER_VALUE")), around(), "refused-request"),
]


@pytest.mark.parametrize(("exchange", "failure", "code"), ROWS)
def test_each_observation_has_its_cause(exchange: Exchange, failure: FailureContext, code: str) -> None:
    """The likely cause of an observation, with a sentence, a cause and a next step that leave no placeholder."""
    finding = explain(exchange, failure)
    assert finding.code == code
    for text in (finding.sentence, finding.cause, finding.next_step):
        assert text
        assert "{" not in text
    assert finding.result is (Result.INCONCLUSIVE if code in {"login-page", "credentials-missing"} else Result.FAIL)


@pytest.mark.parametrize("name", sorted(name for name in dir(errors) if _is_operational(name)))
def test_what_the_database_itself_refuses_is_never_reported_as_out_of_reach(name: str) -> None:
    """MLflow says TEMPORARILY_UNAVAILABLE for each operational error; one that a statement met was reached."""
    body = told("TEMPORARILY_UNAVAILABLE", f"(psycopg2.errors.{name}) something went wrong\n\n[SQL: SELECT 1]")
    assert explain(answered(503, body), around()).code not in {"database-away", "unavailable"}


def test_a_guess_says_that_it_is_one() -> None:
    """Every rule says how sure it is, and the cause that people read says so of each that is a guess."""
    for exchange, failure, code in ROWS:
        (rule,) = (rule for rule in RULES if rule.code == code)
        finding = explain(exchange, failure)
        assert finding.certainty is rule.certainty
        assert finding.stated_cause.startswith("Likely: ") is (rule.certainty is Certainty.LIKELY), code


def test_every_rule_is_reached() -> None:
    """No rule is dead: the table of observations reaches each one, and codes are unique."""
    codes = [rule.code for rule in RULES]
    assert len(codes) == len(set(codes))
    assert {code for _, _, code in ROWS} == set(codes)


def test_a_server_message_is_quoted_short_and_in_one_line() -> None:
    """A server cannot fill the report or break its table."""
    sentence = describe(answered(500, told("INTERNAL_ERROR", "line\n\x1b[31mline " * 100)))
    assert len(sentence) < EXCERPT + 100
    assert sentence.isprintable()


def test_braces_in_a_server_message_are_harmless() -> None:
    """What a server says is never taken for a template."""
    finding = explain(answered(500, told("X", "{host} {secret}")), around())
    assert "{secret}" in finding.sentence
