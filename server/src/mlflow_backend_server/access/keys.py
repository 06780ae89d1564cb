"""API keys: what a caller presents, what the secret holds, and whether they match. Nothing is read or written.

The secret holds no key, only salted hashes. A key is 32 random bytes, so one round of SHA-256 is enough: there is
nothing to guess, and a check costs a microsecond instead of PBKDF2's 180 ms.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_PREFIX = "mlfb_"
_RANDOM_BYTES = 32
_SALT_BYTES = 16
_DIGEST_CHARACTERS = 64
#: Longer than any key; nothing longer is hashed.
_LONGEST_KEY = 256
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE | re.ASCII)


class KeyFileError(Exception):
    """The secret does not hold a set of keys. Never shows what it holds."""


class Scope(StrEnum):
    """What a key is for. Write includes read, and admin both, with credentials of others and who may do what."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@dataclass(frozen=True, kw_only=True)
class StoredKey:
    """One key as the secret holds it."""

    name: str
    scope: Scope
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)
    expires: datetime | None = None

    def expired(self, now: datetime | None = None) -> bool:
        """Return whether its time is over."""
        return self.expires is not None and (now or datetime.now(UTC)) >= self.expires


def mint(name: str, scope: Scope, *, days: int = 0) -> tuple[str, dict[str, str]]:
    """Return a new key for its user, and its entry for the secret; it expires after so many days, 0 for never.

    Raises ValueError for a name that is not 1 to 63 letters, digits, dots, underscores and hyphens.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("a key's name is 1 to 63 letters, digits, dots, underscores and hyphens")
    key = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    salt = secrets.token_bytes(_SALT_BYTES)
    entry = {"name": name, "scope": str(scope), "salt": salt.hex(), "sha256": _digest(salt, key).hex()}
    if days:
        entry["expires"] = (datetime.now(UTC) + timedelta(days=days)).isoformat(timespec="seconds")
    return key, entry


def parse(text: str) -> tuple[StoredKey, ...]:
    """Return the keys of a secret: `{"keys": [{"name", "scope", "salt", "sha256", "expires"}, ...]}`.

    `expires` is a time with its offset from UTC; a key without one is valid until it is revoked.

    Raises KeyFileError, naming the entry by its number.
    """
    try:
        entries = json.loads(text)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise KeyFileError('the secret is not JSON of the form {"keys": [...]}') from None
    if not isinstance(entries, list):
        raise KeyFileError('"keys" is not a list')
    keys = tuple(_entry(index, entry) for index, entry in enumerate(entries))
    if len({key.name for key in keys}) != len(keys):
        raise KeyFileError("two keys have the same name")
    return keys


def presented(headers: Mapping[str, str]) -> str | None:
    """Return the key in a request's headers (names in lower case): `X-API-Key`, else `Authorization: Bearer`."""
    if key := headers.get("x-api-key", "").strip():
        return key
    bearer = _BEARER.fullmatch(headers.get("authorization", "").strip())
    return bearer[1] if bearer else None


def match(key: str | None, stored: tuple[StoredKey, ...]) -> StoredKey | None:
    """Return the stored key that was presented, expired or not.

    Every stored key is compared, each in constant time, so that the time reveals neither which one nor how nearly.
    """
    offered = key if key is not None and len(key) <= _LONGEST_KEY else ""
    found: StoredKey | None = None
    for candidate in stored:
        if hmac.compare_digest(_digest(candidate.salt, offered), candidate.digest):
            found = candidate
    return found if offered else None


def mark(key: str | None) -> str:
    """Return how the log calls a key that is not known: enough to find its requests, nothing of the key."""
    return f"unknown-{hashlib.sha256((key or '').encode('utf-8', 'surrogateescape')).hexdigest()[:8]}" if key else ""


def _digest(salt: bytes, key: str) -> bytes:
    return hashlib.sha256(salt + key.encode("utf-8", "surrogateescape")).digest()


def _entry(index: int, entry: Any) -> StoredKey:
    where = f"entry {index + 1} of the keys"
    if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
        raise KeyFileError(f"{where} is not an object of texts")
    if not _NAME.fullmatch(entry.get("name", "")):
        raise KeyFileError(f"{where} has no name of 1 to 63 letters, digits, dots, underscores and hyphens")
    if entry.get("scope") not in set(Scope):
        raise KeyFileError(f"{where} has no scope 'read', 'write' or 'admin'")
    try:
        salt, digest = bytes.fromhex(entry.get("salt", "")), bytes.fromhex(entry.get("sha256", ""))
    except ValueError:
        raise KeyFileError(f"{where} has a salt or a hash that is not hexadecimal") from None
    if len(salt) < _SALT_BYTES or len(digest) * 2 != _DIGEST_CHARACTERS:
        raise KeyFileError(f"{where} has a salt under {_SALT_BYTES} bytes or a hash that is not SHA-256")
    return StoredKey(
        name=entry["name"], scope=Scope(entry["scope"]), salt=salt, digest=digest, expires=_time(where, entry)
    )


def _time(where: str, entry: dict[str, str]) -> datetime | None:
    if "expires" not in entry:
        return None
    try:
        expires = datetime.fromisoformat(entry["expires"])
    except ValueError:
        expires = None
    if expires is None or expires.tzinfo is None:
        raise KeyFileError(f"{where} expires at no time such as 2027-01-31T00:00:00+00:00")
    return expires
