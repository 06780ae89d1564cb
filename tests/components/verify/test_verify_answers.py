"""Reading an answer: another shape than the one expected is said, never passed on as empty."""

from __future__ import annotations

from dataclasses import fields

import pytest

from mlflow_backend.verify.answers import Answer, Unexpected
from mlflow_backend.verify.client import Exchange


def exchange(body: bytes, status: int = 200) -> Exchange:
    """An answer of a server."""
    known = {"method": "GET", "url": "http://127.0.0.1/x", "path": "/x", "status": status, "headers": {}, "body": body}
    return Exchange(**{field.name: known[field.name] for field in fields(Exchange) if field.name in known})


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b"null", b'"text"'])
def test_what_is_no_object_is_unexpected(body: bytes) -> None:
    """A proxy's page and a list are no answers of MLflow."""
    with pytest.raises(Unexpected):
        Answer.of(exchange(body))


def test_another_status_is_unexpected() -> None:
    """Also where the body looks right."""
    with pytest.raises(Unexpected):
        Answer.of(exchange(b"{}", status=500))


@pytest.mark.parametrize("body", [b"{}", b'{"run": 1}', b'{"run": {"id": ""}}', b'{"run": {"id": []}}'])
def test_a_text_that_is_missing_is_unexpected(body: bytes) -> None:
    """An empty id would be used as one."""
    with pytest.raises(Unexpected):
        Answer.of(exchange(body)).text("run", "id")
    assert Answer.of(exchange(b'{"run": {"id": 7}}')).text("run", "id") == "7"


@pytest.mark.parametrize("body", [b'{"runs": 1}', b'{"runs": [1]}', b'{"runs": "x"}'])
def test_a_list_of_something_else_is_unexpected(body: bytes) -> None:
    """A missing list is an empty one, for MLflow leaves empty lists out; another thing is not."""
    with pytest.raises(Unexpected):
        Answer.of(exchange(body)).items("runs")
    assert Answer.of(exchange(b"{}")).items("runs") == []
    assert Answer.of(exchange(b'{"runs": [{"a": 1}]}')).items("runs") == [{"a": 1}]
