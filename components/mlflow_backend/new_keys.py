"""New encryption keys of a stack, drawn at random; what they are for is in `mlflow_backend.server.keys`."""

from __future__ import annotations

import base64
import secrets

from mlflow_backend.server.keys import FIRST_VERSION, FORMER, KEY_BYTES, PASSPHRASE, VERSION, WEBHOOK


def draw() -> dict[str, str]:
    """Return keys that no stack has."""
    return {
        WEBHOOK: base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode(),
        PASSPHRASE: secrets.token_hex(KEY_BYTES),
        VERSION: str(FIRST_VERSION),
        FORMER: "[]",
    }
