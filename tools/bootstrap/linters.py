"""The linters that are written in Go, built once a machine from the module in tools/linters, as `.tools/linters`.

The others are wheels of the group dev. These are not on the package index in a form that holds the program:
actionlint's package downloads it from elsewhere while it is installed. Here go.sum ties them to their content.

`python -m tools.bootstrap.linters` is what `make lint` and `make hooks` set up besides the packages.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from tools.bootstrap import files, pins
from tools.bootstrap.commands import CommandError, run
from tools.bootstrap.layout import find_layout
from tools.bootstrap.steps import StepFailedError, say

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tools.bootstrap.layout import Layout

PACKAGES = {
    "actionlint": "github.com/rhysd/actionlint/cmd/actionlint",
    "gitleaks": "github.com/zricethezav/gitleaks/v8",
}
"""The package of each program."""

FLAGS = ("-trimpath", "-mod=readonly", "-ldflags=-s -w")
BUILD_DEADLINE_S = 900
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
    """The folder of the programs, built when this machine has not built these pins yet.

    Raises:
        StepFailedError: there is no Go, or the build fails.
    """
    module = layout.root / "tools" / "linters"
    pinned = [(module / name).read_bytes() for name in ("go.mod", "go.sum")]
    key = files.digest(*pinned, "\n".join(FLAGS).encode(), str(pins.platform_name()).encode())
    folder = layout.cache / STEP / key
    if not folder.exists():
        with files.locked(folder.with_name(f"{folder.name}.lock"), step=STEP):
            if not folder.exists():
                with files.appearing(folder) as scratch:
                    _build(scratch, layout, environment)
    return folder


def _build(scratch: Path, layout: Layout, environment: Mapping[str, str]) -> None:
    go = shutil.which("go", path=environment.get("PATH"))
    if go is None:
        raise StepFailedError(
            what=f"building {' and '.join(PACKAGES)}",
            why="there is no `go` on PATH",
            fix="install Go (1.21 or newer fetches the version it needs) and try again",
        )
    say(STEP, f"building {' and '.join(PACKAGES)} from their Go modules; this takes a minute, once a machine")
    settings = {**environment, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
    argv = (go, "build", *FLAGS, "-o", f"{scratch}/", *PACKAGES.values())
    try:
        run(argv, deadline_s=BUILD_DEADLINE_S, environment=settings, cwd=layout.root / "tools" / "linters")
    except CommandError as error:
        raise StepFailedError(
            what=f"building {' and '.join(PACKAGES)}",
            why=str(error),
            fix="check that Go reaches its module proxy (`go env GOPROXY`), then try again",
        ) from error


if __name__ == "__main__":
    sys.exit(main())
