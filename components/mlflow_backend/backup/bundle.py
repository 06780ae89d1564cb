"""The secrets of a backup by name, in the form that a target outside this machine has them in. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.server.access import ADMIN_USER, AccessControl, secret_problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FILE: Final = "encryption-keys"
"""The one secret with all keys at rest, as a stack on this machine has them: a JSON object."""
IN_FORCE: Final = "inForce"
"""What in it servers use."""
API_KEYS: Final = "api-keys"
"""The secret with the salted hashes of all API keys: a JSON object with a list `keys`."""
VERIFIER: Final = "verification"
"""What the API key is called by which a backend off this machine verifies itself."""


def each_alone(secrets: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Return the secrets of these names, each key at rest as one of its own; others have no use outside this machine.

    Raises PlatformFailed if one is missing, and if no server could start with one.
    """
    found = {ADMIN_USER: AccessControl.admin_user, **secrets}
    if FILE in secrets:
        found |= dict(json.loads(secrets[FILE])[IN_FORCE])
    if missing := [name for name in names if name not in found]:
        raise PlatformFailed(
            f"{', '.join(missing)} is missing",
            code="backup-keys-incomplete",
            fix="Restore another backup",
            part="the backup's keys",
        )
    alone = {name: str(found[name]) for name in names}
    if problems := [problem for name, text in alone.items() if (problem := secret_problem(name, text))]:
        raise PlatformFailed(
            "; ".join(problems), code="backup-keys-unusable", fix="Restore another backup", part="the backup's keys"
        )
    return alone


def users_api_keys(secrets: Mapping[str, str], *, beside: str | None = None) -> str:
    """Return the API keys of a backup's users as a secret has them, after the verifier's own of the secret `beside`.

    Raises PlatformFailed if the backup has no list of them.
    """
    try:
        users = [entry for entry in json.loads(secrets[API_KEYS])["keys"] if entry["name"] != VERIFIER]
    except (ValueError, KeyError, TypeError):
        raise PlatformFailed(
            "there is no list of API keys in it",
            code="backup-api-keys-unusable",
            fix="Restore another backup",
            part="the backup's keys",
        ) from None
    own = [entry for entry in json.loads(beside)["keys"] if entry["name"] == VERIFIER] if beside else []
    return json.dumps({"keys": [*own, *users]})
