"""The shell environment in which `pulumi` works on this project and on nothing else of the user's.

Sourcing `.tools/activate` is all that a hand-typed `pulumi up --stack local` needs. The state, its passphrase, Pulumi's
home and with it any login are the project's own: a user who is logged in elsewhere is not disturbed.
"""

from __future__ import annotations

import os
import secrets
import shlex
from typing import TYPE_CHECKING

from tools.bootstrap import files
from tools.bootstrap.steps import StepFailedError, say

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tools.bootstrap.layout import Layout

OVERRIDING = (
    *("PULUMI_CONFIG_PASSPHRASE", "PYTHONDONTWRITEBYTECODE"),
    *("PYTHONHOME", "PYTHONPATH", "PYTHONPLATLIBDIR", "PYTHONSAFEPATH", "PYTHONSTARTUP", "PYTHONWARNINGS"),
)
"""What would win over the project's own, so it is taken out.

A passphrase would win over the passphrase file. Without bytecode on disk each update would compile the program, and
the modules of its providers, three times. The others bring in modules of another project, or hide ours.
"""

DIRECT = "127.0.0.1,localhost"
"""Never by a proxy: the engine, the program and its providers talk by gRPC, which would ask one for loopback too."""

STEP = "shell"


def ensure(layout: Layout) -> None:
    """Write the file to source, and make the state folder and its passphrase at first use."""
    layout.state.mkdir(mode=0o700, exist_ok=True)
    layout.pulumi_home.mkdir(parents=True, exist_ok=True)
    phrase = passphrase_file(layout)
    if not phrase.exists():
        if kept := sorted((layout.state / ".pulumi" / "stacks").rglob("*.json")):
            raise StepFailedError(
                what=f"reading {phrase}",
                why=f"it is missing, and with another one the secrets in {kept[0]} could not be read",
                fix=f"put it back from a backup, or move {layout.state} away: `make up` then adopts what runs",
            )
        say(STEP, f"making a passphrase for the local state, in {phrase.relative_to(layout.root)}")
        files.write_whole(phrase, secrets.token_urlsafe(32) + "\n", mode=0o600)
    elif (why := _damage(phrase)) is not None:
        raise StepFailedError(
            what=f"reading {phrase}",
            why=f"{why}, and Pulumi would call it an incorrect passphrase",
            fix=f"put it back from a backup, or move {layout.state} away: `make up` then adopts what runs",
        )
    script = layout.tools / "activate"
    wanted = render(layout)
    if not script.is_file() or script.read_bytes() != os.fsencode(wanted):
        files.write_whole(script, wanted)


def _damage(phrase: Path) -> str | None:
    """Return why the file holds no passphrase, None if it holds one line of text. Pulumi itself refuses a wrong one."""
    try:
        lines = phrase.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    except UnicodeDecodeError:
        return "it is no text"
    return None if len(lines) == 1 and lines[0].strip() and lines[0].isprintable() else "it is not one line of text"


def passphrase_file(layout: Layout) -> Path:
    """The file whose content encrypts the secrets in the local state; without it they are lost."""
    return layout.state / "passphrase"


def variables(layout: Layout) -> dict[str, str]:
    """The variables that Pulumi reads; PATH is extended besides."""
    return {
        "PULUMI_HOME": str(layout.pulumi_home),
        "PULUMI_BACKEND_URL": f"file://{layout.state}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase_file(layout)),
        # The salt that belongs to the passphrase is in the state. Without this, a stack file from git, which has no
        # salt, would be given a new one that the state's secrets do not fit.
        "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
        # A backend that died since is only found by looking; a hand-typed `pulumi up` looks as `make up` does.
        "PULUMI_OPTION_REFRESH": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # Paths and settings hold any alphabet, whatever the locale says.
        "PYTHONUTF8": "1",
    }


def without_overriding(base: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what would win over the project's own."""
    return {name: value for name, value in base.items() if name not in OVERRIDING}


def environment(layout: Layout, base: Mapping[str, str]) -> dict[str, str]:
    """`base` as sourcing the file would change it."""
    changed = {**without_overriding(base), **variables(layout), "PATH": f"{_path(layout)}:{base.get('PATH', '')}"}
    for name in ("no_proxy", "NO_PROXY"):
        changed[name] = f"{DIRECT},{base[name]}" if base.get(name) else DIRECT
    return changed


def render(layout: Layout) -> str:
    """The file to source, for POSIX shells."""
    lines = [
        "# Written by `make setup`: source it to use pulumi on this project, `source .tools/activate`.",
        f'PATH={shlex.quote(_path(layout))}:"$PATH"',
        "export PATH",
        *(f"export {name}={shlex.quote(value)}" for name, value in variables(layout).items()),
        *(f'export {name}="{DIRECT}${{{name}:+,${name}}}"' for name in ("no_proxy", "NO_PROXY")),
        f"unset {' '.join(OVERRIDING)}",
    ]
    return "\n".join(lines) + "\n"


def _path(layout: Layout) -> str:
    return f"{layout.bin}:{layout.venv / 'bin'}"
