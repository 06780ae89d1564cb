"""Tests of the clients that a connection gives: what they share, and what each has of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.loaders import JSONFileLoader

from mlflow_backend.aws.connection import Connection

if TYPE_CHECKING:
    import pytest


def test_a_second_client_reads_no_description_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What AWS's services take and where they answer is the same for each client of a process."""
    connection = Connection("eu-west-1")
    connection.client("ecs")
    read = list[str]()
    before = JSONFileLoader.load_file

    def load_file(loader: JSONFileLoader, file_path: str) -> Any:
        found = before(loader, file_path)
        if found is not None:
            read.append(file_path)
        return found

    monkeypatch.setattr(JSONFileLoader, "load_file", load_file)
    connection.client("ecs")
    assert read == []
    # Of another service, which no other test of this process asks, it reads that service's own alone.
    connection.client("iot")
    assert read
    assert all("/iot/" in path for path in read)


def test_each_client_has_the_credentials_of_its_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process lives for days in a deployment's engine: what the environment said before must not stay."""
    names = []
    for name in ("first", "second"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", name)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
        session = Connection("eu-west-1").client("sts")._request_signer._credentials
        names.append(session.access_key)
    assert names == ["first", "second"]
