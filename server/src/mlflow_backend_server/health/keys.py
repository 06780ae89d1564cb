"""The check that what MLflow stores encrypted is under the stack's own keys: no public default, no process's own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mlflow_backend_server import encryption
from mlflow_backend_server.health.database import ask
from mlflow_backend_server.health.states import Away

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mlflow_backend_server.db.addresses import Address

# More rows than any backend has; a question must end within its deadline.
_LOOKED_AT = 500
_TABLES = "SELECT relname FROM pg_class WHERE oid IN (to_regclass('webhooks'), to_regclass('secrets'))"
_WEBHOOKS = f"SELECT secret FROM webhooks WHERE secret IS NOT NULL LIMIT {_LOOKED_AT}"  # noqa: S608 - a number
_SECRETS = f"SELECT encode(wrapped_dek, 'hex') FROM secrets LIMIT {_LOOKED_AT}"  # noqa: S608 - a number


def encrypts(package: Path) -> bool:
    """Return whether the MLflow in this folder stores anything encrypted: webhooks do, and gateway secrets."""
    return (package / "webhooks").exists() or (package / "utils" / "crypto.py").exists()


def decrypted(address: Address, environment: Mapping[str, str] = os.environ) -> Callable[[], str]:
    """Return the question to the tracking database."""

    def question() -> str:
        try:
            ring = encryption.ring(environment)
        except encryption.KeysError as error:
            raise Away(str(error)) from None
        tables = ask(address, _TABLES)
        webhooks = ask(address, _WEBHOOKS) if "webhooks" in tables else []
        secrets = ask(address, _SECRETS) if "secrets" in tables else []
        in_force = ring.passphrases[0]
        unread = {
            "webhooks": sum(encryption.read_webhook(ring.webhook[0], secret) is None for secret in webhooks),
            "gateway secrets": sum(in_force.unwrap(bytes.fromhex(wrapped)) is None for wrapped in secrets),
        }
        if any(unread.values()):
            found = " and ".join(f"{count} {name}" for name, count in unread.items() if count)
            raise Away(f"The keys in force cannot decrypt {found}.")
        return f"The keys are the stack's own: {len(webhooks)} webhooks and {len(secrets)} gateway secrets are read."

    return question
