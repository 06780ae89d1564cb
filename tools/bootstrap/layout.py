"""The layout of the project's ignored folders, and of the caches that all clones on the machine share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tools.bootstrap.steps import StepFailedError


@dataclass(frozen=True)
class _Below:
    """A path below the working tree."""

    name: str

    def __get__(self, layout: Layout, _owner: type) -> Path:
        return layout.root / self.name


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The folders of one set-up."""

    root: Path
    """The repository's working tree."""
    cache: Path
    """Shared by every clone of this user; safe to delete at any time."""

    venv = _Below(".venv")
    """The Python environment of the program, the scripts and the tests."""
    tools = _Below(".tools")
    """Everything else that set-up makes."""
    bin = _Below(".tools/bin")
    """The Pulumi CLI and what has to stand beside it."""
    uv = _Below(".tools/uv")
    """The folder of uv, a link into the cache; the set-up installs packages with it."""
    pulumi_home = _Below(".tools/pulumi-home")
    """Pulumi's home of this project, instead of ~/.pulumi."""
    state = _Below(".pulumi-state")
    """The file backend that holds the local stack, and its passphrase."""
    requirements = _Below("requirements")
    """The locks of the Python packages."""
    go_module = _Below("tools/offline")
    """The Go module that pins the CLI's source."""


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
