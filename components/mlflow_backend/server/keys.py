"""The keys with which MLflow encrypts what it stores: their names, and what a rotation makes of them.

MLflow draws a webhook key for each process, and falls back to a published passphrase for gateway secrets
(docs/mlflow-keys.md). So each stack has its own. Keys that a rotation replaced are kept as `former-keys`: dumps and
rows that were written under them can still be read and re-encrypted. Pure; nothing is stored here.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

WEBHOOK: Final = "webhook-key"
PASSPHRASE: Final = "kek-passphrase"  # noqa: S105 - the name of a secret
VERSION: Final = "kek-version"
FORMER: Final = "former-keys"
IN_FORCE: Final = (WEBHOOK, PASSPHRASE, VERSION)
"""What a server's environment names; `FORMER` is for the database tool only."""
NAMES: Final = (*IN_FORCE, FORMER)
FORMER_VARIABLE: Final = "MLFLOW_BACKEND_FORMER_KEYS"
VARIABLES: Final[Mapping[str, str]] = {
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": WEBHOOK,
    "MLFLOW_CRYPTO_KEK_PASSPHRASE": PASSPHRASE,
    "MLFLOW_CRYPTO_KEK_VERSION": VERSION,
}
"""MLflow's variables, the same in every version that has them; versions that have none ignore them."""

# Fernet's own length (cryptography.fernet), and 256 bits for the passphrase.
KEY_BYTES: Final = 32
# Rows that MLflow wrote with its published passphrase have version 1.
FIRST_VERSION: Final = 2


def rotated(current: Mapping[str, str], drawn: Mapping[str, str]) -> dict[str, str]:
    """Return `drawn` with those of `current` among its former keys. Raises ValueError for keys that are none."""
    if found := problem(current):
        raise ValueError(found)
    former = [{name: current[name] for name in IN_FORCE}, *json.loads(current[FORMER])]
    return {**drawn, VERSION: str(int(current[VERSION]) + 1), FORMER: json.dumps(former)}


def succeeding(before: Mapping[str, str], after: Mapping[str, str], drawn: Mapping[str, str]) -> dict[str, str]:
    """Return the keys that follow `before`, in which somebody has put those of `after`; either may have none.

    What is missing is as before, or as in `drawn` if there was nothing before, and whatever was in force once stays
    among the former keys. Raises ValueError for keys that are none.
    """
    had = all(name in before for name in IN_FORCE)
    found = {name: after.get(name) or (before if had else drawn)[name] for name in IN_FORCE}
    former = [*json.loads(after.get(FORMER, "[]")), *json.loads(before.get(FORMER, "[]"))]
    if had:
        former.insert(0, {name: before[name] for name in IN_FORCE})
    kept = [entry for index, entry in enumerate(former) if entry != found and entry not in former[:index]]
    return {**found, FORMER: json.dumps(kept)}


def problem(current: Mapping[str, object]) -> str | None:
    """Return what is wrong with a set of keys, None if nothing is. The text holds no value."""
    if missing := [name for name in NAMES if name not in current]:
        return f"{', '.join(missing)} is missing"
    if found := next((found for name in IN_FORCE if (found := value_problem(name, current[name]))), None):
        return found
    return value_problem(FORMER, current[FORMER])


def value_problem(name: str, value: object) -> str | None:
    """Return what is wrong with the value of one key, None if nothing is. The text does not hold the value."""
    if not isinstance(value, str) or not value or not value.isprintable():
        return f"{name} is no text, or empty"
    if name == WEBHOOK and not _is_fernet(value):
        return f"{name} is no Fernet key: {KEY_BYTES} bytes in URL-safe base64"
    if name == VERSION and not (value.isascii() and value.isdecimal() and int(value) >= 1):
        return f"{name} is no whole number from 1 on"
    if name == FORMER and not _is_former(value):
        return f"{name} is no JSON list of former keys"
    return None


def _is_fernet(value: str) -> bool:
    try:
        return len(base64.urlsafe_b64decode(value.encode())) == KEY_BYTES
    except (ValueError, binascii.Error):
        return False


def _is_former(value: str) -> bool:
    try:
        found = json.loads(value)
    except ValueError:
        return False
    return isinstance(found, list) and all(
        isinstance(entry, dict) and not any(value_problem(name, entry.get(name)) for name in IN_FORCE)
        for entry in found
    )
