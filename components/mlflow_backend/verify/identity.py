"""The check that the backend is the one that it was: same database, same store (mlflow_backend/identity)."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from mlflow_backend.identity import differences, recorded_of
from mlflow_backend.verify.answers import Answer
from mlflow_backend.verify.model import Certainty, Finding, Request, Unexpected, failed, inconclusive, passed, skipped
from mlflow_backend.verify.observed import EXCERPT

if TYPE_CHECKING:
    from mlflow_backend.verify.context import Context

ROUTE: Final = "/health/identity"
_SKEWED: Final = "RequestTimeTooSkewed"
"""S3's code for a request whose signature has another time than the store (rclone's server answers it too)."""


def identity(context: Context) -> Finding:
    """Database and artifact store are those of this backend, not others or emptied ones."""
    exchange = context.send(Request("GET", ROUTE))
    if exchange.status == HTTPStatus.NOT_FOUND:
        return skipped(f"no {ROUTE} here: the server runs without this project's plugin, or with an older one")
    if exchange.status == HTTPStatus.SERVICE_UNAVAILABLE:
        detail = str(Answer.of(replace(exchange, status=HTTPStatus.OK)).document.get("detail", ""))[:EXCERPT]
        if _SKEWED in detail:
            return failed(
                detail,
                code="clock-skewed",
                cause="The clocks of server and artifact store are minutes apart, so the store refuses signatures.",
                next_step="Set up time synchronisation on the machine whose clock is wrong.",
                certainty=Certainty.KNOWN,
            )
        return failed(
            detail or "the server cannot read the identity of its database and store",
            code="identity-unreadable",
            cause="The server cannot read who its database or its store is.",
            next_step="See that both run and take the server's connections.",
        )
    live = Answer.of(exchange).document
    if not {"database", "store"} <= set(live):
        raise Unexpected(exchange)
    if problem := context.subject.identity_problem:
        return inconclusive(
            "what the ledger has recorded cannot be read",
            code="ledger-unreadable",
            cause=problem,
            next_step="Fix the ledger, then verify again.",
        )
    context.shared.served_identity = live
    recorded = context.subject.identity
    if found := differences(live, recorded):
        return failed(
            "; ".join(found),
            code="another-backend",
            cause="Another or an emptied database or store has replaced this backend's own.",
            next_step=(
                "Connect the server to its own again, or restore a dump (docs/runbooks/rollback.md). If it was "
                f"replaced on purpose: `python -m scripts.releases --stack {context.subject.stack} --accept-identity`."
            ),
        )
    known = "as the ledger has them" if recorded else "recorded at the end of this update"
    return passed(f"{', '.join(f'{part} {value[:8]}' for part, value in recorded_of(live).items())}: {known}")
