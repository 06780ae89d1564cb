"""A shell in a stack's project that has `aws`, `docker` and `make`: what a page or a message offers is typed there.

`make` is the real one with the project's own Makefile; only its set-up is left out, because the tests' is done.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from tests.engine.project import ROOT
from tests.rig.aws.builder import ADDRESS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.project import Outcome
    from tests.rig.aws.builder import Builder
    from tests.rig.aws.stack import AwsStack

_PYTHON: Final = ROOT / ".venv" / "bin" / "python"
_MAKE: Final = f"exec /usr/bin/make -f {ROOT}/Makefile SETUP=true ACTIVATE=true FORGET_SALT='exit $$?' \"$@\""


class Shell:
    """Programs of their own before everything else on PATH."""

    def __init__(self, folder: Path, stack: AwsStack, builder: Builder) -> None:
        """Lay out the programs, and make the project a repository with one commit."""
        folder.mkdir()
        (stack.project / "scripts").unlink()
        for part in ("requirements", "scripts", "server", "tools"):
            shutil.copytree(ROOT / part, stack.project / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / ".gitignore", stack.project)
        self._stack, self._folder = stack, folder
        for name, module in (("aws", "command"), ("docker", "builder")):
            self._program(name, f'PYTHONPATH={ROOT} exec {_PYTHON} -m tests.rig.aws.{module} "$@"')
        self._program("make", _MAKE)
        self._variables = {
            "PATH": f"{folder}:{stack.environment['PATH']}",
            ADDRESS: builder.address,
            "RIG_LOGIN": str(folder / "login"),
        }
        author = "-c user.name=somebody -c user.email=somebody@example.com"
        done = self.run(f"git init --quiet && git add --all && git {author} commit --quiet --message first")
        assert done.ok, done.text

    def run(self, script: str) -> Outcome:
        """Run lines as they stand; the first that fails ends them."""
        return self._stack.run("bash", "-euo", "pipefail", "-c", script, more=self._variables)

    def _program(self, name: str, line: str) -> None:
        path = self._folder / name
        path.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        path.chmod(0o700)
