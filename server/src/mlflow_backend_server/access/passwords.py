"""The check of a user's password: made once, remembered for seconds, hashed on threads of its own.

Works on the user store of every MLflow version, which hashes the password anew for every request (180 ms). MLflow asks
the same store again after the request filter did, and gets the remembered answer. Whatever changes a user in this
process makes it forget at once; other processes forget after those seconds.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import importlib
import secrets
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mlflow_backend_server.access.clients import network
from mlflow_backend_server.access.guesses import Guesses

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend_server.access.credentials import Login
    from mlflow_backend_server.access.guesses import SharedGuesses

_CAPACITY = 10_000
_CHANGES = ("create_user", "update_user", "delete_user")
#: As short as a user who has just been given a password may have to wait for it.
_WRONG_S = 5.0
_THREADS = 2
_MOST_SHARING = 16


class Result(StrEnum):
    """The result of a login; `unknown` if the users could not be looked up, `limited` if nothing was checked."""

    RIGHT = "right"
    WRONG = "wrong"
    LIMITED = "limited"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class LoginCheck:
    """The result; `wait_s` is when to try again."""

    result: Result
    wait_s: int = 0


class Remembered:
    """Values that are forgotten after some seconds; at most _CAPACITY of them."""

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start empty."""
        self._seconds, self._clock = seconds, clock
        self._values: OrderedDict[Any, tuple[float, Any]] = OrderedDict()
        self._lock = threading.Lock()
        self.generation = 0

    def get(self, key: Any) -> Any:
        """Return the value, None when there is none or it is too old."""
        with self._lock:
            kept = self._values.get(key)
            if kept is None or self._clock() - kept[0] >= self._seconds:
                return None
            return kept[1]

    def put(self, key: Any, value: Any, generation: int) -> None:
        """Keep a value that was looked up in this generation; one that was overtaken by a change is dropped."""
        with self._lock:
            if generation != self.generation:
                return
            self._values[key] = (self._clock(), value)
            self._values.move_to_end(key)
            while len(self._values) > _CAPACITY:
                self._values.popitem(last=False)

    def clear(self) -> None:
        """Forget everything, and what is being looked up."""
        with self._lock:
            self.generation += 1
            self._values.clear()


class Passwords:
    """The checks of logins for one worker."""

    def __init__(
        self,
        store: Any,
        *,
        seconds: int,
        most_waiting: int,
        shared: SharedGuesses | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take over `store` (mlflow.server.auth's): it answers from here from now on.

        `most_waiting` logins wait for a thread; more get 'try again later', so that they cannot fill the server.
        `shared` counts guesses over all servers.
        """
        self._store, self._most_waiting = store, most_waiting
        self._authenticate, self._get_user = store.authenticate_user, store.get_user
        self._right, self._users = Remembered(seconds, clock=clock), Remembered(seconds, clock=clock)
        self._wrong = Remembered(_WRONG_S, clock=clock)
        self._guesses, self._shared = Guesses(clock=clock), shared
        self._key = secrets.token_bytes(32)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="passwords")
        self._waiting, self._lock = 0, threading.Lock()
        self._sharer = ThreadPoolExecutor(1, thread_name_prefix="guesses")
        self._sharing = threading.Semaphore(_MOST_SHARING)
        self._nobody = _hash_of_nobody()
        store.authenticate_user, store.get_user = self._for_mlflow, self.user
        for name in _CHANGES:
            setattr(store, name, self._forgetting(getattr(store, name)))

    def check(self, login: Login, client: str) -> LoginCheck | Future[LoginCheck]:
        """Check a login from a client's address; a future if the password has to be hashed."""
        known = self.known(login, client)
        if known is not None:
            return known
        return self._submit(login, network(client)) or LoginCheck(result=Result.LIMITED, wait_s=1)

    def known(self, login: Login, client: str) -> LoginCheck | None:
        """Return what can be said of a login without hashing, None if that is nothing."""
        fingerprint, address = self._fingerprint(login.name, login.password), network(client)
        if self._wrong.get(fingerprint):
            return LoginCheck(result=Result.WRONG)
        if wait_s := self._guesses.seconds_to_wait(address, login.name):
            return LoginCheck(result=Result.LIMITED, wait_s=wait_s)
        if self._right.get(fingerprint):
            return LoginCheck(result=Result.RIGHT)
        if wait_s := self._guesses.seconds_to_wait(address):
            # Whoever is known goes on, so this answer says something about the password: it is one more guess.
            self._guesses.failed(address, login.name, fingerprint)
            self._share_soon(login, address)
            return LoginCheck(result=Result.LIMITED, wait_s=wait_s)
        return None

    def within(self, login: Login, client: str, *, most_s: float) -> bool:
        """Return whether a login is right; no if that is not known within so many seconds, or too many others wait."""
        known = self.known(login, client)
        if known is None:
            future = self._submit(login, network(client))
            try:
                known = future.result(most_s) if future else None
            except TimeoutError:
                return False
        return known is not None and known.result is Result.RIGHT

    def remembers(self, username: str) -> bool:
        """Return whether a user is known without looking him up."""
        return self._users.get(username) is not None

    def user(self, username: str) -> Any:
        """Return MLflow's user of that name; raises what MLflow raises if there is none."""
        user = self._users.get(username)
        if user is None:
            generation = self._users.generation
            user = self._get_user(username)
            self._users.put(username, user, generation)
        return user

    def _submit(self, login: Login, address: str) -> Future[LoginCheck] | None:
        with self._lock:
            if self._waiting >= self._most_waiting:
                return None
            self._waiting += 1
        future = self._threads.submit(self._hashed, login, address)
        future.add_done_callback(self._done)
        return future

    def _done(self, _future: Future[LoginCheck]) -> None:
        with self._lock:
            self._waiting -= 1

    def _hashed(self, login: Login, address: str) -> LoginCheck:
        self._learn(login, address)
        known = self.known(login, address)
        if known is not None:
            return known
        try:
            right = self._check(login.name, login.password)
        except Exception:  # noqa: BLE001 - whatever the database says, its words are not for the caller
            return LoginCheck(result=Result.UNKNOWN)
        if right:
            self._guesses.succeeded(address, login.name)
            if self._shared is not None:
                self._shared.succeeded(address, login.name)
            return LoginCheck(result=Result.RIGHT)
        self._guesses.failed(address, login.name, self._fingerprint(login.name, login.password))
        self._share_failure(login, address)
        return LoginCheck(result=Result.WRONG)

    def _learn(self, login: Login, address: str) -> None:
        """Pause here what is over its limit at all servers together; asked before each hash, which takes longer."""
        if self._shared is None:
            return
        for name in (login.name, None):
            if wait_s := self._shared.seconds_to_wait(address, name):
                self._guesses.pause(address, name, wait_s)

    def _share_soon(self, login: Login, address: str) -> None:
        """Share a guess that cost no hash: not on the hashing threads, which whoever is limited must not fill.

        If too many wait already, this process alone knows of it.
        """
        if self._shared is not None and self._sharing.acquire(blocking=False):
            future = self._sharer.submit(self._share_failure, login, address)
            future.add_done_callback(lambda _done: self._sharing.release())

    def _share_failure(self, login: Login, address: str) -> None:
        if self._shared is not None:
            self._shared.failed(address, login.name, login.password)

    def _check(self, name: str, password: str, **options: Any) -> bool:
        """Ask the store, and remember its answer unless a user was changed meanwhile."""
        fingerprint = self._fingerprint(name, password)
        generations = self._right.generation, self._wrong.generation
        right = bool(self._authenticate(name, password, **options))
        if right:
            self._right.put(fingerprint, value=True, generation=generations[0])
            return True
        if not self._exists(name):
            # An unknown name must cost what a known one costs.
            importlib.import_module("werkzeug.security").check_password_hash(self._nobody, password)
        self._wrong.put(fingerprint, value=True, generation=generations[1])
        return False

    def _exists(self, name: str) -> bool:
        try:
            self._get_user(name)
        except Exception as error:
            if getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        return True

    def _for_mlflow(self, username: Any, password: Any, **options: Any) -> bool:
        """Answer MLflow itself, which knows no address; the request filter came before."""
        if not isinstance(username, str) or not isinstance(password, str):
            return False
        fingerprint = self._fingerprint(username, password)
        if self._right.get(fingerprint):
            return True
        return not self._wrong.get(fingerprint) and self._check(username, password, **options)

    def _fingerprint(self, name: str, password: str) -> bytes:
        text = f"{len(name)}:{name}{password}".encode("utf-8", "surrogateescape")
        return hmac.new(self._key, text, hashlib.sha256).digest()

    def _forgetting(self, change: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(change)
        def changed(*arguments: Any, **options: Any) -> Any:
            try:
                return change(*arguments, **options)
            finally:
                for kept in (self._right, self._wrong, self._users):
                    kept.clear()

        return changed


@functools.cache
def _hash_of_nobody() -> str:
    """Return a hash that no password has, made as the installed MLflow makes those of its users."""
    hashing = importlib.import_module("werkzeug.security")
    return str(hashing.generate_password_hash(secrets.token_urlsafe(32)))
