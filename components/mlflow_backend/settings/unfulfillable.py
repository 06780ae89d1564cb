"""The refusal of settings that a target cannot fulfil: one error lists every finding, and none is ignored. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.contract import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable


def refuse_unfulfillable(target: str, findings: Iterable[str]) -> None:
    """Raise Refused if there is a finding; each is a clause that names the setting."""
    if found := "; ".join(findings):
        raise Refused(
            f"The target {target} cannot fulfil these settings: {found}.",
            code="settings-unfulfillable",
            fix="Remove or change them in Pulumi.<stack>.yaml.",
        )
