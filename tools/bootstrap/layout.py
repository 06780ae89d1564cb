"""Where things lie: the project's ignored folders, and the caches that all clones on the machine share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tools.bootstrap.steps import StepFailedError


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The folders of one set-up."""

    root: Path
    """The repository's working tree."""
    cache: Path
    """Shared by every clone of this user; safe to delete at any time."""

    @property
    def venv(self) -> Path:
        """The Python environment of the program, the scripts and the tests."""
        return self.root / ".venv"

    @property
    def tools(self) -> Path:
        """Everything else that set-up makes."""
        return self.root / ".tools"

    @property
    def bin(self) -> Path:
        """The Pulumi CLI and what has to stand beside it."""
        return self.tools / "bin"

    @property
    def uv(self) -> Path:
        """The folder of uv, a link into the cache; the set-up installs packages with it."""
        return self.tools / "uv"

    @property
    def pulumi_home(self) -> Path:
        """Pulumi's home of this project, in the place of ~/.pulumi."""
        return self.tools / "pulumi-home"

    @property
    def state(self) -> Path:
        """The file backend that holds the local stack, and its passphrase."""
        return self.root / ".pulumi-state"

    @property
    def requirements(self) -> Path:
        """The locks of the Python packages."""
        return self.root / "requirements"

    @property
    def go_module(self) -> Path:
        """The Go module that pins the CLI's source."""
        return self.root / "tools" / "offline"


def find_layout(environment: dict[str, str]) -> Layout:
    """The layout of the tree that this file is in, with the cache where the XDG rules put it."""
    try:
        cache_home = environment.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    except RuntimeError:
        raise StepFailedError(
            what="finding the cache",
            why="HOME is not set, and this user has no home",
            fix="name a folder by XDG_CACHE_HOME",
        ) from None
    return Layout(root=Path(__file__).resolve().parents[2], cache=Path(cache_home, "mlflow-backend"))
