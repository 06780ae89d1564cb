"""The report of one preview, as values. Pure; `build` makes it, `document`, `text` and `markdown` show it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from mlflow_backend.contract import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.report.quantities import Billed


class Verdict(StrEnum):
    """How a preview ended. `failed` is a platform or program that could not be previewed at all."""

    UNCHANGED = "unchanged"
    CHANGES = "changes"
    REFUSED = "refused"
    FAILED = "failed"


class Operation(StrEnum):
    """What an update would do to a resource, most dangerous first."""

    DELETE = "delete"
    REPLACE = "replace"
    CREATE = "create"
    UPDATE = "update"
    IMPORT = "import"
    FORGET = "forget"


class Outcome(StrEnum):
    """What a policy came to. `not evaluated` is for what a preview does not know yet: never a pass."""

    VIOLATED = "violated"
    NOT_EVALUATED = "not evaluated"
    PASSED = "passed"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One resource that an update would change.

    `loses` says what goes with it, for a resource that holds what cannot be made again and is replaced or deleted.
    `properties` names what differs and `forcing` what asks for the replacement; values are never shown.
    """

    operation: Operation
    urn: str
    type: str
    name: str
    properties: tuple[str, ...] = ()
    forcing: tuple[str, ...] = ()
    protected: bool = False
    loses: str = ""


@dataclass(frozen=True, kw_only=True)
class Release:
    """What is served. None if it is not known, or does not apply on the target."""

    mlflow_version: str | None = None
    image_digest: str | None = None
    revision: str | None = None
    schema_head: str | None = None


@dataclass(frozen=True, kw_only=True)
class Migration:
    """What the update does to the database's schema.

    `action`: none, create, migrate, refuse or 'find out'. `known_from`: a live database, the ledger (then `schema` says
    as of when), or nothing. `rows` counts those tables that pending revisions touch. `restore_needed`: whether going
    back to the release before needs a restore of the dump. `upgrade` is what else a change of the MLflow version means.
    """

    action: str
    schema: str
    pending: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    breaking: bool = False
    downtime: str = ""
    rollback: str = ""
    restore_needed: bool | None = None
    interrupted: str = ""
    upgrade: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Preflight:
    """One finding of preflight: pass, fail or skip."""

    check: str
    outcome: str
    message: str
    fix: str = ""


@dataclass(frozen=True, kw_only=True)
class PolicyFinding:
    """What one policy found in one resource. `where` is its name, or what was rendered from the settings."""

    where: str
    outcome: Outcome
    message: str


@dataclass(frozen=True, kw_only=True)
class PolicyResult:
    """The result of one policy over the whole stack. `evaluated` counts the resources that it could evaluate."""

    name: str
    level: str
    outcome: Outcome
    remediation: str
    evaluated: int = 0
    findings: tuple[PolicyFinding, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Drift:
    """A resource that is not as the state says: what differs, or that it is gone."""

    name: str
    type: str
    gone: bool
    properties: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """One preview of one stack. Times are UTC, ISO 8601.

    `counts` has an entry for each operation that occurs, `unchanged` included. `refusals` are why the update would be
    refused, `errors` why it could not be previewed. `by_use` is what is billed and not among `billed`. `drift` is None
    if no refresh was asked for.
    """

    stack: str
    created_at: str
    verdict: Verdict
    counts: Mapping[str, int]
    changes: tuple[Change, ...] = ()
    before: Release | None = None
    after: Release | None = None
    migration: Migration | None = None
    pin: str = ""
    preflight: tuple[Preflight, ...] = ()
    policies: tuple[PolicyResult, ...] = ()
    drift: tuple[Drift, ...] | None = None
    billed: tuple[Billed, ...] = ()
    by_use: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def losses(self) -> tuple[Change, ...]:
        """What is replaced or deleted though it cannot be made again."""
        return tuple(change for change in self.changes if change.loses)

    def exit_code(self, *, detailed: bool) -> ExitCode:
        """How the command ends; `detailed` distinguishes changes from none."""
        if self.verdict is Verdict.REFUSED:
            return ExitCode.REFUSED
        if self.verdict is Verdict.FAILED:
            return ExitCode.PLATFORM_FAILED
        return ExitCode.CHANGES if detailed and self.verdict is Verdict.CHANGES else ExitCode.DONE
