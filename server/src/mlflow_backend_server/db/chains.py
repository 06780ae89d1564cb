"""The Alembic chains of an MLflow, read from its files without importing it (3 ms instead of 4 s).

The same reader serves the installed package and an unpacked or zipped wheel. MLflow's chains have always been linear;
one that branches is refused, for 'ahead' and 'behind' would mean nothing.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend_server.db.verdicts import ExitCode, ToolError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_REVISION = re.compile(r"^revision(?:\s*:[^=]*)?\s*=\s*[\"'](\w+)[\"']", re.MULTILINE)
_DOWN = re.compile(r"^down_revision(?:\s*:[^=]*)?\s*=\s*(?:[\"'](\w+)[\"']|(None))\s*(?:#.*)?$", re.MULTILINE)
_TITLE = re.compile(r"\A\s*(?:r?\"\"\"|''')\s*(.+?)\s*$", re.MULTILINE)
TRACKING_SCRIPTS = "store/db_migrations"
AUTH_SCRIPTS = "server/auth/db/migrations"
#: From MLflow 3.6.0 the auth chain has a version table of its own; before, it used Alembic's default.
AUTH_VERSION_TABLE = "alembic_version_auth"
DEFAULT_VERSION_TABLE = "alembic_version"


@dataclass(frozen=True, kw_only=True)
class Revision:
    """One migration: its id, the id that it follows (None for the first) and its title."""

    id: str
    follows: str | None
    title: str


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The migrations of one database, first to last, and the table that holds its version."""

    name: str
    version_table: str
    revisions: tuple[Revision, ...]

    @property
    def head(self) -> str:
        """The schema head that this MLflow requires."""
        return self.revisions[-1].id

    def ids(self) -> tuple[str, ...]:
        """Return the revision ids, first to last."""
        return tuple(revision.id for revision in self.revisions)

    def after(self, revision: str | None) -> tuple[Revision, ...]:
        """Return what is pending at `revision`, all of it for an empty database (None).

        Raises ValueError for a revision that the chain does not hold.
        """
        start = 0 if revision is None else self.ids().index(revision) + 1
        return self.revisions[start:]


def read_chains(package: Traversable) -> dict[str, Chain]:
    """Return the chains `tracking` and `auth` of the MLflow package at `package`.

    Raises ToolError FAILED if it is not an MLflow package, or if a chain is not linear.
    """
    environment = (package / AUTH_SCRIPTS / "env.py").read_text(encoding="utf-8")
    auth_table = AUTH_VERSION_TABLE if AUTH_VERSION_TABLE in environment else DEFAULT_VERSION_TABLE
    return {
        "tracking": _read("tracking", package / TRACKING_SCRIPTS, DEFAULT_VERSION_TABLE),
        "auth": _read("auth", package / AUTH_SCRIPTS, auth_table),
    }


def installed_package() -> Path:
    """Return the folder of the installed MLflow.

    Raises ToolError FAILED if none is installed.
    """
    spec = importlib.util.find_spec("mlflow")
    if spec is None or spec.origin is None:
        raise ToolError(
            ExitCode.FAILED,
            "No MLflow is installed beside this tool.",
            "Run it with the Python of a server environment.",
        )
    return Path(spec.origin).parent


def installed_version() -> str:
    """Return the version of the installed MLflow."""
    return importlib.metadata.version("mlflow")


def _read(name: str, scripts: Traversable, version_table: str) -> Chain:
    found: dict[str | None, Revision] = {}
    files = [entry for entry in (scripts / "versions").iterdir() if entry.name.endswith(".py")]
    for file in files:
        text = file.read_text(encoding="utf-8")
        revision, down = _REVISION.search(text), _DOWN.search(text)
        if revision is None:
            continue
        if down is None or down[1] in found:
            raise _branched(name)
        title = _TITLE.search(text)
        found[down[1]] = Revision(id=revision[1], follows=down[1], title=title[1] if title else "")
    ordered: list[Revision] = []
    following: str | None = None
    while (step := found.pop(following, None)) is not None:
        ordered.append(step)
        following = step.id
    if found or not ordered:
        raise _branched(name)
    return Chain(name=name, version_table=version_table, revisions=tuple(ordered))


def _branched(name: str) -> ToolError:
    return ToolError(
        ExitCode.FAILED,
        f"The {name} migrations of this MLflow are not one line.",
        "This MLflow is newer than the tool understands: update mlflow-backend.",
    )
