"""Compiles the hashed locks in requirements/ from pyproject.toml: `make lock`.

A lock holds for every platform and Python that pyproject.toml allows, and names no host: the same lock installs from
whatever package index a machine is set up for.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tools.bootstrap import python_env
from tools.bootstrap.layout import find_layout

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

COMPILE = (
    *("pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"),
    *("--no-header", "--no-emit-index-url", "--no-emit-find-links"),
)


def commands(uv: Path, *, upgrade: bool) -> tuple[tuple[str, ...], ...]:
    """The compilations in order; dev is held to runtime's versions, so that one environment serves both."""
    start = (str(uv), *COMPILE, *(("--upgrade",) if upgrade else ()))
    runtime, dev, uv_lock = (f"requirements/{name}.txt" for name in ("runtime", "dev", "uv"))
    return (
        (*start, "pyproject.toml", "--output-file", runtime),
        (*start, "pyproject.toml", "--group", "dev", "--constraint", runtime, "--output-file", dev),
        (*start, "--no-annotate", "requirements/uv.in", "--output-file", uv_lock),
    )


def main(arguments: Sequence[str]) -> int:
    """Compile the locks; 0, or the code with which uv ended."""
    parser = argparse.ArgumentParser(prog="tools.lock", description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take newer versions where pyproject.toml allows")
    options = parser.parse_args(arguments)
    layout = find_layout(dict(os.environ))
    uv = python_env.ensure_uv(layout, dict(os.environ))
    for command in commands(uv, upgrade=options.upgrade):
        code = subprocess.run(command, cwd=layout.root, check=False, timeout=600).returncode
        if code != 0:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
