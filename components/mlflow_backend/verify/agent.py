"""The check whether a request was refused because of who sent it: it is sent again under a browser's name.

Asked only after a request has failed, so it costs a green verification nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.verify.client import BROWSER
from mlflow_backend.verify.context import REST
from mlflow_backend.verify.model import Exchange, Request, Trouble
from mlflow_backend.verify.observed import mlflow_error

if TYPE_CHECKING:
    from mlflow_backend.verify.context import Context

_SEARCH: Final = f"{REST}/experiments/search"
_HEALTH: Final = "/health"


def is_refused_by_name(context: Context, exchange: Exchange) -> bool:
    """Return whether what MLflow's client is refused passes under a browser's name."""
    if not _may_be(exchange):
        return False
    path = _HEALTH if exchange.path.endswith(_HEALTH) else _SEARCH
    query = None if path == _HEALTH else {"max_results": "1"}
    own = context.send(Request("GET", path, query=query))
    if not _may_be(own):
        return False
    other = context.send(Request("GET", path, query=query, headers={"User-Agent": BROWSER}))
    return other.ok or mlflow_error(other)[0] != ""


def _may_be(exchange: Exchange) -> bool:
    """Fronts refuse by a status with a page of theirs, or close the connection."""
    if exchange.trouble is not None:
        return exchange.trouble is Trouble.CLOSED
    return not exchange.ok and mlflow_error(exchange)[0] == ""
