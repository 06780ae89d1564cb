"""API keys of a local stack: made by the server package, kept as salted hashes in the file that its servers read.

A server reads that file again every 20 s, so neither a new key nor a revoked one needs an update.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend import packaged
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local.state import write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mlflow_backend.local.state import StateDir

FILE: Final = "api-keys"
OWN: Final = "operator"
"""The name of the key that a stack is made with: for verification, and for its first user."""
_TIMEOUT_S = 30


def mint(name: str, scope: str, *, days: int = 0) -> tuple[str, dict[str, str]]:
    """Return a new key for its user, and its entry for the file; it expires after so many days, 0 for never.

    Raises PlatformFailed for a name that cannot be one.
    """
    done = subprocess.run(
        [sys.executable, "-m", "mlflow_backend_server.keys", name, scope, "--days", str(days)],
        env={"PYTHONPATH": str(packaged.SOURCE)},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        finding = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"ended with {done.returncode}"
        raise PlatformFailed(finding, code="api-key-name-refused", fix="Choose another name", part=f"API key {name}")
    made = json.loads(done.stdout)
    return made["key"], made["entry"]


def entries(state: StateDir) -> list[dict[str, Any]]:
    """Return the entries of the keys that are valid; they hold hashes and no key.

    Raises PlatformFailed if the file is none of entries.
    """
    path = state.credentials / FILE
    try:
        found = json.loads(path.read_text())["keys"]
        if all({"name", "scope", "salt", "sha256"} <= entry.keys() for entry in found):
            return list(found)
        problem = "it holds an entry that is none of a key"
    except FileNotFoundError:
        return []
    except OSError as error:
        problem = f"it cannot be read ({error.strerror})"
    except (ValueError, KeyError, TypeError, AttributeError):
        problem = "it is no JSON object with a list of keys"
    fix = "Put it back from a copy, or remove it: `make up` then makes the stack's own key anew. Add other keys again"
    raise PlatformFailed(problem, code="api-keys-unreadable", fix=fix, part=str(path))


def matches(entry: Mapping[str, str], key: str) -> bool:
    """Return whether an entry is that of a key."""
    try:
        salt = bytes.fromhex(entry["salt"])
    except ValueError:
        return False
    return hashlib.sha256(salt + key.encode(errors="surrogateescape")).hexdigest() == entry["sha256"]


def save(state: StateDir, kept: Sequence[dict[str, Any]]) -> None:
    """Replace the entries: who has none there any more is refused within a minute."""
    write(state.credentials / FILE, json.dumps({"keys": list(kept)}, indent=2) + "\n")


def add(state: StateDir, name: str, scope: str, *, days: int = 0) -> Path:
    """Make a key, let it in, and return the file of mode 600 that holds it.

    Raises PlatformFailed for a name that is taken or cannot be one.
    """
    with state.locked("credentials"):
        if any(entry["name"] == name for entry in entries(state)):
            raise PlatformFailed(
                "there is one of that name",
                code="api-key-exists",
                fix="Revoke it first, or choose another",
                part=f"API key {name}",
            )
        key, entry = mint(name, scope, days=days)
        path = state.credentials / (f"api-key-{name}" if name != OWN else "api-key")
        write(path, key)
        save(state, [*entries(state), entry])
        return path


def revoke(state: StateDir, name: str) -> None:
    """Take a key's entry out, and its file. Raises PlatformFailed if there is none, and for the stack's own key."""
    if name == OWN:
        raise PlatformFailed(
            "verification uses it",
            code="api-key-in-use",
            fix=f"Rotate it: delete {state.credentials}/api-key",
            part=f"API key {name}",
        )
    with state.locked("credentials"):
        kept = [entry for entry in entries(state) if entry["name"] != name]
        if len(kept) == len(entries(state)):
            raise PlatformFailed(
                "there is none of that name", code="api-key-unknown", fix="List them", part=f"API key {name}"
            )
        save(state, kept)
        (state.credentials / f"api-key-{name}").unlink(missing_ok=True)
