"""The cause of a failed exchange: turns what was observed into a finding with a cause and the next step. Pure.

The rules themselves stand in `rules`, in the order in which they are tried.
"""

from __future__ import annotations

from mlflow_backend.verify.model import Exchange, Finding, Result, Trouble
from mlflow_backend.verify.observed import FailureContext, breaks_off, mlflow_error, plain
from mlflow_backend.verify.rules import RULES


def explain(exchange: Exchange, failure: FailureContext) -> Finding:
    """Turn an exchange that a check cannot go on from into a finding. Always finds one: the last rule matches all."""
    rule = next(rule for rule in RULES if rule.when(exchange, failure))
    words = {
        "host": failure.host,
        "what": exchange.called,
        "timeout": f"{exchange.timeout_s:.3g} s",
        "detail": exchange.detail,
    }
    return Finding(
        result=rule.result,
        sentence=describe(exchange),
        code=rule.code,
        cause=rule.cause.format(**words),
        next_step=rule.next_step.format(**words),
        certainty=rule.certainty,
    )


def is_unknown(finding: Finding, exchange: Exchange) -> bool:
    """Return whether a finding only says that MLflow does not answer so: a check of another service knows better."""
    return (exchange.ok and finding.result is Result.FAIL) or finding.code == "refused-request"


def describe(exchange: Exchange) -> str:
    """Say in one sentence what came back, quoting MLflow's own message if there is one."""
    if exchange.trouble is Trouble.READ_TIMEOUT:
        return f"{exchange.called} had no full answer within {exchange.timeout_s:.3g} s: {exchange.detail}"
    if exchange.trouble is not None:
        return f"{exchange.called} failed: {exchange.detail}"
    if exchange.ok and breaks_off(exchange.body):
        size = len(exchange.body)
        return f"{exchange.called} answered {exchange.status} with JSON that breaks off after {size} bytes"
    code, message = mlflow_error(exchange)
    stated = " ".join(word for word in (code, message) if word) or plain(exchange.body)
    if exchange.ok:
        return f"{exchange.called} answered {exchange.status} with something unexpected: {stated or 'an empty body'}"
    return f"{exchange.called} answered {exchange.status}" + (f": {stated}" if stated else "")
