"""API keys: parsing, matching, scopes, revocation and limits, and what basic auth remembers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow_backend_server.access import sources
from mlflow_backend_server.access.basic import remember
from mlflow_backend_server.access.keys import KeyFileError, Scope, match, mint, parse, presented
from mlflow_backend_server.access.limits import RateLimit
from mlflow_backend_server.access.scopes import allows
from mlflow_backend_server.access.sources import REFRESH_S, STALE_AFTER_S, KeyRing, reader
from moto import mock_aws

from tests.server.services import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.services import Services


def secret_of(*entries: dict[str, str]) -> str:
    """Return the text of a secret."""
    return json.dumps({"keys": list(entries)})


def test_a_minted_key_matches_its_entry_and_no_other() -> None:
    """Several keys are valid at once, each known by its name and scope."""
    (one, first), (two, second) = mint("ci", Scope.WRITE), mint("dashboard", Scope.READ)
    stored = parse(secret_of(first, second))
    found = [match(key, stored) for key in (one, two, one + "x", one[:-1], "", None, "x" * 1000)]
    assert [key.name if key else None for key in found] == ["ci", "dashboard", None, None, None, None, None]
    assert one not in secret_of(first)
    assert first["salt"] != second["salt"]


def test_two_entries_of_one_key_differ() -> None:
    """Hashes are salted: equal entries never show that two keys are one."""
    assert mint("a", Scope.READ)[1]["sha256"] != mint("a", Scope.READ)[1]["sha256"]


@given(st.text(), st.text())
def test_nothing_presented_matches_by_chance(offered: str, header: str) -> None:
    """Whatever stands in the headers, nothing breaks, and nothing but the key matches."""
    stored = parse(secret_of(mint("a", Scope.READ)[1]))
    assert match(presented({"x-api-key": offered, "authorization": header}), stored) is None


_TEXTS = st.text(max_size=40)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
)
_ENTRY = st.dictionaries(st.sampled_from(["name", "scope", "salt", "sha256"]), _TEXTS | _JSON)
_LONG = 8


@given(_JSON | st.fixed_dictionaries({"keys": st.lists(_ENTRY, max_size=3)}))
def test_a_secret_that_holds_no_keys_is_refused_without_showing_it(document: Any) -> None:
    """Anything else than a set of keys is KeyFileError, and the message has none of its texts."""
    message = ""
    try:
        parse(json.dumps(document))
    except KeyFileError as error:
        message = str(error)
    assert not [text for text in _texts(document) if len(text) > _LONG and text in message]


def _texts(document: Any) -> list[str]:
    if isinstance(document, dict):
        return [text for value in document.values() for text in _texts(value)]
    if isinstance(document, list):
        return [text for value in document for text in _texts(value)]
    return [document] if isinstance(document, str) else []


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"keys": {}}', '{"keys": [1]}', "[" * 100_000])
def test_broken_secrets_are_refused(text: str) -> None:
    """No shape of broken JSON gets through or breaks the parser."""
    with pytest.raises(KeyFileError):
        parse(text)


def test_two_keys_of_one_name_are_refused() -> None:
    """Logs and limits go by the name."""
    with pytest.raises(KeyFileError, match="same name"):
        parse(secret_of(mint("a", Scope.READ)[1], mint("a", Scope.READ)[1]))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-api-key": "k"}, "k"),
        ({"authorization": "Bearer k"}, "k"),
        ({"authorization": "bearer  k"}, "k"),
        ({"x-api-key": "a", "authorization": "Bearer b"}, "a"),
        ({"x-api-key": " ", "authorization": "Bearer b"}, "b"),
        ({"authorization": "Basic a2V5"}, None),
        ({"authorization": "Bearer"}, None),
        ({"authorization": "Bearer a b"}, None),
        ({}, None),
    ],
)
def test_where_a_key_is_presented(headers: dict[str, str], expected: str | None) -> None:
    """`X-API-Key`, else `Authorization: Bearer`."""
    assert presented(headers) == expected


@pytest.mark.parametrize(
    ("method", "path", "read"),
    [
        ("GET", "/api/2.0/mlflow/runs/get", True),
        ("HEAD", "/", True),
        ("POST", "/api/2.0/mlflow/runs/search", True),
        ("POST", "/ajax-api/2.0/mlflow/experiments/search", True),
        ("POST", "/api/2.0/mlflow/registered-models/get-latest-versions", True),
        ("POST", "/api/2.0/mlflow/runs/create", False),
        ("POST", "/api/2.0/mlflow/runs/search/delete", False),
        ("POST", "/ajax-api/3.0/mlflow/prompt-optimization/jobs/search", True),
        ("POST", "/api/3.0/mlflow/traces/batchGetInfos", True),
        ("POST", "/graphql", False),
        ("POST", "/api/2.0/mlflow-artifacts/mpu/create/a/search", False),
        ("POST", "/api/2.0/mlflow-artifacts/mpu/complete/mlflow/a/search", False),
        ("POST", "/gateway/a/search", False),
        ("POST", "/api/2.0/mlflow/../mlflow-artifacts/mpu/create/a/search", False),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/search", False),
        ("PATCH", "/api/2.0/mlflow/registered-models/update", False),
        ("DELETE", "/api/2.0/mlflow/registered-models/delete", False),
    ],
)
def test_what_a_reading_key_may_do(method: str, path: str, *, read: bool) -> None:
    """A key with scope read reads, by POST too where MLflow does; a key with scope write does both."""
    assert allows(Scope.READ, method, path) is read
    assert allows(Scope.WRITE, method, path)


def test_a_revoked_key_is_gone_with_the_next_reading_and_a_broken_secret_changes_nothing(tmp_path: Path) -> None:
    """Rotation in place: add, revoke, break, mend. The next reading comes within 60 s."""
    assert REFRESH_S <= 40
    key, entry = mint("a", Scope.READ)
    other, second = mint("b", Scope.READ)
    file = tmp_path / "keys.json"
    file.write_text(secret_of(entry))
    ring = KeyRing(reader(str(file)))
    file.write_text(secret_of(entry, second))
    ring.refresh()
    assert match(key, ring.keys())
    assert match(other, ring.keys())
    file.write_text("{")
    ring.refresh()
    assert match(key, ring.keys())
    file.write_text(secret_of(second))
    ring.refresh()
    assert match(key, ring.keys()) is None
    assert match(other, ring.keys())


def test_the_secret_is_read_again_without_any_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is used once a day is refused after its revocation just as soon."""
    monkeypatch.setattr(sources, "REFRESH_S", 0.01)
    from tests.server.services import until  # noqa: PLC0415 - only here

    file = tmp_path / "keys.json"
    file.write_text(secret_of(mint("a", Scope.READ)[1]))
    ring = KeyRing(reader(str(file)))
    ring.keep_fresh()
    file.write_text(secret_of())
    until(lambda: not ring.keys(), what="the key to be gone", deadline_s=10)


def test_keys_in_secrets_manager_are_a_secret_or_one_key_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by ARN alone, in the ARN's region, whatever region the environment names."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    key, entry = mint("a", Scope.READ)
    with mock_aws():
        client = boto3.client("secretsmanager", region_name="eu-west-1")
        whole = client.create_secret(Name="keys", SecretString=secret_of(entry))["ARN"]
        part = client.create_secret(Name="server", SecretString=json.dumps({"other": "", "keys": secret_of(entry)}))
        for address in (whole, f"{part['ARN']}#keys"):
            assert match(key, KeyRing(reader(address)).keys())


def test_keys_whose_secret_is_away_for_too_long_are_all_refused(tmp_path: Path) -> None:
    """As long as the source is away nobody can revoke a key, so none is trusted for ever."""
    now = [0.0]
    file = tmp_path / "keys.json"
    file.write_text(secret_of(mint("a", Scope.READ)[1]))
    ring = KeyRing(reader(str(file)), clock=lambda: now[0])
    file.unlink()
    now[0] = STALE_AFTER_S - 1
    ring.refresh()
    assert ring.keys()
    now[0] = STALE_AFTER_S
    assert not ring.keys()


def test_a_key_is_limited_over_all_servers_and_the_others_are_not(services: Services) -> None:
    """Two servers count together in Redis; another key has its own count."""
    servers = [RateLimit(services.valkey.url, 10) for _ in range(2)]
    waits = [servers[turn % 2].seconds_to_wait("busy") for turn in range(12)]
    # The window may turn once in between.
    assert sum(wait > 0 for wait in waits) in {0, 1, 2}
    assert all(0 <= wait <= 60 for wait in waits)
    more = [servers[0].seconds_to_wait("busy") for _ in range(21)]
    assert sum(wait > 0 for wait in more) >= 1
    assert servers[1].seconds_to_wait("quiet") == 0


def test_nobody_is_limited_while_redis_is_away() -> None:
    """And only the first request pays for finding out."""
    rate = RateLimit(f"redis://127.0.0.1:{free_port()}/0", 1)
    assert [rate.seconds_to_wait("a") for _ in range(5)] == [0] * 5


class _Store:
    """MLflow's user store, as far as basic auth uses it."""

    def __init__(self) -> None:
        self.passwords, self.asked = {"ann": "one"}, 0

    def authenticate_user(self, username: str, password: str) -> bool:
        self.asked += 1
        return self.passwords.get(username) == password

    def get_user(self, username: str) -> str:
        self.asked += 1
        return f"user {username}"

    def update_user(self, username: str, password: str) -> None:
        self.passwords[username] = password

    def delete_user(self, username: str) -> None:
        del self.passwords[username]


def test_a_password_is_checked_once_and_forgotten_when_it_changes() -> None:
    """Right ones are remembered, wrong ones never; a change in this process counts at once."""
    store = _Store()
    remember(store, seconds=60)
    assert [store.authenticate_user("ann", "one") for _ in range(5)] == [True] * 5
    assert store.asked == 1
    assert not store.authenticate_user("ann", "two")
    assert not store.authenticate_user("ann", "two")
    assert store.asked == 3
    assert not store.authenticate_user("anno", "ne")
    store.update_user("ann", "two")
    assert not store.authenticate_user("ann", "one")
    assert store.authenticate_user("ann", "two")
    store.delete_user("ann")
    assert not store.authenticate_user("ann", "two")
