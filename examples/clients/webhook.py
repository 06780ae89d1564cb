"""What takes MLflow's webhook and starts a workflow: a new champion of the registry is promoted by Argo Workflows.

Argo cannot check MLflow's signature, and MLflow sends no token: so this stands between the two. It needs Python alone.
MLflow 3.3.0 and newer has webhooks; made once by somebody who may:

    client.create_webhook("champion", "https://webhook.example.com/", ["model_version_alias.created"], secret=SECRET)
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ALIAS: Final = "champion"
MODEL: Final = "forecasts"
LONGEST: Final = 1 << 20
OLDEST_S: Final = 300
"""An older delivery is refused: whoever recorded one cannot send it again tomorrow."""


def is_signed(headers: Mapping[str, str], body: bytes, secret: str, *, now: float) -> bool:
    """Return whether MLflow signed this body with the webhook's secret, and not long ago."""
    sent_at = headers.get("X-MLflow-Timestamp", "")
    if not sent_at.isdecimal() or abs(now - int(sent_at)) > OLDEST_S:
        return False
    content = f"{headers.get('X-MLflow-Delivery-Id', '')}.{sent_at}.".encode() + body
    expected = base64.b64encode(hmac.new(secret.encode(), content, hashlib.sha256).digest()).decode()
    return hmac.compare_digest(f"v1,{expected}".encode(), headers.get("X-MLflow-Signature", "").encode())


def version_to_promote(body: bytes) -> str | None:
    """Return the version of the model that became champion, None if the event is about something else."""
    event = json.loads(body)
    data = event.get("data", {})
    is_ours = (data.get("name"), data.get("alias")) == (MODEL, ALIAS)
    created = (event.get("entity"), event.get("action")) == ("model_version_alias", "created")
    return str(int(data["version"])) if created and is_ours else None


def submit(version: str) -> None:
    """Let Argo run the template beside this file. Raises OSError."""
    namespace = os.environ.get("ARGO_NAMESPACE", "default")
    request = {
        "namespace": namespace,
        "resourceKind": "WorkflowTemplate",
        "resourceName": "promote-forecasts",
        "submitOptions": {"parameters": [f"version={version}"]},
    }
    token = Path(os.environ["ARGO_TOKEN_FILE"]).read_text(encoding="utf-8").strip()
    asked = urllib.request.Request(  # noqa: S310 - the operator's own URL
        f"{os.environ['ARGO_SERVER']}/api/v1/workflows/{namespace}/submit",
        data=json.dumps(request).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked, timeout=10):  # noqa: S310 - as above
        pass


class Receiver(BaseHTTPRequestHandler):
    """Takes one delivery. MLflow sends it again if the answer is an error of the server's."""

    timeout = 10

    def do_POST(self) -> None:
        """Check the signature, and start a workflow for a new champion."""
        length = self.headers.get("Content-Length", "")
        body = self.rfile.read(int(length)) if length.isdecimal() and int(length) <= LONGEST else b""
        secret = Path(os.environ["WEBHOOK_SECRET_FILE"]).read_text(encoding="utf-8").strip()
        if not is_signed(self.headers, body, secret, now=time.time()):
            self.send_error(401)
            return
        if version := version_to_promote(body):
            try:
                submit(version)
            except OSError:
                self.send_error(503)
                return
        self.send_response(204)
        self.end_headers()


if __name__ == "__main__":
    ThreadingHTTPServer(("", int(os.environ.get("PORT", "8080"))), Receiver).serve_forever()
