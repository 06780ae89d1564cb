"""The secret that the server's API keys are checked against: salted hashes only, the first one the verification's.

The server reads it again and again with its own role (server/README.md), so a key that somebody adds or takes out needs
no deployment. The verification's key itself is in the server's secret, which the server's role cannot read.
"""

from __future__ import annotations

import hashlib
import json
import secrets as random
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws import secret_values, secrets
from mlflow_backend.aws.connection import Connection
from mlflow_backend.backup.bundle import VERIFIER
from mlflow_backend.server.login import VERIFICATION_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

_INPUTS: Final = ("connection", "secret", "keyArn", "source", "sourceVersion", "recoveryDays", "tags")
_SALT_BYTES: Final = 16


def create(props: Mapping[str, Any]) -> dict[str, Any]:
    """Make the secret with the verification's key in it; return the resource's outputs. Raises PlatformFailed."""
    content = json.dumps({"keys": [_entry(_key(props))]})
    return {**{key: props[key] for key in _INPUTS}, "arn": secrets.make(props, content)["ARN"]}


def update(arn: str, props: Mapping[str, Any]) -> dict[str, Any]:
    """Put the verification's key in if it is another one; the keys of others stay. Return the outputs."""
    client = secret_values.client(Connection.at(props["connection"]))
    entries = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])["keys"]
    key = _key(props)
    own = [entry for entry in entries if entry["name"] == VERIFIER]
    if not any(_matches(entry, key) for entry in own):
        others = [entry for entry in entries if entry["name"] != VERIFIER]
        client.put_secret_value(SecretId=arn, SecretString=json.dumps({"keys": [_entry(key), *others]}))
    return {**{name: props[name] for name in _INPUTS}, "arn": arn}


def current(arn: str, props: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the resource's outputs; None when the secret is gone or being deleted."""
    return props if secrets.current(arn, props) else None


def changed(_arn: str, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether something else is asked for; who else has a key is nobody's business here."""
    return any(olds.get(key) != news.get(key) for key in _INPUTS)


def _key(props: Mapping[str, Any]) -> str:
    return secret_values.value(props["source"], VERIFICATION_KEY, Connection.at(props["connection"]))


def _entry(key: str) -> dict[str, str]:
    salt = random.token_bytes(_SALT_BYTES)
    return {"name": VERIFIER, "scope": "write", "salt": salt.hex(), "sha256": _digest(salt, key)}


def _matches(entry: Mapping[str, str], key: str) -> bool:
    return entry["sha256"] == _digest(bytes.fromhex(entry["salt"]), key)


def _digest(salt: bytes, key: str) -> str:
    return hashlib.sha256(salt + key.encode()).hexdigest()
