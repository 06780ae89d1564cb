"""Checks that artifacts go up, come back equal and can be deleted, the way that clients of the server do it."""

from __future__ import annotations

import hashlib
import os
import secrets
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from mlflow_backend.verify.model import Finding, Request, Unexpected, failed, passed, skipped

OK: Final = 200
PARTIAL: Final = 206
UNSATISFIABLE: Final = 416

if TYPE_CHECKING:
    from mlflow_backend.verify.context import Context

ROUTE: Final = "/api/2.0/mlflow-artifacts/artifacts"
USUAL: Final = 5 << 18
"""Bytes of the usual artifact, 1.25 MiB: more than nginx takes by default, and than a server keeps in memory.
Random, so that neither compression nor cache can pass for the store."""
LARGE: Final = 33 << 20
"""Bytes of the large one: above the limits of API Gateway (10 MB) and Cloud Run (32 MiB)."""
MOST: Final = 128 << 20
"""The most that is sent to come close to a limit that the server is known to have."""
MARGIN: Final = 64 << 10
"""Bytes that a body which must pass stays below a known limit."""
PIECE: Final = 4000
"""Bytes of the piece that is asked for, near the end: a front that knows only beginnings shows."""


def artifact(context: Context) -> Finding:
    """An artifact goes up, comes back equal, whole and in pieces, and is deleted."""
    folder = run_folder(context)
    if folder is None:
        return _not_proxied(context)
    content = secrets.token_bytes(size_below(context.subject.max_upload_mib, USUAL))
    return roundtrip(context, f"{folder}/probe/usual.bin", content, pieces=True)


def artifact_large(context: Context) -> Finding:
    """An artifact close to the server's limit goes up, is listed, comes back equal and is deleted."""
    folder = run_folder(context)
    if folder is None:
        return _not_proxied(context)
    limit = context.subject.max_upload_mib
    content = os.urandom(size_below(limit, MOST if limit else LARGE))
    return roundtrip(context, f"{folder}/large/large.bin", content, patient=True, listed=True)


def size_below(limit_mib: int | None, wanted: int) -> int:
    """As many bytes as are wanted, and no more than the server is known to take."""
    return wanted if limit_mib is None else min(wanted, (limit_mib << 20) - MARGIN)


def run_folder(context: Context) -> str | None:
    """The path of the run's artifacts below the artifact route, None when clients write to the store themselves."""
    root = urlsplit(context.created.artifact_root)
    if root.scheme == "mlflow-artifacts":
        return root.path.strip("/")
    if root.scheme in {"http", "https"} and ROUTE in root.path:
        return root.path.partition(ROUTE)[2].strip("/")
    return None


def roundtrip(  # noqa: PLR0913 - what is asked of one artifact
    context: Context, path: str, content: bytes, *, patient: bool = False, listed: bool = False, pieces: bool = False
) -> Finding:
    """Upload, list if asked, download, compare and delete one artifact. `patient`: a transfer may take long.

    Raises `Unexpected`.
    """
    undo = context.undo_later("artifact", lambda later: _delete(later, path))
    up = context.send(_request("PUT", path, body=content, patient=patient))
    if not up.ok:
        # A refused upload is a bare 500 whatever the reason. A listing's answer distinguishes key, bucket and outage; a
        # download of what is not there distinguishes the store from the server's own temporary folder.
        also = context.send(Request("GET", ROUTE, query={"path": path.rpartition("/")[0]}))
        raise Unexpected(up, large=patient, also=also, missing=context.send(_request("GET", path)) if also.ok else None)
    if listed and (finding := _missing_in_list(context, path, len(content))) is not None:
        return finding
    down = context.send(_request("GET", path, patient=patient))
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
    if pieces and (finding := _wrong_piece(context, path, content) or _wrong_head(context, path, content)) is not None:
        return finding
    _delete(context, path)
    context.undone(undo)
    return passed(f"{_size(len(content))} up, down, equal by SHA-256, deleted")


def _wrong_piece(context: Context, path: str, content: bytes) -> Finding | None:
    """What is wrong with a part of the artifact; None if it is right, or all of it came, as servers may answer."""
    last = len(content) - PIECE // 2
    first = last - PIECE + 1
    down = context.send(_request("GET", path, headers={"Range": f"bytes={first}-{last}"}))
    if not down.ok and down.status != UNSATISFIABLE:
        raise Unexpected(down, fresh=True)
    said = down.headers.get("content-range", "")
    right = (f"bytes {first}-{last}/{len(content)}", content[first : last + 1])
    if down.status == OK and down.body == content:
        return None
    if down.status == PARTIAL and (said, down.body) == right:
        return None
    return failed(
        f"bytes {first} to {last} were asked for; {down.status} {said or 'without Content-Range'} brought "
        f"{len(down.body)} bytes that are neither those nor the whole",
        code="wrong-range",
        cause="Something in front answers ranges itself, from a cache or in blocks of its own, and does so wrongly.",
        next_step="Let the front pass Range on, or take it out (nginx: proxy_set_header Range ''), and cache nothing.",
    )


def _wrong_head(context: Context, path: str, content: bytes) -> Finding | None:
    """What is wrong with the artifact's HEAD; None if it is right."""
    head = context.send(_request("HEAD", path))
    if not head.ok:
        raise Unexpected(head, fresh=True)
    # Servers before 3.17 announce no length; what compresses announces another.
    length = head.headers.get("content-length")
    if "content-encoding" in head.headers or length in {None, "0", str(len(content))}:
        return None
    return failed(
        f"HEAD announces {length} bytes, the artifact has {len(content)}",
        code="wrong-head",
        cause="Something in front answers HEAD itself, from a cache or by a page of its own.",
        next_step="Let the front pass HEAD on.",
    )


def _delete(context: Context, path: str) -> None:
    # The folder, not the file: MLflow 2.9 on a plain directory fails to delete a file (it calls rmtree for both).
    exchange = context.send(_request("DELETE", path.rpartition("/")[0]))
    if not exchange.ok:
        raise Unexpected(exchange)


def _missing_in_list(context: Context, path: str, size: int) -> Finding | None:
    folder, _, name = path.removeprefix(f"{run_folder(context)}/").rpartition("/")
    files = context.get("artifacts/list", fresh=True, run_id=context.created.run_id, path=folder).items("files")
    if {str(item.get("path")): int(item.get("file_size") or 0) for item in files}.get(f"{folder}/{name}") == size:
        return None
    return failed(
        f"{name} of {size} bytes is not in the run's list of artifacts",
        code="artifact-not-listed",
        cause="The store lists late or not at all, or the list comes from another server or a cache.",
        next_step="List the run's folder in the store itself, and see what the server's role may list.",
    )


def _request(
    method: str, path: str, *, body: bytes | None = None, headers: dict[str, str] | None = None, patient: bool = False
) -> Request:
    sent = {"Content-Type": "application/octet-stream"} if body is not None else headers or {}
    # The two sizes are two endpoints of the latency table.
    endpoint = f"{ROUTE}/*.bin (large)" if patient else f"{ROUTE}/*"
    return Request(method, f"{ROUTE}/{quote(path)}", endpoint=endpoint, body=body, headers=sent, patient=patient)


def _not_proxied(context: Context) -> Finding:
    scheme = urlsplit(context.created.artifact_root).scheme or "file"
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
    return f"{count / (1 << 20):.3g} MiB"
