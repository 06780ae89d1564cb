"""The Python environment `.venv`, from the hashed lock of one group, and the uv that installs it.

Which packages are in a group is said in pyproject.toml; `make lock` compiles the locks.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend import certificates
from tools.bootstrap import files
from tools.bootstrap.commands import CommandError, run
from tools.bootstrap.steps import StepFailedError, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.bootstrap.layout import Layout

GROUPS = ("runtime", "dev")
"""Each is a lock in requirements/; dev holds all of runtime."""

LOCKED = ("--require-hashes", "--only-binary", ":all:")
"""How every lock is installed: what it names by hash, and wheels alone, because building one runs its author's code."""

INSTALL_DEADLINE_S = 900
STEP = "python"


def ensure(layout: Layout, group: str, environment: Mapping[str, str]) -> None:
    """Make `.venv` hold the packages of `group`, exactly as locked; does nothing when it does already.

    Raises:
        StepFailedError: uv or a package cannot be installed.
    """
    if not uv_linked(layout):
        link_uv(layout, environment)
    if not satisfied(layout, group):
        _install(layout, group, environment)
    _link_package(layout)


def _install(layout: Layout, group: str, environment: Mapping[str, str]) -> None:
    uv, trusting = layout.uv / "bin" / "uv", certificates.for_uv(environment)
    lock = layout.requirements / f"{group}.txt"
    try:
        if (
            files.read_stamp(stamp_file(layout)).get("python") != python_version()
            or not (layout.venv / "bin" / "python").exists()
        ):
            say(STEP, f"creating {layout.venv.name} with Python {sys.version.split()[0]}")
            create = (str(uv), "venv", "--quiet", "--clear", "--python", str(_base_interpreter()), str(layout.venv))
            run(create, deadline_s=INSTALL_DEADLINE_S, environment=trusting)
        say(STEP, f"installing {lock.relative_to(layout.root)} into {layout.venv.name}")
        python = str(layout.venv / "bin" / "python")
        # Compiled here, because it pays at each start of a program, a provider and a server, and an environment that
        # forbids writing bytecode (PYTHONDONTWRITEBYTECODE) would compile every module anew each time: importing
        # pulumi then takes 0.5 s of CPU instead of 0.2 s.
        sync = ("--quiet", "--compile-bytecode", *LOCKED, "--python", python, str(lock))
        run((str(uv), "pip", "sync", *sync), deadline_s=INSTALL_DEADLINE_S, environment=trusting)
    except CommandError as error:
        raise StepFailedError(
            what="installing the Python environment",
            why=str(error),
            fix="check that this machine reaches its package index (UV_DEFAULT_INDEX names another) and trusts it "
            "(SSL_CERT_FILE names a file of certificate authorities), then try again",
        ) from error
    files.write_stamp(
        stamp_file(layout), {"group": group, "lock": lock_digest(layout, group), "python": python_version()}
    )


def _link_package(layout: Layout) -> None:
    """Let this environment's Python find the product's package in this tree."""
    folder = layout.venv / "lib" / f"python{python_version()}" / "site-packages"
    line, path = f"{layout.root / 'components'}\n", folder / "mlflow_backend.pth"
    if not path.exists() or path.read_text(encoding="utf-8") != line:
        files.write_whole(path, line)


def satisfied(layout: Layout, group: str) -> bool:
    """Whether `.venv` holds `group` as it is locked now, by this Python, at this path."""
    stamp = files.read_stamp(stamp_file(layout))
    installed = str(stamp.get("group"))
    return (
        installed in {group, "dev"}
        and stamp.get("lock") == lock_digest(layout, installed)
        and stamp.get("python") == python_version()
        and (layout.venv / "bin" / "python").exists()
    )


def link_uv(layout: Layout, environment: Mapping[str, str]) -> None:
    """Point `.tools/uv` at the pinned uv.

    Raises:
        StepFailedError: uv cannot be installed.
    """
    ensure_uv(layout, environment)
    layout.uv.unlink(missing_ok=True)
    layout.uv.symlink_to(_uv_folder(layout))


def uv_linked(layout: Layout) -> bool:
    """Whether `.tools/uv` is the uv that is pinned now, and still in the cache."""
    return (layout.uv / "bin" / "uv").exists() and layout.uv.readlink() == _uv_folder(layout)


def ensure_uv(layout: Layout, environment: Mapping[str, str]) -> Path:
    """The pinned uv, installed once a machine by this Python's pip; the path of its binary.

    Raises:
        StepFailedError: there is no pip, or it cannot install uv.
    """
    lock = layout.requirements / "uv.txt"
    folder = _uv_folder(layout)
    uv = folder / "bin" / "uv"
    if uv.exists():
        return uv
    with files.locked(layout.cache / "uv" / "lock", step=STEP):
        if uv.exists():
            return uv
        say(STEP, "installing uv")
        try:
            with files.appearing(folder) as scratch:
                pip = _pip(scratch / "pip", environment)
                install = (*pip, "install", "--quiet", "--no-deps", *LOCKED, "--disable-pip-version-check")
                install += ("--target", str(scratch), "--requirement", str(lock))
                run(install, deadline_s=INSTALL_DEADLINE_S, environment=environment)
                shutil.rmtree(scratch / "pip", ignore_errors=True)
        except CommandError as error:
            raise StepFailedError(
                what="installing uv",
                why=str(error),
                fix=f"check that `{sys.executable} -m pip` works and reaches its package index, then try again",
            ) from error
    return uv


def _uv_folder(layout: Layout) -> Path:
    return layout.cache / "uv" / files.digest((layout.requirements / "uv.txt").read_bytes())


def _pip(scratch: Path, environment: Mapping[str, str]) -> tuple[str, ...]:
    """A command for pip: this Python's, else one in a scratch environment, for a Python that ships pip only so."""
    if importlib.util.find_spec("pip") is not None:
        return (sys.executable, "-m", "pip")
    run((sys.executable, "-m", "venv", str(scratch)), deadline_s=120, environment=environment)
    return (str(scratch / "bin" / "python"), "-m", "pip")


def _base_interpreter() -> Path:
    """The interpreter that this one's environment was made from: `.venv` cannot be made from itself."""
    base = Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    return base if base.exists() else Path(sys.executable)


def stamp_file(layout: Layout) -> Path:
    """The file that notes what is installed in `.venv`."""
    return layout.venv / "mlflow-backend.json"


def python_version() -> str:
    """The part of this Python's version that an environment is tied to."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def lock_digest(layout: Layout, group: str) -> str:
    """A name for what the lock of `group` installs at this path; empty for a group without a lock."""
    # The tree's path is part of it: an environment's scripts name their interpreter by an absolute path.
    lock = layout.requirements / f"{group}.txt"
    return files.digest(lock.read_bytes(), str(layout.root).encode()) if lock.exists() else ""
