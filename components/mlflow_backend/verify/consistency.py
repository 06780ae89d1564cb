"""Checks that what was written is what anyone reads, at once and from every server; and that clocks agree."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from mlflow_backend.verify.answers import Answer, pairs, same
from mlflow_backend.verify.context import REST
from mlflow_backend.verify.model import Finding, Request, failed, passed, skipped

if TYPE_CHECKING:
    from mlflow_backend.verify.context import Context

ROUNDS: Final = 6
"""Writes that are each read back on another connection: of two servers, one verification in 64 would meet one only."""
SKEW_S: Final = 300.0
"""Clocks further apart than this break tokens (commonly 5 minutes of leeway) and soon signatures (AWS: 15 minutes)."""


def read_your_writes(context: Context) -> Finding:
    """What one server wrote, every server reads at once."""
    run_id = context.created.run_id
    for number in range(ROUNDS):
        tag = {"run_id": run_id, "key": "round", "value": str(number)}
        Answer.of(context.send(Request("POST", f"{REST}/runs/set-tag", json=tag, alone=True)), fresh=True)
        get = Request("GET", f"{REST}/runs/get", query={"run_id": run_id}, alone=True)
        answer = Answer.of(context.send(get), fresh=True)
        finding = same(
            "tag read back", written=str(number), read=pairs(answer.items("run", "data", "tags")).get("round")
        )
        if finding.code:
            return finding
    return passed(f"{ROUNDS} writes read back at once, each on a connection of its own")


def clock(context: Context) -> Finding:
    """The clocks of the server, its front and this machine agree."""
    before = time.time()
    exchange = context.send(Request("GET", "/health", alone=True))
    dated = _date(exchange.headers.get("date", ""))
    if dated is None:
        return skipped("answers carry no Date")
    age = float(exchange.headers.get("age", "0") or 0)
    front = dated + age - (before + time.time()) / 2
    made = context.created
    answer = context.get("experiments/get", fresh=True, experiment_id=made.experiment_id)
    server = int(answer.text("experiment", "creation_time")) / 1000 - made.experiment_at
    if abs(server) > SKEW_S:
        return failed(
            f"the server's clock is {server:+.0f} s off this machine's",
            code="clock-skew",
            cause="One of the two clocks is wrong.",
            next_step="Set up time synchronisation on both; tokens and signatures fail soon beyond this.",
        )
    if abs(front) > SKEW_S:
        return failed(
            f"answers are dated {front:+.0f} s off, though the server's clock is right",
            code="date-shifted",
            cause="Something in front rewrites Date or answers from a cache; or its clock is wrong.",
            next_step="Set the front's clock, and let it neither cache nor rewrite what MLflow answers.",
        )
    return passed(f"clocks agree within {max(abs(front), abs(server), 1):.0f} s")


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None
