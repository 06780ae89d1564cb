"""What a clone that deploys has beside its stacks' folders, by kind of file, and what a damaged one leads to."""

from __future__ import annotations

import fnmatch
import os
import re
from enum import StrEnum
from pathlib import Path
from typing import Final

_CHANGING = re.compile(r"[0-9a-f]{8,}(-[0-9a-f]+)*|\d[\dTZ]*")
FOLDERS: Final = (".pulumi-state", ".tools")


class Damaged(StrEnum):
    """What `make up` and `make down` do if a file of the kind is damaged; a folder in its place may always be named."""

    MENDED = "mended"
    NAMED = "named"
    UNREAD = "unread"


_STATE: Final = ".pulumi-state/.pulumi"
KINDS: Final = {
    ".pulumi-state/passphrase": Damaged.NAMED,
    f"{_STATE}/meta.yaml": Damaged.MENDED,
    f"{_STATE}/meta.yaml.attrs": Damaged.MENDED,
    f"{_STATE}/stacks/mlflow-backend/local.json": Damaged.NAMED,
    f"{_STATE}/stacks/mlflow-backend/local.json.attrs": Damaged.MENDED,
    f"{_STATE}/stacks/mlflow-backend/local.json.bak": Damaged.UNREAD,
    f"{_STATE}/stacks/mlflow-backend/local.json.bak.attrs": Damaged.MENDED,
    f"{_STATE}/backups/*": Damaged.UNREAD,
    f"{_STATE}/history/*": Damaged.UNREAD,
    ".tools/activate": Damaged.MENDED,
    ".tools/bin/mlflow-backend.json": Damaged.MENDED,
    ".tools/bin/pulumi": Damaged.MENDED,
    ".tools/bin/pulumi-language-python": Damaged.MENDED,
    ".tools/bin/pulumi-language-python-exec": Damaged.MENDED,
    ".tools/bin/pulumi-resource-pulumi-python": Damaged.MENDED,
    ".tools/lock": Damaged.UNREAD,
    ".tools/pulumi-home/logs/*": Damaged.UNREAD,
    ".tools/uv": Damaged.MENDED,
}
"""Patterns of kinds. A kind that a deployment writes and that is not here is red: place it, and try it."""

CACHED: Final = frozenset({"environments", "packages", "pulumi", "schemas", "uv"})
"""The parts of the cache that a deployment writes.

Tests of damages: tests/components/local/test_templates.py for schemas, test_package.py and test_state.py beside it for
packages and environments, tests/tools/test_pulumi_cli.py and test_installs.py for the others.
"""


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


def damaged(kind: str) -> Damaged | None:
    """Return what a damaged file of the kind leads to, None if nobody has placed it."""
    return next((way for pattern, way in KINDS.items() if fnmatch.fnmatchcase(kind, pattern)), None)
