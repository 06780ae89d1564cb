"""Downloads from the vendor's hosts, or from a mirror that the user names."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from tools.bootstrap.steps import UnavailableError, heartbeat

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SILENCE_S = 20.0
"""Seconds without a byte after which a download counts as broken off."""
CHUNK = 1 << 20


def fetch(url: str, target: Path, *, step: str) -> str:
    """Download to a file; return its SHA-256. Raises UnavailableError."""
    whole = hashlib.sha256()
    with heartbeat(step), target.open("wb") as file:
        for chunk in chunks(url):
            whole.update(chunk)
            file.write(chunk)
    return whole.hexdigest()


def chunks(url: str) -> Iterator[bytes]:
    """Yield what a URL answers, in pieces of a MiB.

    Raises:
        UnavailableError: it cannot be reached, answers with an error, or breaks off.
    """
    failed = "is not reachable"
    try:
        with urllib.request.urlopen(url, timeout=SILENCE_S) as answer:  # noqa: S310 - the vendor's, or named by the user
            failed = "broke off"
            while chunk := answer.read(CHUNK):
                yield chunk
            if answer.length:
                raise http.client.IncompleteRead(b"", answer.length)
    except urllib.error.HTTPError as error:
        error.close()
        message = f"{url} answers {error.code}"
        raise UnavailableError(message) from error
    except (OSError, http.client.HTTPException) as error:
        message = f"{url} {failed} ({getattr(error, 'reason', error)})"
        raise UnavailableError(message) from error
