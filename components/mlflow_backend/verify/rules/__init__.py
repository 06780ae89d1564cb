"""The table of causes: when each is likely, how it is worded, and what to do next. Pure.

Rules are tried in order and the first that matches answers, so the specific stand before the general. The `code` of a
rule is stable: tests, the fault table and machines read it.
"""

from __future__ import annotations

from typing import Final

from mlflow_backend.verify.rules import access, database, network, upstream
from mlflow_backend.verify.rules.matching import Rule

__all__ = ["RULES", "Rule"]

RULES: Final[tuple[Rule, ...]] = (*network.RULES, *access.RULES, *database.RULES, *upstream.RULES)
