"""The encryption of secrets of webhooks and of MLflow's gateway, and the keys for it that an environment names.

MLflow's own functions for this are bound to the keys of their process, and importing them takes seconds; the formats
are Fernet for webhooks (mlflow/store/model_registry/dbmodels/models.py) and, for gateway secrets, a key of each row
that is wrapped by AES-GCM under a key from a passphrase (mlflow/utils/crypto.py). A test compares with MLflow's own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from os import urandom
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

if TYPE_CHECKING:
    from collections.abc import Mapping

WEBHOOK_VARIABLE = "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"
PASSPHRASE_VARIABLE = "MLFLOW_CRYPTO_KEK_PASSPHRASE"  # noqa: S105 - the name of a variable
VERSION_VARIABLE = "MLFLOW_CRYPTO_KEK_VERSION"
FORMER_VARIABLE = "MLFLOW_BACKEND_FORMER_KEYS"
#: What MLflow takes if the environment names none: it is in its public source, so that it hides nothing.
PUBLIC_PASSPHRASE = "mlflow-default-kek-passphrase-for-development-only"  # noqa: S105 - published by MLflow
PUBLIC_VERSION = 1

_SALT = b"mlflow-secrets-kek-v1-2025"
_ITERATIONS, _KEY_BYTES, _NONCE_BYTES, _VERSION_BYTES = 600_000, 32, 12, 4


class KeysError(Exception):
    """The environment does not name usable keys; the message is a sentence without a value."""


@dataclass(frozen=True, kw_only=True)
class Passphrase:
    """From what MLflow derives the key that wraps the keys of gateway secrets; the version is part of the salt."""

    text: str = field(repr=False)
    version: int

    def unwrap(self, wrapped: bytes) -> bytes | None:
        """Return the key of a row, None if it was wrapped under another passphrase."""
        try:
            return AESGCM(_derived(self)).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], None)
        except (InvalidTag, ValueError):
            return None

    def wrap(self, key: bytes) -> bytes:
        """Return the key of a row as MLflow stores it."""
        nonce = urandom(_NONCE_BYTES)
        return nonce + AESGCM(_derived(self)).encrypt(nonce, key, None)


@cache
def _derived(passphrase: Passphrase) -> bytes:
    # A third of a second by design, so once a process.
    salt = _SALT + passphrase.version.to_bytes(_VERSION_BYTES, "big")
    derivation = PBKDF2HMAC(algorithm=SHA256(), length=_KEY_BYTES, salt=salt, iterations=_ITERATIONS)
    return derivation.derive(passphrase.text.encode())


@dataclass(frozen=True, kw_only=True)
class Ring:
    """The keys of a backend: the first of each kind is in force, the others can still read what they wrote."""

    webhook: tuple[Fernet, ...]
    passphrases: tuple[Passphrase, ...]


def read_webhook(key: Fernet, secret: str) -> bytes | None:
    """Return a webhook's secret, None if it was encrypted with another key."""
    try:
        return key.decrypt(secret.encode())
    except InvalidToken:
        return None


def named(environment: Mapping[str, str]) -> bool:
    """Return whether the environment names any key."""
    return any(environment.get(name) for name in (WEBHOOK_VARIABLE, PASSPHRASE_VARIABLE))


def ring(environment: Mapping[str, str]) -> Ring:
    """Return the keys that the environment names, and MLflow's public passphrase as the last of the former ones.

    Raises KeysError if one is missing or is MLflow's public default, or cannot be a key.
    """
    named = {
        "webhook-key": environment.get(WEBHOOK_VARIABLE, ""),
        "kek-passphrase": environment.get(PASSPHRASE_VARIABLE, ""),
        "kek-version": environment.get(VERSION_VARIABLE, ""),
    }
    if not named["webhook-key"]:
        raise KeysError(
            f"{WEBHOOK_VARIABLE} is not set: each process encrypts webhooks' secrets with a key of its own, which no "
            "other can read."
        )
    if named["kek-passphrase"] in {"", PUBLIC_PASSPHRASE}:
        raise KeysError(f"{PASSPHRASE_VARIABLE} is not set: MLflow's public default encrypts the gateway's secrets.")
    try:
        all_keys = [named, *json.loads(environment.get(FORMER_VARIABLE) or "[]")]
        public = Passphrase(text=PUBLIC_PASSPHRASE, version=PUBLIC_VERSION)
        return Ring(
            webhook=tuple(Fernet(each["webhook-key"]) for each in all_keys),
            passphrases=(
                *(Passphrase(text=each["kek-passphrase"], version=int(each["kek-version"])) for each in all_keys),
                public,
            ),
        )
    except (ValueError, KeyError, TypeError):
        raise KeysError(
            f"{WEBHOOK_VARIABLE}, {VERSION_VARIABLE} or {FORMER_VARIABLE} does not hold what it must."
        ) from None
