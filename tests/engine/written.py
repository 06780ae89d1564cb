"""What a clone that deploys has beside its stacks' folders, by kind of file, and the tests that damage it."""

from __future__ import annotations

import fnmatch
import os
import re
from pathlib import Path
from typing import Final

_CHANGING = re.compile(r"[0-9a-f]{8,}(-[0-9a-f]+)*|\d[\dTZ]*")
FOLDERS: Final = (".pulumi-state", ".tools")
_SETUP: Final = "tests/tools/test_hostile_setup.py"
_CLI: Final = "tests/tools/test_pulumi_cli.py"
_LOCKS: Final = "tests/tools/test_locks.py"
_UNREAD: Final = "nothing that an update or a destroy needs is read from it"
_STATE: Final = ".pulumi-state/.pulumi"
KINDS: Final = {
    ".pulumi-state/passphrase": _SETUP,
    f"{_STATE}/meta.yaml": _SETUP,
    f"{_STATE}/meta.yaml.attrs": _SETUP,
    f"{_STATE}/stacks/mlflow-backend/local.json": _SETUP,
    f"{_STATE}/stacks/mlflow-backend/local.json.attrs": _SETUP,
    f"{_STATE}/stacks/mlflow-backend/local.json.bak": _UNREAD,
    f"{_STATE}/stacks/mlflow-backend/local.json.bak.attrs": _SETUP,
    f"{_STATE}/backups/*": _UNREAD,
    f"{_STATE}/history/*": _UNREAD,
    ".tools/activate": _SETUP,
    ".tools/bin/mlflow-backend.json": _SETUP,
    ".tools/bin/pulumi": _CLI,
    ".tools/bin/pulumi-language-python": _CLI,
    ".tools/bin/pulumi-language-python-exec": _CLI,
    ".tools/bin/pulumi-resource-pulumi-python": _CLI,
    ".tools/lock": _UNREAD,
    ".tools/pulumi-home/logs/*": _UNREAD,
    ".tools/uv": _LOCKS,
}
"""Patterns of kinds, and the tests that damage them. A kind that is written and that is not here is red: try it."""

CACHED: Final = frozenset({"environments", "packages", "pulumi", "schemas", "uv"})
"""The parts of the cache that a deployment writes, whose entries belong to all clones of a user."""


def each(clone: Path) -> dict[str, Path]:
    """Return a file of each kind in the clone's folders: names that differ by numbers and identities are one kind."""
    found = {}
    for folder in FOLDERS:
        for root, folders, names in os.walk(clone / folder):
            links = [name for name in folders if Path(root, name).is_symlink()]
            for name in sorted([*names, *links]):
                path = Path(root, name)
                found[_CHANGING.sub("0", str(path.relative_to(clone)))] = path
    return found


def tried_by(kind: str) -> str | None:
    """Return the tests that damage a kind, or why none does; None if nobody has placed it."""
    return next((tests for pattern, tests in KINDS.items() if fnmatch.fnmatchcase(kind, pattern)), None)
