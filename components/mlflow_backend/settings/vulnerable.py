"""The refusal of settings whose MLflow version has known vulnerabilities.

It reads the settings alone, so `pulumi preview` and `pulumi up` refuse alike. Commands on what runs already do not pass
it: a stack whose version is found vulnerable later can still be inspected and rolled back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_backend import targets
from mlflow_backend.contract import Refused
from mlflow_backend.server.versions import parse_version
from mlflow_backend.vulnerabilities.table import PAGE, of_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.settings.models import Settings
    from mlflow_backend.vulnerabilities.table import Vulnerability

_KEY = "policy.acceptVulnerabilities"


@dataclass(frozen=True, kw_only=True)
class KnownVulnerabilities:
    """The vulnerabilities of the MLflow version in a stack's settings.

    `open` ones are refused, `accepted` ones are accepted by name. `unneeded` are accepted names that the version, as it
    is set up, does not have.
    """

    open: tuple[Vulnerability, ...]
    accepted: tuple[Vulnerability, ...]
    unneeded: tuple[str, ...]


def known_vulnerabilities(settings: Settings) -> KnownVulnerabilities:
    """Return the vulnerabilities of the version in `settings` that act in a server set up by them."""
    version = parse_version(settings.server.mlflow_version)
    needs = {"", *(["basic"] if settings.access.mode == "basic" else []), *(["jobs"] if settings.server.jobs else [])}
    found = [row for row in of_version(version) if row.needs in needs]
    names = set(settings.policy.accept_vulnerabilities)
    return KnownVulnerabilities(
        open=tuple(row for row in found if row.id not in names),
        accepted=tuple(row for row in found if row.id in names),
        unneeded=tuple(sorted(names - {row.id for row in found})),
    )


def refuse_vulnerable(settings: Settings) -> tuple[str, ...]:
    """Return the warnings about known vulnerabilities.

    Raises Refused for one that nobody accepted, if others than this machine reach the target.
    """
    found = known_vulnerabilities(settings)
    version = settings.server.mlflow_version
    if found.open and not targets.get(settings.target).loopback:
        raise Refused(
            f"MLflow {version} (server.mlflowVersion) has known vulnerabilities: {_listed(found.open)}.",
            code="version-vulnerable",
            fix=f"{_cure(found.open)} or accept each by its name in {_KEY}, with the reason in a comment ({PAGE}).",
        )
    warnings = []
    if found.open:
        warnings.append(f"MLflow {version} has known vulnerabilities ({PAGE}): {_names(found.open)}.")
    if found.accepted:
        warnings.append(f"MLflow {version} is served though it has {_names(found.accepted)}, by {_KEY}.")
    if found.unneeded:
        warnings.append(
            f"{_KEY} names what MLflow {version} does not have here: {', '.join(found.unneeded)}. Remove it."
        )
    return tuple(warnings)


def _cure(rows: Sequence[Vulnerability]) -> str:
    """Return which release has the fewest of `rows`, as far as their sources name an end."""
    ends = [row.fixed for row in rows if row.fixed]
    if not ends:
        return "No source names a release without them: wait for one,"
    left = [row.id for row in rows if row.affects(max(ends))]
    return f"MLflow {max(ends)} and newer have {_of_them(left)}: choose one of these,"


def _of_them(left: Sequence[str]) -> str:
    return f"only {', '.join(left)} of them" if left else "none of them"


def _names(rows: Sequence[Vulnerability]) -> str:
    return ", ".join(row.id for row in rows)


def _listed(rows: Sequence[Vulnerability]) -> str:
    return "; ".join(f"{row.id} {row.what}" for row in rows)
