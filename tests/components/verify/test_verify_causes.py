"""From what was observed to the cause: one row an observation, with the code that must come out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.verify.causes import describe, explain
from components.verify.model import Exchange, Part, Result, Trouble
from components.verify.observed import EXCERPT, Situation
from components.verify.rules import RULES


def told(code: str, message: str = "") -> bytes:
    """An error's body in MLflow's shape."""
    return json.dumps({"error_code": code, "message": message}).encode()


def answered(status: int, body: bytes = b"", **headers: str) -> Exchange:
    """An exchange that was answered."""
    return Exchange(method="POST", path="/api/2.0/mlflow/x", status=status, body=body, headers=headers, timeout_s=30)


def broke(trouble: Trouble, detail: str = "") -> Exchange:
    """An exchange without an answer."""
    return Exchange(method="GET", path="/health", trouble=trouble, detail=detail, timeout_s=30)


def around(part: Part = Part.DATABASE, **more: Any) -> Situation:
    """What is known around an exchange; credentials were sent unless it is said otherwise."""
    return Situation(part=part, host="mlflow.example.com", **{"access": "basic", **more})


HTML = b"<!doctype html><html><title>Welcome</title></html>"
LOGIN = b'<html><form><input type="password"></form></html>'
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
    (answered(500), around(Part.ARTIFACTS, large=True), "store-space"),
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
    (answered(503, told("TEMPORARILY_UNAVAILABLE")), around(), "database-away"),
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
    (answered(500, told("X", "(sqlalchemy.exc.SomethingElse)")), around(), "database-error"),
    (answered(404, told("RESOURCE_DOES_NOT_EXIST")), around(fresh=True), "another-database"),
    # What stands in front.
    (answered(302, location="https://accounts.example.com/login"), around(), "login-page"),
    (answered(200, LOGIN), around(), "login-page"),
    (answered(302, location="https://other.example.com/"), around(), "redirected"),
    (answered(403, HTML), around(), "forbidden"),
    (answered(413), around(Part.ARTIFACTS), "body-limit"),
    (answered(429), around(), "rate-limit"),
    (answered(405), around(), "method-blocked"),
    (answered(502, HTML), around(), "no-server-behind"),
    (answered(503, HTML), around(), "no-server-behind"),
    (answered(504), around(), "front-timeout"),
    (answered(404, HTML), around(), "path-rewritten"),
    (answered(200, HTML), around(), "something-else"),
    (answered(200, b"hello"), around(), "garbage"),
    (answered(500, told("INTERNAL_ERROR")), around(), "server-error"),
    (answered(400, told("INVALID_PARAMETER_VALUE")), around(), "refused-request"),
]


@pytest.mark.parametrize(("exchange", "situation", "code"), ROWS)
def test_each_observation_has_its_cause(exchange: Exchange, situation: Situation, code: str) -> None:
    """The likely cause of an observation, with a sentence, a cause and a next step that leave no placeholder."""
    finding = explain(exchange, situation)
    assert finding.code == code
    for text in (finding.sentence, finding.cause, finding.next_step):
        assert text
        assert "{" not in text
    assert finding.result is (Result.INCONCLUSIVE if code in {"login-page", "credentials-missing"} else Result.FAIL)


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
