"""The encryption keys of a local stack: one file, of which one set is in force and one may wait for the next update.

What was encrypted with a lost key is lost, so this is the one file of the credentials that is never made anew while the
stack knows that it had one: `FINGERPRINT`, beside the credentials, remembers which keys were taken over last.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend import new_keys
from mlflow_backend.backup.bundle import FILE, IN_FORCE
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local.state import write
from mlflow_backend.server import keys

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlflow_backend.local.state import StateDir

FINGERPRINT: Final = "encryption-keys.sha256"
_NEXT = "next"


def value(state: StateDir, name: str) -> str:
    """Return the value of a key that is in force. Raises PlatformFailed if it cannot be read."""
    return str(_read(state)[IN_FORCE][name])


def values(state: StateDir) -> dict[str, str]:
    """Return the keys in force by name; none before the stack's first update with keys of its own."""
    return dict(_read(state)[IN_FORCE]) if _path(state).exists() else {}


def in_force(state: StateDir) -> dict[str, str]:
    """Return the environment of a server: the keys in force."""
    stored = values(state)
    return {variable: stored[name] for variable, name in keys.VARIABLES.items()} if stored else {}


def of_tool(state: StateDir) -> dict[str, str]:
    """Return the environment of the database tool: the keys in force and the former ones."""
    stored = values(state)
    return {**in_force(state), keys.FORMER_VARIABLE: stored[keys.FORMER]} if stored else {}


def content(stored: Mapping[str, str]) -> str:
    """Return what the file says if these keys are in force."""
    return _text({IN_FORCE: {name: stored[name] for name in keys.NAMES}})


def waiting(state: StateDir) -> bool:
    """Return whether a rotation waits for the next update."""
    return _path(state).exists() and _NEXT in _read(state)


def ensure(state: StateDir) -> None:
    """Make the first keys, or put those of a rotation in force.

    Raises PlatformFailed if the file is missing, unreadable, or not the one that the stack's data are encrypted with.
    """
    path, known = _path(state), state.path / FINGERPRINT
    if not path.exists() and not known.exists():
        write(path, _text({IN_FORCE: new_keys.draw()}))
    stored = _read(state)
    _refuse_another(state, stored)
    if _NEXT in stored:
        stored = {IN_FORCE: stored[_NEXT]}
        write(path, _text(stored))
    found = _fingerprint(stored[IN_FORCE])
    if not known.exists() or known.read_text() != found:
        write(known, found)


def rotate(state: StateDir) -> None:
    """Draw new keys, which the next update puts in force; once more before it changes nothing.

    Raises PlatformFailed if the keys in force cannot be read.
    """
    with state.locked("credentials"):
        stored = _read(state)
        _refuse_another(state, stored)
        if _NEXT not in stored:
            write(_path(state), _text({**stored, _NEXT: keys.rotated(stored[IN_FORCE], new_keys.draw())}))


def give_up(state: StateDir) -> Path | None:
    """Let the next update draw new keys although the old ones are lost; return the file set aside, if there is one."""
    with state.locked("credentials"):
        path = _path(state)
        aside = None
        if path.exists():
            names = (path.with_name(f"{FILE}.given-up-{number}") for number in itertools.count(1))
            aside = next(name for name in names if not name.exists())
            path.replace(aside)
        (state.path / FINGERPRINT).unlink(missing_ok=True)
        return aside


def replace(state: StateDir, text: str) -> None:
    """Put another backend's file of keys in force, which was read whole. Raises PlatformFailed if it is none."""
    write(_path(state), text)
    write(state.path / FINGERPRINT, _fingerprint(_read(state)[IN_FORCE]))


def _read(state: StateDir) -> dict[str, Any]:
    path = _path(state)
    try:
        document = json.loads(path.read_text())
        problem = _problem(document)
    except FileNotFoundError:
        problem = "it is missing"
    except OSError as error:
        problem = f"it cannot be read ({error.strerror})"
    except ValueError:
        problem = "it is no JSON document"
    if problem is None:
        return dict(document)
    raise PlatformFailed(problem, code="encryption-keys-unreadable", fix=_way_out(state), part=str(path))


def _problem(document: object) -> str | None:
    if not isinstance(document, dict) or not isinstance(document.get(IN_FORCE), dict):
        return f"it is no JSON object with the key {IN_FORCE}"
    sets = [document[IN_FORCE], document.get(_NEXT, document[IN_FORCE])]
    if not all(isinstance(each, dict) for each in sets):
        return f"{_NEXT} is no JSON object"
    return next((found for each in sets if (found := keys.problem(each))), None)


def _refuse_another(state: StateDir, stored: dict[str, Any]) -> None:
    """Raise PlatformFailed if the keys taken over last are not among those of the file: it is an older copy."""
    known = state.path / FINGERPRINT
    if not known.exists():
        return
    former = json.loads(stored[IN_FORCE][keys.FORMER])
    if known.read_text() not in {_fingerprint(each) for each in (stored[IN_FORCE], stored.get(_NEXT, {}), *former)}:
        finding = "it does not hold the keys that the stack's data are encrypted with"
        raise PlatformFailed(finding, code="encryption-keys-lost", fix=_way_out(state), part=str(_path(state)))


def _way_out(state: StateDir) -> str:
    return (
        "Put the file back from a copy of the stack's folder. If there is none, "
        f"`python -m scripts.rotate_keys --stack {state.path.name} --lost` gives up what was encrypted with it: "
        "webhooks and gateway secrets then need their secrets again"
    )


def _fingerprint(stored: dict[str, str]) -> str:
    # The keys have 256 bits each, so that their hash can be tried against none.
    return hashlib.sha256("\n".join(stored.get(name, "") for name in keys.IN_FORCE).encode()).hexdigest()


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2) + "\n"


def _path(state: StateDir) -> Path:
    return state.credentials / FILE
