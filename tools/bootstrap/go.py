"""Programs built from Go modules, once a machine: each folder's name says what it was built from.

go.sum ties the modules to their content, wherever Go's proxy gets them from.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.bootstrap import files, pins
from tools.bootstrap.commands import CommandError, run
from tools.bootstrap.steps import StepFailedError, heartbeat, say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    Go = Callable[..., str]
    """Runs Go in the module; takes its arguments and returns what it printed."""

DEADLINE_S = 1800
"""Seconds. The Pulumi CLI takes 3 to 8 minutes on 2 cores, and its modules have to be downloaded first."""


@dataclass(frozen=True, kw_only=True)
class Build:
    """What is built: `packages` of the module in the folder `module`, called `what` in sentences.

    `instead` is another way to the same, for whoever has no Go or cannot build.
    """

    what: str
    step: str
    module: Path
    flags: Sequence[str]
    packages: Sequence[str]
    instead: str = ""

    def key(self) -> str:
        """A name for what the build gives: the pinned modules, the flags, and the platform."""
        pinned = [(self.module / name).read_bytes() for name in ("go.mod", "go.sum")]
        return files.digest(*pinned, "\n".join(self.flags).encode(), str(pins.platform_name()).encode())

    def ensure(
        self, folder: Path, environment: Mapping[str, str], also: Callable[[Path, Go], None] | None = None
    ) -> Path:
        """Return `folder` with the programs, and with what `also` puts there; built if this machine has not got it yet.

        Raises:
            StepFailedError: there is no Go, or the build fails.
        """
        if folder.exists():
            return folder
        program = shutil.which("go", path=environment.get("PATH"))
        if program is None:
            raise StepFailedError(
                what=f"building {self.what}",
                why="there is no `go` on PATH",
                fix=f"install Go (1.21 or newer fetches the version it needs){self.instead}, and try again",
            )
        # The user's Go settings but for those that would change what is built.
        settings = {**environment, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}

        def go(*arguments: str) -> str:
            return run((program, *arguments), deadline_s=DEADLINE_S, environment=settings, cwd=self.module)

        with files.locked(folder.with_name(f"{folder.name}.lock"), step=self.step):
            if not folder.exists():
                say(self.step, f"building {self.what} from Go modules; this takes minutes, once a machine")
                try:
                    with heartbeat(self.step), files.appearing(folder) as scratch:
                        go("build", *self.flags, "-o", f"{scratch}/", *self.packages)
                        if also is not None:
                            also(scratch, go)
                except (CommandError, OSError) as error:
                    raise StepFailedError(
                        what=f"building {self.what}",
                        why=str(error),
                        fix="check that Go reaches its module proxy (`go env GOPROXY`) and that the disk has 4 GiB left"
                        f"{self.instead}",
                    ) from error
        return folder
