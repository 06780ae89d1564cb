"""The linters that are written in Go, built from the module in tools/linters, as `.tools/linters`.

The others are wheels of the group dev. These are not on the package index in a form that holds the program:
actionlint's package downloads it from elsewhere while it is installed.

`python -m tools.bootstrap.linters` is what `make lint` and `make hooks` set up besides the packages.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from tools.bootstrap import go
from tools.bootstrap.layout import find_layout
from tools.bootstrap.steps import StepFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tools.bootstrap.layout import Layout

PACKAGES = ("github.com/rhysd/actionlint/cmd/actionlint", "github.com/zricethezav/gitleaks/v8")
FLAGS = ("-trimpath", "-mod=readonly", "-ldflags=-s -w")
STEP = "linters"


def main() -> int:
    """Make `.tools/linters` hold the programs; 1 with a sentence if they cannot be had."""
    layout = find_layout(dict(os.environ))
    link = layout.tools / STEP
    try:
        folder = ensure(layout, os.environ)
    except StepFailedError as failed:
        sys.stderr.write(f"set-up failed: {failed}\n")
        return 1
    if not link.is_symlink() or link.readlink() != folder:
        link.unlink(missing_ok=True)
        link.symlink_to(folder)
    return 0


def ensure(layout: Layout, environment: Mapping[str, str]) -> Path:
    """The folder of the programs. Raises StepFailedError."""
    module = layout.root / "tools" / "linters"
    build = go.Build(what="actionlint and gitleaks", step=STEP, module=module, flags=FLAGS, packages=PACKAGES)
    return build.ensure(layout.cache / STEP / build.key(), environment)


if __name__ == "__main__":
    sys.exit(main())
