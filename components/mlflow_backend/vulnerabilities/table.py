"""The table of known vulnerabilities: its rows, their shape, and which MLflow versions each of them affects."""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.server.versions import MlflowVersion, parse_version

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE: Final = "docs/vulnerabilities.md"
TABLE: Final = Path(__file__).with_name("known.toml")
UNKNOWN: Final = "unknown"

Need = Literal["", "basic", "jobs"]

_IDENTIFIER: Final = re.compile(r"CVE-\d{4}-\d{4,}|GHSA(-[a-z0-9]{4}){3}|PYSEC-\d{4}-\d+", re.ASCII)
_RELEASE: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)", re.ASCII)
_TEST: Final = re.compile(r"tests/[\w/]+\.py::test_\w+", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Vulnerability:
    """One known vulnerability.

    `introduced` is the first affected release (None: every earlier one counts), `fixed` the first that is not affected
    (None: no source names it, and every later one counts). `needs` is the setting without which it does not act.
    `client` acts if a model is loaded or served. `closed` says what this project does about it, and `test` shows it.
    """

    id: str
    what: str
    source: str
    seen: date
    introduced: MlflowVersion | None = None
    fixed: MlflowVersion | None = None
    aliases: tuple[str, ...] = ()
    needs: Need = ""
    wheels: str = ""
    client: bool = False
    closed: str = ""
    test: str = ""

    def affects(self, version: MlflowVersion) -> bool:
        """Return whether `version` has it; an end of the range that is not known is taken for the worse."""
        from_its_begin = self.introduced is None or self.introduced <= version
        return from_its_begin and (self.fixed is None or version < self.fixed)


@functools.cache
def known() -> tuple[Vulnerability, ...]:
    """Return every row of the table. Raises PlatformFailed with what is wrong with a row."""
    return parse(TABLE.read_text(encoding="utf-8"))


def parse(text: str) -> tuple[Vulnerability, ...]:
    """Return the rows of a table. Raises PlatformFailed with what is wrong with a row."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlatformFailed(f"the table is no TOML: {error}", code="vulnerability-table-malformed") from None
    rows = tuple(_row(each) for each in document.get("vulnerability", []))
    names = [name for row in rows for name in (row.id, *row.aliases)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PlatformFailed(f"named twice: {', '.join(twice)}", code="vulnerability-named-twice")
    return rows


def identifiers() -> tuple[str, ...]:
    """Return the identifiers of what can be refused, and so can be accepted by name."""
    return tuple(row.id for row in known() if not row.client)


def of_version(version: MlflowVersion) -> tuple[Vulnerability, ...]:
    """Return what acts in a server of `version`, whatever its settings, and is not closed by this project."""
    return tuple(row for row in known() if row.affects(version) and not row.client and not row.closed)


def note(version: str) -> str:
    """Return what a plan says about going back to `version`, whatever its settings; empty if nothing is known."""
    try:
        found = of_version(parse_version(version))
    except ValueError:
        return f"Whether its MLflow has known vulnerabilities is unknown, as its version is: {version}."
    return (
        f"MLflow {version} has known vulnerabilities ({PAGE}): {', '.join(row.id for row in found)}." if found else ""
    )


def _row(raw: Mapping[str, Any]) -> Vulnerability:
    name = str(raw.get("id", ""))
    shape = {
        "id": bool(_IDENTIFIER.fullmatch(name)),
        "aliases": all(_IDENTIFIER.fullmatch(str(each)) for each in raw.get("aliases", [])),
        "what": bool(raw.get("what")),
        "source": str(raw.get("source", "")).startswith("https://"),
        "seen": isinstance(raw.get("seen"), date),
        "needs": raw.get("needs", "") in get_args(Need),
        "fixed": "fixed" in raw,
        "client": isinstance(raw.get("client", False), bool),
        "closed": bool(raw.get("closed")) == bool(raw.get("test")),
        "test": not raw.get("test") or bool(_TEST.fullmatch(str(raw["test"]))),
    }
    wrong = [key for key, right in shape.items() if not right] + sorted(set(raw) - _FIELDS)
    if wrong:
        raise PlatformFailed(f"{name or 'a row without id'}: {', '.join(wrong)}", code="vulnerability-row-wrong")
    introduced, fixed = _release(name, raw.get("introduced")), _release(name, raw["fixed"])
    if introduced and fixed and introduced >= fixed:
        raise PlatformFailed(f"{name}: it ends before it begins", code="vulnerability-range-empty")
    return Vulnerability(**{**raw, "aliases": tuple(raw.get("aliases", ())), "introduced": introduced, "fixed": fixed})


def _release(name: str, text: Any) -> MlflowVersion | None:
    if text in {None, UNKNOWN}:
        return None
    match = _RELEASE.fullmatch(str(text))
    if match is None:
        raise PlatformFailed(f"{name}: {text} is no release", code="vulnerability-release-malformed")
    return MlflowVersion(*map(int, match.groups()))


_FIELDS: Final = frozenset(Vulnerability.__dataclass_fields__)
