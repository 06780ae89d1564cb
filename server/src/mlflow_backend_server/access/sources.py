"""The source of API keys, and a holder that reads it again and again, so that a revoked key ends.

A file (mounted secrets of Kubernetes and the local target change in place), an AWS secret by its ARN (`ARN#KEY` for one
key of a secret that is a JSON object) or a Google one by its resource name. A secret given as a plain environment
variable could not be revoked without a new deployment.
"""

from __future__ import annotations

import base64
import importlib
import json
import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend_server.access.keys import KeyFileError, StoredKey, parse

if TYPE_CHECKING:
    from collections.abc import Callable

_logger = logging.getLogger(__name__)
#: How often the secret is read. A revoked key is accepted for this and the time of one slow answer more.
REFRESH_S = 20.0
#: A source that could not be read for so long revokes all keys: nobody could revoke one while it is away.
STALE_AFTER_S = 600.0
_TIMEOUT_S = 10


def reader(address: str) -> Callable[[], str]:
    """Return a function that reads the secret at `address`."""
    if address.startswith("arn:"):
        return lambda: _aws(address)
    if address.startswith("projects/"):
        return lambda: _google(address)
    path = Path(address.removeprefix("file://"))
    return lambda: path.read_text(encoding="utf-8")


class KeyRing:
    """The keys as they were last read."""

    def __init__(self, read: Callable[[], str], *, clock: Callable[[], float] = time.monotonic) -> None:
        """Read once, so that a server with a broken secret does not start; raises what reading or parsing raises."""
        self._read, self._clock = read, clock
        self._keys = parse(read())
        self._read_at = clock()
        #: Called with the names of the keys that came and went, those of a changed key among both.
        self.changed: Callable[[list[str], list[str]], None] = lambda _came, _went: None

    def keys(self) -> tuple[StoredKey, ...]:
        """Return the valid keys; none while the source has been unreadable for STALE_AFTER_S."""
        return self._keys if self._clock() - self._read_at < STALE_AFTER_S else ()

    def refresh(self) -> None:
        """Read the secret again; the keys stay as they are if that fails."""
        try:
            before, self._keys = self._keys, parse(self._read())
            self._read_at = self._clock()
            came, went = set(self._keys) - set(before), set(before) - set(self._keys)
            if came or went:
                self.changed(sorted(key.name for key in came), sorted(key.name for key in went))
        except KeyFileError as error:
            _logger.error("The API keys were not read again: %s.", error)  # noqa: TRY400 - the trace could show a key
        except Exception as error:  # noqa: BLE001 - a source that is away must not end the refreshing for good
            _logger.error("The API keys were not read again: %s.", type(error).__name__)  # noqa: TRY400 - the same

    def keep_fresh(self) -> None:
        """Refresh every REFRESH_S in a thread, whether or not there are requests."""
        threading.Thread(target=self._loop, name="api-keys", daemon=True).start()

    def _loop(self) -> None:
        pause = threading.Event()
        while not pause.wait(REFRESH_S):
            self.refresh()


def _aws(arn: str) -> str:
    boto3 = importlib.import_module("boto3")
    config = importlib.import_module("botocore.config").Config(
        connect_timeout=_TIMEOUT_S, read_timeout=_TIMEOUT_S, retries={"max_attempts": 1}
    )
    name, _, key = arn.partition("#")
    client = boto3.client("secretsmanager", region_name=name.split(":")[3], config=config)
    text = str(client.get_secret_value(SecretId=name)["SecretString"])
    return str(json.loads(text)[key]) if key else text


def _google(name: str) -> str:
    auth = importlib.import_module("google.auth")
    transport = importlib.import_module("google.auth.transport.requests")
    credentials, _ = auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    version = name if "/versions/" in name else f"{name}/versions/latest"
    answer = transport.AuthorizedSession(credentials).get(
        f"https://secretmanager.googleapis.com/v1/{version}:access", timeout=_TIMEOUT_S
    )
    answer.raise_for_status()
    return base64.b64decode(answer.json()["payload"]["data"]).decode()
