"""The arguments of the resource Verification, whose names are its inputs'."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pulumi

    from mlflow_backend.locator import Locator


@dataclass(frozen=True, kw_only=True)
class VerificationArgs:
    """What is verified and how.

    The URL is enough for an MLflow that no target of this project deploys.

    `url`: the URL that clients use. `release`: {"revision", "mlflowVersion"} as intended. `serving_digest`: a digest
    over the identity of everything that serving depends on, credentials' versions included; when it changes, the
    backend is verified again. `locator`: of a backend that a target of this project deploys.
    `credentials`: references (file:PATH or env:NAME), never values. `access`: whether anonymous calls must be refused.
    `max_upload_mib`: the server's own limit on artifacts, None without one.
    `deadline`: seconds. `on_failure`: `rollback` goes back to an earlier release by itself. `when`: `changed` leaves an
    update without a verification if nothing above changed and the last report passes. `report_path`: a copy, on this
    machine, of the report in the backend's store. `extra_checks`: documents of `verify.extra.ExtraCheck`.
    """

    url: pulumi.Input[str]
    release: pulumi.Input[Mapping[str, Any]] = field(default_factory=dict)
    serving_digest: pulumi.Input[str] = ""
    locator: pulumi.Input[Locator] | None = None
    report_path: pulumi.Input[str] = ""
    profile: str = "core"
    deadline: float = 180
    on_failure: str = "stop"
    when: Literal["always", "changed"] = "always"
    credentials: pulumi.Input[Mapping[str, str]] = field(default_factory=dict)
    access: pulumi.Input[bool] = False
    jobs: bool = False
    max_upload_mib: int | None = None
    extra_checks: tuple[Mapping[str, Any], ...] = ()
