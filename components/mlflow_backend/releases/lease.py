"""A lock in an object store: an object that exactly one command creates, and that ends by itself.

A holder that was killed is known on its own machine only, so a second command is refused at once and never waits.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from mlflow_backend.contract import Refused
from mlflow_backend.releases import running
from mlflow_backend.releases.stores import LOCKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

# Longer than any migration may take: a lock that ends under its holder lets a second writer in.
LEASE: Final = timedelta(hours=8)


class Objects(Protocol):
    """What a lease needs of an object store."""

    def create(self, key: str, content: bytes) -> bool:
        """Write an object; False if the key exists."""

    def read(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Return the objects of these keys."""

    def read_tagged(self, key: str) -> tuple[bytes, str] | None:
        """Return an object and a tag that changes with it; None if it is not there."""

    def replace_if(self, key: str, content: bytes, *, tag: str) -> bool:
        """Replace an object; False if it does not have this tag any more."""

    def delete(self, key: str) -> None:
        """Delete an object."""

    def address(self, key: str) -> str:
        """Return where people find an object."""


def _now() -> datetime:
    return datetime.now(UTC)


@contextlib.contextmanager
def leased(objects: Objects, name: str, *, by: str, now: Callable[[], datetime] = _now) -> Iterator[None]:
    """Hold the lock `name`. Raises Refused while somebody else holds it, with who and until when.

    A holder that was killed leaves its lock behind. On the same machine the next command takes it; elsewhere it ends
    by itself after `LEASE`.
    """
    key, token = _key(name), uuid.uuid4().hex
    content = json.dumps({"token": token, "by": by, "until": (now() + LEASE).isoformat()}).encode()
    with running.shown_as_running(token):
        if not objects.create(key, content):
            _take_over(objects, key, content, now())
        try:
            yield
        finally:
            found = objects.read([key]).get(key)
            # After the lease another command may hold it.
            if found is not None and json.loads(found)["token"] == token:
                objects.delete(key)


def is_leased(objects: Objects, name: str, *, now: Callable[[], datetime] = _now) -> bool:
    """Return whether somebody holds the lock `name`; one that was killed elsewhere does until its lease ends."""
    found = objects.read([_key(name)]).get(_key(name))
    return found is not None and not _has_ended(json.loads(found), now())


def _take_over(objects: Objects, key: str, content: bytes, now: datetime) -> None:
    found = objects.read_tagged(key)
    if found is None:
        # It was given back just now.
        taken, by, until = objects.create(key, content), "somebody", now
    else:
        lease, tag = json.loads(found[0]), found[1]
        by, until = lease["by"], datetime.fromisoformat(lease["until"])
        # Only the very lock that was seen to have ended: of two who see it, one takes it.
        taken = _has_ended(lease, now) and objects.replace_if(key, content, tag=tag)
        if taken:
            running.forget(lease["token"])
    if not taken:
        raise Refused(
            f"Another command of {by} works on this backend; its lock ends {until:%Y-%m-%d %H:%M} UTC.",
            code="backend-locked",
            fix=f"Let it end. If it was killed, delete {objects.address(key)}.",
        )


def _has_ended(lease: Mapping[str, str], now: datetime) -> bool:
    return datetime.fromisoformat(lease["until"]) <= now or running.was_killed(lease["token"])


def _key(name: str) -> str:
    return f"{LOCKS}/{name}.json"
