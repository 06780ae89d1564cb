"""The schema as the server that serves reads it: taken only of the databases that the ledger knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.schema import Heads
from mlflow_backend.verify import live_schema
from mlflow_backend.verify.subjects import Subject
from tests.components.verify.fake_mlflow import as_json

if TYPE_CHECKING:
    from tests.components.verify.fake_mlflow import FakeMLflow

DATABASE, USERS = {"id": "D", "store": "S", "head": "aaa"}, {"id": "U", "head": "bbb"}
RECORDED = {"database": "D", "users": "U", "store": "S"}


@pytest.mark.parametrize(
    ("document", "recorded", "heads"),
    [
        ({"database": DATABASE, "users": USERS}, RECORDED, Heads(tracking="aaa", auth="bbb")),
        ({"database": DATABASE}, {"database": "D"}, Heads(tracking="aaa")),
        ({"database": {"id": "D", "store": "S"}, "users": {"id": "U"}}, RECORDED, None),
        ({"database": DATABASE, "users": {"id": "U", "head": None}}, RECORDED, None),
        ({"database": DATABASE | {"id": "other"}, "users": USERS}, RECORDED, None),
        ({"database": DATABASE, "users": USERS | {"id": "other"}}, RECORDED, None),
        ({"database": DATABASE}, RECORDED, None),
        ({"database": DATABASE, "users": USERS}, {"database": "D"}, None),
        ({"database": DATABASE}, {}, None),
        ({"database": None}, {}, None),
        ({"database": "aaa"}, {"database": "D"}, None),
        ({}, {}, None),
    ],
    ids=[
        *("with users", "without users", "a server of an older release", "no schema", "another database"),
        *(
            "other users",
            "users unsaid",
            "users unrecorded",
            "nothing recorded",
            "identity lost",
            "no mapping",
            "empty",
        ),
    ],
)
def test_heads_count_if_they_are_of_the_databases_of_the_ledger(
    document: dict[str, Any], recorded: dict[str, str], heads: Heads | None
) -> None:
    """A rollback that believed another backend's schema would put a server on a database that it cannot start on."""
    assert live_schema.heads_of(document, recorded) == heads


@pytest.mark.parametrize(
    ("answer", "heads"),
    [
        (as_json({"database": DATABASE, "users": USERS}), Heads(tracking="aaa", auth="bbb")),
        (as_json({"database": DATABASE, "users": USERS}, 503), None),
        (as_json({"error_code": "UNAUTHENTICATED"}, 401), None),
        (as_json([]), None),
    ],
    ids=["said", "a store is away", "refused", "no document"],
)
def test_a_server_that_does_not_say_its_schema_is_no_error(
    server: FakeMLflow, answer: Any, heads: Heads | None
) -> None:
    """Whoever asks then has another way."""
    server.fault = lambda asked: answer if asked.path == "/health/identity" else None
    assert live_schema.ask(Subject(url=server.url), {}, recorded=RECORDED) == heads


def test_neither_a_dead_server_nor_a_secret_that_cannot_be_read_is_an_error() -> None:
    """Most rollbacks happen when nothing answers."""
    assert live_schema.ask(Subject(url="http://127.0.0.1:9"), {}, recorded=RECORDED) is None
    unread = Subject(url="http://127.0.0.1:9", credentials={"token": "env:MLFLOW_BACKEND_NO_SUCH_VARIABLE"})
    assert live_schema.ask(unread, {}, recorded=RECORDED) is None
