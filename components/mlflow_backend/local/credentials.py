"""Secrets of a local stack: generated once, kept in files of mode 600, named by reference everywhere else.

A credential's *version* is a keyed fingerprint: it changes with the value and reveals nothing about it.
It is what goes into the Pulumi state and into manifests.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import re
import secrets
from typing import TYPE_CHECKING

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local import api_keys, encryption
from mlflow_backend.local.state import PRIVATE_FILE, write
from mlflow_backend.server import keys, secret_problem

if TYPE_CHECKING:
    from mlflow_backend.local.state import StateDir

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
ALL = (*GENERATED, ADMIN_USER, API_KEY, API_KEYS, STORE_ACCEPTED, *keys.NAMES)
ADMIN_NAME = "admin"

_SALT = "salt"
# Nobody logs in with these but our own programs, and what they are written into takes no quotes and no comments.
_INTERNAL = (STORE_ACCESS, STORE_OPERATOR_ACCESS, STORE_OPERATOR_SECRET, STORE_SECRET, SUPERVISOR, _SALT)
_PLAIN = re.compile(r"[A-Za-z0-9_.=+/-]+", re.ASCII)
_VERSION_LENGTH = 16


def read(state: StateDir, name: str) -> str:
    """Return a credential's value.

    Raises PlatformFailed if the file is missing or cannot be read.
    """
    if name in keys.NAMES:
        return encryption.value(state, name)
    path = state.credentials / name
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").rstrip("\n")
    except FileNotFoundError:
        finding = f"the credential file {path} is missing"
        raise PlatformFailed(
            finding, code="credential-missing", fix="Run `make up`, which generates it", part=name
        ) from None
    except OSError as error:
        finding = f"the credential file {path} cannot be read ({error.strerror})"
        fix = "Make it a file that you own, or remove it; `make up` then generates another"
        raise PlatformFailed(finding, code="credential-unreadable", fix=fix, part=name) from None


def ensure(state: StateDir) -> dict[str, str]:
    """Generate what is missing or empty, keep what is there, and return every credential's version.

    Raises PlatformFailed for a value that somebody put there and no server could start with, for a file that cannot be
    read, and for encryption keys that are gone: all else can be made anew.
    """
    with state.locked("credentials"):
        encryption.ensure(state)
        _refuse_unusable(state)
        for name in (_SALT, *GENERATED):
            if not _there(state, name) or (name in _INTERNAL and not _PLAIN.fullmatch(read(state, name))):
                write(state.credentials / name, secrets.token_urlsafe(24))
        # The administrator's name is not configurable: servers get this one.
        if not _there(state, ADMIN_USER) or read(state, ADMIN_USER) != ADMIN_NAME:
            write(state.credentials / ADMIN_USER, ADMIN_NAME)
        _ensure_own_key(state)
        _ensure_accepted(state)
        for path in state.credentials.iterdir():
            if path.is_file() and path.stat().st_mode & 0o777 != PRIVATE_FILE:
                path.chmod(PRIVATE_FILE)
    return versions(state)


def _there(state: StateDir, name: str) -> bool:
    return (state.credentials / name).exists() and bool(read(state, name).strip())


def _ensure_own_key(state: StateDir) -> None:
    """Make the stack's own API key anew unless its entry is of the key in the file; keys of others stay."""
    entries = api_keys.entries(state)
    others = [other for other in entries if other["name"] != api_keys.OWN]
    own = [entry for entry in entries if entry["name"] == api_keys.OWN]
    if _there(state, API_KEY) and any(api_keys.matches(entry, read(state, API_KEY)) for entry in own):
        return
    key, entry = api_keys.mint(api_keys.OWN, "write")
    write(state.credentials / API_KEY, key)
    api_keys.save(state, [entry, *others])


def _ensure_accepted(state: StateDir) -> None:
    """Write the store's list of keys anew unless it is of the keys that there are; a revoked server stays so."""
    listed = [_accepted(state, server=server) for server in (True, False)]
    if not _there(state, STORE_ACCEPTED) or read(state, STORE_ACCEPTED) not in listed:
        accept_store_keys(state, server=True)


def _refuse_unusable(state: StateDir) -> None:
    for name in (name for name in GENERATED if name not in _INTERNAL):
        path = state.credentials / name
        if _there(state, name) and (problem := secret_problem(name, read(state, name))):
            fix = f"Write another one into {path} and run `make up`, or delete the file to have one generated"
            raise PlatformFailed(problem, code="credentials-damaged", fix=fix, part="credentials")


def references(state: StateDir, mode: str) -> dict[str, str]:
    """Return how the users' kind of credentials is named for verification under an access mode, never a value."""
    kinds = {"basic": {"username": ADMIN_USER, "password": ADMIN}, "token": {"apiKey": API_KEY}}
    return {key: f"file:{state.credentials / name}" for key, name in kinds.get(mode, {}).items()}


def accept_store_keys(state: StateDir, *, server: bool) -> None:
    """Write the list of keys that the store accepts: the operator's, and the server's unless it is revoked.

    It is never empty: rclone without any key serves everybody. The form is rclone's own (CSV, quoted pairs).
    """
    write(state.credentials / STORE_ACCEPTED, _accepted(state, server=server))


def _accepted(state: StateDir, *, server: bool) -> str:
    pairs = [(STORE_OPERATOR_ACCESS, STORE_OPERATOR_SECRET), *([(STORE_ACCESS, STORE_SECRET)] if server else [])]
    return ",".join(f'"{read(state, access)},{read(state, secret)}"' for access, secret in pairs)


def versions(state: StateDir) -> dict[str, str]:
    """Return the version of each credential that exists."""
    if not (state.credentials / _SALT).exists():
        return {}
    salt = read(state, _SALT).encode(errors="surrogateescape")

    def version(name: str) -> str:
        value = read(state, name).encode(errors="surrogateescape")
        return hmac.new(salt, value, hashlib.sha256).hexdigest()[:_VERSION_LENGTH]

    files = [name for name in ALL if name not in keys.NAMES and (state.credentials / name).exists()]
    return {name: version(name) for name in (*files, *encryption.values(state))}


def redact(state: StateDir, text: str) -> str:
    """Return the text with every credential's value replaced by its name."""
    for name in (*GENERATED, API_KEY, keys.WEBHOOK, keys.PASSPHRASE):
        # A file that is missing or damaged hides nothing; an empty one would put its name between all letters.
        with contextlib.suppress(PlatformFailed):
            if value := read(state, name):
                text = text.replace(value, f"<{name}>")
    return text
