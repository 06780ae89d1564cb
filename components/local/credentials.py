"""Secrets of a local stack: generated once, kept in files of mode 600, named by reference everywhere else.

A credential's *version* is a keyed fingerprint: it changes with the value and tells nothing about it.
It is what goes into the Pulumi state and into manifests.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

from components.local import api_keys
from components.local.state import LocalFailure, write
from components.server import secret_problem

if TYPE_CHECKING:
    from components.local.state import StateDir

ADMIN = "admin-password"
ADMIN_USER = "admin-user"
API_KEY = "api-key"
API_KEYS = api_keys.FILE
CACHE = "cache-password"
DATABASE = "database-password"
DATABASE_ADMIN = "database-admin-password"
FLASK = "flask-secret-key"
STORE_ACCEPTED = "store-accepted-keys"
STORE_ACCESS = "store-access-key"
STORE_OPERATOR_ACCESS = "store-operator-access-key"
STORE_OPERATOR_SECRET = "store-operator-secret-key"  # noqa: S105 - the name of a credential, not its value
STORE_SECRET = "store-secret-key"  # noqa: S105 - as above
SUPERVISOR = "supervisor-password"

GENERATED = (
    ADMIN,
    CACHE,
    DATABASE,
    DATABASE_ADMIN,
    FLASK,
    STORE_ACCESS,
    STORE_OPERATOR_ACCESS,
    STORE_OPERATOR_SECRET,
    STORE_SECRET,
    SUPERVISOR,
)
ALL = (*GENERATED, ADMIN_USER, API_KEY, API_KEYS, STORE_ACCEPTED)
ADMIN_NAME = "admin"

_SALT = "salt"
_VERSION_LENGTH = 16


def read(state: StateDir, name: str) -> str:
    """Return a credential's value.

    Raises LocalFailure where the file is missing.
    """
    path = state.credentials / name
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").rstrip("\n")
    except FileNotFoundError:
        finding = f"the credential file {path} is missing"
        raise LocalFailure(name, finding, "Run `make up`, which generates it") from None


def ensure(state: StateDir) -> dict[str, str]:
    """Generate what is missing, keep what is there, and return every credential's version.

    Raises LocalFailure for a value that somebody put there and no server could start with.
    """
    with state.locked("credentials"):
        _refuse_unusable(state)
        for name in (_SALT, *GENERATED):
            if not (state.credentials / name).exists():
                write(state.credentials / name, secrets.token_urlsafe(24))
        if not (state.credentials / ADMIN_USER).exists():
            write(state.credentials / ADMIN_USER, ADMIN_NAME)
        if not all((state.credentials / name).exists() for name in (API_KEY, API_KEYS)):
            key, entry = api_keys.mint(api_keys.OWN, "write")
            others = [other for other in api_keys.entries(state) if other["name"] != api_keys.OWN]
            write(state.credentials / API_KEY, key)
            api_keys.save(state, [entry, *others])
        if not (state.credentials / STORE_ACCEPTED).exists():
            accept_store_keys(state, server=True)
    return versions(state)


def _refuse_unusable(state: StateDir) -> None:
    for name in (*GENERATED, ADMIN_USER, API_KEY):
        path = state.credentials / name
        if path.exists() and (problem := secret_problem(name, read(state, name))):
            fix = f"Write another one into {path} and run `make up`, or delete the file to have one generated"
            raise LocalFailure("credentials", problem, fix)


def references(state: StateDir, mode: str) -> dict[str, str]:
    """Return how the users' kind of credentials is named for verification under an access mode, never a value."""
    kinds = {"basic": {"username": ADMIN_USER, "password": ADMIN}, "token": {"apiKey": API_KEY}}
    return {key: f"file:{state.credentials / name}" for key, name in kinds.get(mode, {}).items()}


def accept_store_keys(state: StateDir, *, server: bool) -> None:
    """Write the list of keys that the store accepts: the operator's, and the server's unless it is revoked.

    It is never empty: rclone without any key serves everybody. The form is rclone's own (CSV, quoted pairs).
    """
    pairs = [(STORE_OPERATOR_ACCESS, STORE_OPERATOR_SECRET), *([(STORE_ACCESS, STORE_SECRET)] if server else [])]
    keys = ",".join(f'"{read(state, access)},{read(state, secret)}"' for access, secret in pairs)
    write(state.credentials / STORE_ACCEPTED, keys)


def versions(state: StateDir) -> dict[str, str]:
    """Return the version of each credential that exists."""
    if not (state.credentials / _SALT).exists():
        return {}
    salt = read(state, _SALT).encode()

    def version(name: str) -> str:
        value = read(state, name).encode(errors="surrogateescape")
        return hmac.new(salt, value, hashlib.sha256).hexdigest()[:_VERSION_LENGTH]

    return {name: version(name) for name in ALL if (state.credentials / name).exists()}


def redact(state: StateDir, text: str) -> str:
    """Return the text with every credential's value replaced by its name."""
    for name in (*GENERATED, API_KEY):
        path = state.credentials / name
        if path.exists():
            text = text.replace(read(state, name), f"<{name}>")
    return text
