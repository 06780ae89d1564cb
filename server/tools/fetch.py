"""Fetch one file and keep it only if its SHA-256 is the expected one: `fetch.py URL SHA256 OUTPUT`.

Runs in the image's build with nothing but Python.
"""

from __future__ import annotations

import hashlib
import sys
import urllib.request
from pathlib import Path

TIMEOUT_S = 60


class FetchError(Exception):
    """The file is not what was expected."""


def fetch(url: str, sha256: str) -> bytes:
    """Return the content at `url`. Raises FetchError if it has another checksum."""
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - checked by its hash
        content: bytes = answer.read()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise FetchError(f"{url} has SHA-256 {found}, and {sha256} was expected")
    return content


def main() -> int:
    """Fetch and write; 0 when done, 1 with a sentence when not."""
    url, sha256, output = sys.argv[1:]
    try:
        Path(output).write_bytes(fetch(url, sha256))
    except (FetchError, OSError) as error:
        print(f"fetch: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
