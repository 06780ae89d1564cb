"""Checks that artifacts go up, come back equal and can be deleted, the way that clients of the server do it."""

from __future__ import annotations

import hashlib
import os
import secrets
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from components.verify.model import Exchange, Finding, Unexpected, failed, passed, skipped

if TYPE_CHECKING:
    from components.verify.context import Context

ROUTE: Final = "/api/2.0/mlflow-artifacts/artifacts"
SMALL: Final = 1024
"""Bytes of the small artifact; random, so that neither compression nor cache can pass for the store."""
LARGE: Final = 33 << 20
"""Bytes of the large one: above the limits of nginx (1 MiB by default), API Gateway (10 MB) and Cloud Run (32 MiB)."""


def artifact(context: Context) -> Finding:
    """A small artifact goes up, comes back equal and is deleted."""
    folder = run_folder(context)
    if folder is None:
        return _not_proxied(context)
    return roundtrip(context, f"{folder}/probe/small.bin", secrets.token_bytes(SMALL))


def artifact_large(context: Context) -> Finding:
    """An artifact beyond the usual limits of body size goes up, is listed, comes back equal and is deleted."""
    folder = run_folder(context)
    if folder is None:
        return _not_proxied(context)
    return roundtrip(context, f"{folder}/large/large.bin", os.urandom(LARGE), patient=True, listed=True)


def run_folder(context: Context) -> str | None:
    """The path of the run's artifacts below the artifact route, None when clients write to the store themselves."""
    root = urlsplit(context.made.artifact_root)
    if root.scheme == "mlflow-artifacts":
        return root.path.strip("/")
    if root.scheme in {"http", "https"} and ROUTE in root.path:
        return root.path.partition(ROUTE)[2].strip("/")
    return None


def roundtrip(context: Context, path: str, content: bytes, *, patient: bool = False, listed: bool = False) -> Finding:
    """Upload, list where asked, download, compare and delete one artifact. `patient`: a transfer may take long.

    Raises `Unexpected`.
    """
    undo = context.undo_later("artifact", lambda later: _delete(later, path))
    up = _send(context, "PUT", path, body=content, patient=patient)
    if not up.ok:
        # A refused upload is a bare 500 whatever the reason; what a listing answers tells key, bucket and outage apart.
        folder = path.rpartition("/")[0]
        raise Unexpected(up, large=patient, also=context.send("GET", ROUTE, query={"path": folder}))
    if listed and (finding := _missing_in_list(context, path, len(content))) is not None:
        return finding
    down = _send(context, "GET", path, patient=patient)
    if not down.ok:
        raise Unexpected(down, fresh=True, large=patient)
    if hashlib.sha256(down.body).digest() != hashlib.sha256(content).digest():
        return failed(
            f"{len(content)} bytes went up, {len(down.body)} other bytes came down",
            code="artifact-changed",
            cause=(
                "Something between client and store changes or cuts bodies: a proxy's buffer, a transfer encoding, a "
                "cache."
            ),
            next_step=(
                "Repeat the transfer against the server directly, then against the store, to see where the bytes "
                "change."
            ),
        )
    _delete(context, path)
    context.undone(undo)
    return passed(f"{_size(len(content))} up, down, equal by SHA-256, deleted")


def _delete(context: Context, path: str) -> None:
    # The folder, not the file: MLflow 2.9 on a plain directory fails to delete a file (it calls rmtree for both).
    exchange = _send(context, "DELETE", path.rpartition("/")[0])
    if not exchange.ok:
        raise Unexpected(exchange)


def _missing_in_list(context: Context, path: str, size: int) -> Finding | None:
    folder, _, name = path.removeprefix(f"{run_folder(context)}/").rpartition("/")
    files = context.get("artifacts/list", fresh=True, run_id=context.made.run_id, path=folder).items("files")
    if {str(item.get("path")): int(item.get("file_size") or 0) for item in files}.get(f"{folder}/{name}") == size:
        return None
    return failed(
        f"{name} of {size} bytes is not in the run's list of artifacts",
        code="artifact-not-listed",
        cause="The store lists late or not at all, or the list comes from another server or a cache.",
        next_step="List the run's folder in the store itself, and see what the server's role may list.",
    )


def _send(context: Context, method: str, path: str, *, body: bytes | None = None, patient: bool = False) -> Exchange:
    headers = {"Content-Type": "application/octet-stream"} if body is not None else None
    # The two sizes are two endpoints of the latency table.
    endpoint = f"{ROUTE}/*.bin (large)" if patient else f"{ROUTE}/*"
    route = f"{ROUTE}/{quote(path)}"
    return context.send(method, route, endpoint=endpoint, body=body, headers=headers, patient=patient)


def _not_proxied(context: Context) -> Finding:
    scheme = urlsplit(context.made.artifact_root).scheme or "file"
    if not context.subject.proxied_artifacts:
        return skipped(f"clients write to {scheme}:// themselves; the server takes no artifacts")
    return failed(
        f"runs keep their artifacts at {scheme}://, not behind the server",
        code="not-proxied",
        cause=(
            "The server runs with --no-serve-artifacts or with another --default-artifact-root than mlflow-artifacts:/."
        ),
        next_step="Let the server serve artifacts, so that clients need no key to the store.",
    )


def _size(count: int) -> str:
    return f"{count // 1024} KiB" if count < 1 << 20 else f"{count >> 20} MiB"
