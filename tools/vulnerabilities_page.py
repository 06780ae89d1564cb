"""The page docs/vulnerabilities.md as text, from the table of known vulnerabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.vulnerabilities.table import known

if TYPE_CHECKING:
    from mlflow_backend.vulnerabilities.table import Vulnerability

_HEAD: Final = """\
# Known vulnerabilities of MLflow

<!-- Written by `make pages` from components/mlflow_backend/vulnerabilities/known.toml. -->

`make preview` and `pulumi up` refuse an MLflow version that is known to be vulnerable, on every target but `local`,
which warns. They refuse what acts with the stack's own settings: what needs `access.mode: basic` is no matter where
there are API keys, and what needs jobs is none where `server.jobs` is false. A rollback to such a version is not
refused, because it may be the lesser evil: its plan names them.

Choose a newer version, or accept each by its name, with your reason:

```yaml
mlflow-backend:policy:
  acceptVulnerabilities:
    # Only our own team has users here, and all of them are administrators.
    - CVE-2026-118624
```

The table is what public advisories said on the day in the last column, read from stored copies of them. A range that a
source leaves open counts as affected; where the wheels of two releases show what ended it, the row says so. An advisory
of tomorrow is not in it: look before you choose a version ([CONTRIBUTING.md](../CONTRIBUTING.md), 'an MLflow version').
"""
_SERVER: Final = """
## In the server
| identifier | affected | needs | what an attacker does | closed here by | source | seen |
|---|---|---|---|---|---|---|
"""
_CLIENT: Final = """
## Where a model is loaded or served
These act in a client's process, which no version of the server changes; they are not refused. Load models of people
whom you trust only.

| identifier | affected | what an attacker does | source | seen |
|---|---|---|---|---|
"""
_NEEDS: Final = {"": "", "basic": "`access.mode: basic`", "jobs": "`server.jobs`"}


def page() -> str:
    """Return the whole page."""
    rows = known()
    server = "".join(_server(row) for row in rows if not row.client)
    client = "".join(_client(row) for row in rows if row.client)
    return f"{_HEAD}{_SERVER}{server}{_CLIENT}{client}"


def _server(row: Vulnerability) -> str:
    closed = f"{row.closed} (`{row.test}`)" if row.closed else ""
    cells = (_name(row), _range(row), _NEEDS[row.needs], row.what, closed, f"[source]({row.source})", str(row.seen))
    return f"| {' | '.join(cells)} |\n"


def _client(row: Vulnerability) -> str:
    return f"| {' | '.join((_name(row), _range(row), row.what, f'[source]({row.source})', str(row.seen)))} |\n"


def _name(row: Vulnerability) -> str:
    return ", ".join((row.id, *row.aliases))


def _range(row: Vulnerability) -> str:
    begin = f"{row.introduced} and newer" if row.introduced else "every release"
    end = f" before {row.fixed}" if row.fixed else ", end unknown"
    return f"{begin}{end}{f': {row.wheels}' if row.wheels else ''}"
