"""API keys: parsing, matching, scopes, revocation and limits, and what basic auth remembers."""

from __future__ import annotations

import json
import secrets
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from mlflow_backend_server.access import clients, sources
from mlflow_backend_server.access.cache import Cache
from mlflow_backend_server.access.credentials import Login
from mlflow_backend_server.access.guesses import PER_ADDRESS, PER_NAME, WINDOW_S, SharedGuesses
from mlflow_backend_server.access.keys import KeyFileError, Scope, match, mint, parse, presented
from mlflow_backend_server.access.limits import RateLimit
from mlflow_backend_server.access.passwords import LoginCheck, Passwords, Result
from mlflow_backend_server.access.sources import REFRESH_S, STALE_AFTER_S, KeyRing, reader
from moto import mock_aws

from tests.server.logins import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.server.services import Services


@pytest.fixture(params=["refuses", "hangs", "is full"])
def away(request: pytest.FixtureRequest) -> Iterator[Cache]:
    """A cache that takes no connection, answers nothing, or takes no writes."""
    answers = {"refuses": None, "hangs": b"", "is full": b"-OOM command not allowed\r\n"}[request.param]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"redis://127.0.0.1:{listening.getsockname()[1]}/0"
        if answers is None:
            listening.close()
        elif answers:
            threading.Thread(target=_always, args=(listening, answers), daemon=True).start()
        yield Cache(url, "a")


def _always(listening: socket.socket, answer: bytes) -> None:
    with suppress(OSError):
        connection, _ = listening.accept()
        with connection:
            while connection.recv(65536):
                connection.sendall(answer * 8)


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
_ENTRY = st.dictionaries(st.sampled_from(["name", "scope", "salt", "sha256", "expires"]), _TEXTS | _JSON)
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


def test_a_revoked_key_is_gone_with_the_next_reading_and_a_broken_secret_changes_nothing(tmp_path: Path) -> None:
    """Rotation in place: add, revoke, break, fix. The next reading comes within 60 s."""
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
    seen: list[tuple[list[str], list[str]]] = []
    ring.changed = lambda came, went: seen.append((came, went))
    ring.refresh()
    ring.refresh()
    assert seen == [([], ["a"])]
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
    backend = secrets.token_hex(4)
    servers = [RateLimit(Cache(services.valkey.url, backend), 10) for _ in range(2)]
    waits = [servers[turn % 2].seconds_to_wait("busy") for turn in range(12)]
    # The window may turn once in between.
    assert sum(wait > 0 for wait in waits) in {0, 1, 2}
    assert all(0 <= wait <= 60 for wait in waits)
    more = [servers[0].seconds_to_wait("busy") for _ in range(21)]
    assert sum(wait > 0 for wait in more) >= 1
    assert servers[1].seconds_to_wait("quiet") == 0
    # Another backend on the same cache has keys of the same names.
    assert RateLimit(Cache(services.valkey.url, f"not {backend}"), 10).seconds_to_wait("busy") == 0


def test_nobody_is_limited_while_the_cache_is_away(away: Cache) -> None:
    """Neither a key nor a right password, and only the first request pays for finding out."""
    rate = RateLimit(away, 1)
    assert [rate.seconds_to_wait("a") for _ in range(5)] == [0] * 5
    assert away.run(lambda transaction: transaction.ping()) is None


@pytest.mark.parametrize("shares", [False, True])
def test_guesses_are_limited_while_the_cache_is_away(away: Cache, *, shares: bool) -> None:
    """Each process counts on: nobody guesses without limit, and nobody is locked out."""
    passwords = Passwords(
        Store(), seconds=60, most_waiting=4, shared=SharedGuesses(away, "session key") if shares else None
    )
    tried = [judged(passwords, "ann", f"{number}") for number in range(PER_NAME + 5)]
    assert tried == [Result.WRONG] * PER_NAME + [Result.LIMITED] * 5
    assert judged(passwords, "ann", "one", "192.0.2.2") is Result.RIGHT


def test_guesses_are_counted_over_all_servers(services: Services) -> None:
    """Ten wrong passwords for a name, wherever they are tried; another address, name or backend is not concerned."""
    backend = secrets.token_hex(4)

    def server(backend: str) -> Passwords:
        cache = Cache(services.valkey.url, backend)
        return Passwords(Store(), seconds=60, most_waiting=4, shared=SharedGuesses(cache, "session key"))

    servers = [server(backend) for _ in range(3)]
    # The same wrong password is one guess, at whichever servers it is tried.
    assert {judged(each, "ann", "old") for each in servers} == {Result.WRONG}
    tried = [judged(servers[number % 3], "ann", f"{number}") for number in range(20)]
    assert tried == [Result.WRONG] * (PER_NAME - 1) + [Result.LIMITED] * (21 - PER_NAME)
    late = server(backend)
    waiting = late.check(Login(name="ann", password="one"), "192.0.2.1")
    found = waiting if isinstance(waiting, LoginCheck) else waiting.result(10)
    assert (found.result, 0 < found.wait_s <= WINDOW_S + 1) == (Result.LIMITED, True)
    assert judged(late, "root", "two") is Result.RIGHT
    assert judged(late, "ann", "one", "192.0.2.2") is Result.RIGHT
    # Who is limited elsewhere learns nothing from a server that remembers the right password either.
    assert [judged(late, "ann", password) for password in ("no", "one")] == [Result.LIMITED] * 2
    assert judged(server(f"not {backend}"), "ann", "one") is Result.RIGHT


def test_who_is_limited_fills_no_thread_that_others_need(services: Services) -> None:
    """What he still guesses is shared if there is room for it, while the cache is slow too."""
    free = threading.Event()

    class Slow(SharedGuesses):
        def failed(self, address: str, name: str, password: str) -> None:
            free.wait(10)
            super().failed(address, name, password)

    cache = Cache(services.valkey.url, secrets.token_hex(4))
    other = SharedGuesses(cache, "k")
    for number in range(PER_ADDRESS):
        other.failed("192.0.2.1", f"name {number}", "x")
    passwords = Passwords(Store(), seconds=60, most_waiting=2, shared=Slow(cache, "k"))
    assert judged(passwords, "nobody", "x") is Result.LIMITED
    try:
        found = [passwords.check(Login(name=f"n{number}", password="x"), "192.0.2.1") for number in range(500)]
        assert {each.result for each in found if isinstance(each, LoginCheck)} == {Result.LIMITED}
        assert judged(passwords, "ann", "one", "192.0.2.2") is Result.RIGHT
    finally:
        free.set()


def test_the_right_password_ends_the_count_at_all_servers(services: Services) -> None:
    """A user who mistyped, and then did not, starts anew wherever the next request goes."""
    cache = Cache(services.valkey.url, secrets.token_hex(4))
    servers = [Passwords(Store(), seconds=60, most_waiting=4, shared=SharedGuesses(cache, "k")) for _ in range(2)]
    for number in range(PER_NAME - 1):
        judged(servers[0], "ann", f"{number}")
    assert judged(servers[0], "ann", "one") is Result.RIGHT
    assert [judged(servers[1], "ann", f"{number}") for number in range(PER_NAME - 1)] == [Result.WRONG] * (PER_NAME - 1)


def test_guesses_over_all_names_are_counted_over_all_servers(services: Services) -> None:
    """Fifty from one address, also by names that a server over the limit only refuses; a minute later all is over."""
    cache, now = Cache(services.valkey.url, secrets.token_hex(4)), [1000.0]
    shared = SharedGuesses(cache, "k", clock=lambda: now[0])
    for number in range(PER_ADDRESS):
        shared.failed("192.0.2.1", f"name {number}", "x")
    assert 0 < shared.seconds_to_wait("192.0.2.1", None) <= WINDOW_S + 1
    assert shared.seconds_to_wait("192.0.2.1", "name 1") == shared.seconds_to_wait("192.0.2.2", None) == 0
    now[0] += WINDOW_S + 1
    assert shared.seconds_to_wait("192.0.2.1", None) == 0


def test_the_cache_holds_neither_names_nor_passwords(services: Services) -> None:
    """Every count there expires by itself."""
    client = redis.Redis.from_url(services.valkey.url, socket_timeout=2, decode_responses=True)
    before = set(client.keys())
    SharedGuesses(Cache(services.valkey.url, secrets.token_hex(4)), "k").failed("192.0.2.77", "ann-name", "ann-secret")
    added = set(client.keys()) - before
    assert len(added) == 2
    text = " ".join([*added, *(member for key in added for member in client.zrange(key, 0, -1))])
    assert not [word for word in ("192.0.2.77", "ann-name", "ann-secret") if word in text]
    assert all(0 < client.ttl(key) <= WINDOW_S for key in added)


def judged(passwords: Passwords, name: str, password: str, client: str = "192.0.2.1") -> Result:
    """Judge a login to its end."""
    found = passwords.check(Login(name=name, password=password), client)
    return (found if isinstance(found, LoginCheck) else found.result(10)).result


def hashes(monkeypatch: pytest.MonkeyPatch, store: Store) -> Callable[[], int]:
    """Count what costs: of known names in the store, of unknown ones by werkzeug."""
    dummies: list[str] = []
    monkeypatch.setattr("werkzeug.security.check_password_hash", lambda _hash, password: dummies.append(password))
    return lambda: store.hashed + len(dummies)


def test_a_password_is_hashed_once_and_forgotten_when_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A right one for long, a wrong one for seconds; a change in this process counts at once, also for MLflow."""
    store, now = Store(), [0.0]
    count = hashes(monkeypatch, store)
    passwords = Passwords(store, seconds=60, most_waiting=4, clock=lambda: now[0])
    assert [judged(passwords, "ann", "one") for _ in range(5)] == [Result.RIGHT] * 5
    assert store.authenticate_user("ann", "one")
    assert count() == 1
    assert [judged(passwords, "ann", "two") for _ in range(5)] == [Result.WRONG] * 5
    assert not store.authenticate_user("ann", "two")
    assert count() == 2
    now[0] = 6.0
    assert judged(passwords, "ann", "two") is Result.WRONG
    assert count() == 3
    store.update_user("ann", "two")
    assert judged(passwords, "ann", "one") is Result.WRONG
    assert judged(passwords, "ann", "two") is Result.RIGHT
    store.delete_user("ann")
    assert judged(passwords, "ann", "two") is Result.WRONG
    assert not store.authenticate_user(None, None)


def test_an_unknown_name_is_hashed_as_often_as_a_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the time of an answer tells which names there are."""
    store = Store()
    count = hashes(monkeypatch, store)
    passwords = Passwords(store, seconds=60, most_waiting=4)
    costs = []
    for name in ("ann", "nobody", "root", "x" * 200):
        before = count()
        assert judged(passwords, name, "wrong") is Result.WRONG
        costs.append(count() - before)
    assert costs == [1, 1, 1, 1]


def test_a_password_that_changes_under_a_check_is_not_remembered() -> None:
    """The check that is under way says what was right when it began, and that is not kept."""
    store = Store()
    original = store.authenticate_user

    def changes_meanwhile(username: str, password: str) -> bool:
        right = original(username, password)
        store.update_user(username, "new")
        return right

    store.authenticate_user = changes_meanwhile  # type: ignore[method-assign]
    passwords = Passwords(store, seconds=60, most_waiting=4)
    assert judged(passwords, "ann", "one") is Result.RIGHT
    assert judged(passwords, "ann", "one") is Result.WRONG


def test_guesses_are_counted_by_name_and_address_and_over_all_names() -> None:
    """The same wrong password again is none; a window later all is forgotten; an IPv6 network is one address."""
    store, now = Store(), [0.0]
    passwords = Passwords(store, seconds=60, most_waiting=4, clock=lambda: now[0])
    assert {judged(passwords, "ann", "old") for _ in range(100)} == {Result.WRONG}
    tried = [judged(passwords, "ann", f"{number}") for number in range(20)]
    assert tried == [Result.WRONG] * (PER_NAME - 1) + [Result.LIMITED] * (21 - PER_NAME)
    assert judged(passwords, "ann", "one") is Result.LIMITED
    assert judged(passwords, "ann", "one", "192.0.2.2") is Result.RIGHT
    now[0] = WINDOW_S + 1
    assert judged(passwords, "ann", "one") is Result.RIGHT
    many = [judged(passwords, f"name {number}", "x", f"2001:db8::{number:x}") for number in range(PER_ADDRESS + 5)]
    assert many == [Result.WRONG] * PER_ADDRESS + [Result.LIMITED] * 5
    # Who was let in before goes on; others of that address wait.
    assert judged(passwords, "ann", "one", "2001:db8::ffff") is Result.RIGHT
    assert judged(passwords, "root", "two", "2001:db8::ffff") is Result.LIMITED


def test_logins_that_wait_are_bounded_and_health_asks_for_none() -> None:
    """Sixty wrong passwords at once: a few are hashed, the others get 'try again later', nobody waits for them."""
    store, free = Store(), threading.Event()
    original = store.authenticate_user

    def slow(username: str, password: str) -> bool:
        free.wait(10)
        return original(username, password)

    store.authenticate_user = slow  # type: ignore[method-assign]
    passwords = Passwords(store, seconds=60, most_waiting=4)
    found = [passwords.check(Login(name=f"n{number}", password="x"), f"192.0.2.{number}") for number in range(60)]
    try:
        assert [isinstance(each, LoginCheck) for each in found] == [False] * 4 + [True] * 56
        assert {each.result for each in found if isinstance(each, LoginCheck)} == {Result.LIMITED}
        assert not passwords.within(Login(name="ann", password="one"), "192.0.2.99", most_s=10)
    finally:
        free.set()
    assert all(each.result(10).result is Result.WRONG for each in found if not isinstance(each, LoginCheck))


@pytest.mark.parametrize(
    ("peer", "hops", "proxies", "found"),
    [
        ("10.0.0.1", "", 1, "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7", 1, "203.0.113.7"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.7", 1, "203.0.113.7"),
        ("10.0.0.1", "1.1.1.1,203.0.113.7,198.51.100.1", 2, "203.0.113.7"),
        ("10.0.0.1", "203.0.113.7", 2, "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7", 0, "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7, garbage", 1, "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7:4711", 1, "203.0.113.7"),
        ("10.0.0.1", "[2001:db8::1]:4711", 1, "2001:db8::1"),
        ("10.0.0.1", "2001:db8::1", 1, "2001:db8::1"),
        ("10.0.0.1", " , ,", 1, "10.0.0.1"),
        ("10.0.0.1", "::ffff:203.0.113.7", 1, "203.0.113.7"),
        ("::ffff:10.0.0.1", "", 0, "10.0.0.1"),
        ("", "", 0, ""),
    ],
)
def test_the_address_is_what_our_outermost_proxy_saw(peer: str, hops: str, proxies: int, found: str) -> None:
    """What a caller writes into the header is further to the left, and does not count."""
    headers = {"x-forwarded-for": hops, "x-forwarded-proto": "gopher, https"}
    assert clients.address(peer, headers, proxies) == found
    assert clients.scheme("http", headers, proxies) == ("https" if proxies else "http")


@pytest.mark.parametrize("expires", ["", "tomorrow", "2027-01-01", "2027-01-01T00:00:00"])
def test_an_expiry_that_is_no_time_is_refused(expires: str) -> None:
    """The server does not start with it: a key must not live longer than was meant."""
    with pytest.raises(KeyFileError, match="entry 1"):
        parse(json.dumps({"keys": [{**mint("a", Scope.READ)[1], "expires": expires}]}))
