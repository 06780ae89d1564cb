"""The schema heads of a database, as the server that works on it reads them at the request.

It spares a one-shot task where a server answers. An answer counts only if it names the databases that the ledger knows
as this backend's: a URL may lead elsewhere.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.contract import Refused
from mlflow_backend.schema import Heads
from mlflow_backend.verify.answers import Answer
from mlflow_backend.verify.client import Client, Deadline, Transport
from mlflow_backend.verify.credentials import resolve
from mlflow_backend.verify.identity import ROUTE
from mlflow_backend.verify.model import Request, Unexpected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.verify.credentials import Readers
    from mlflow_backend.verify.subjects import Subject

# A one-shot task takes as long as this by itself: a server that answers no sooner spares nothing.
_DEADLINE_S: Final = 3.0


def ask(subject: Subject, readers: Readers, *, recorded: Mapping[str, str]) -> Heads | None:
    """Return the heads that the server at the subject's URL reads now; None if it does not say them of this backend.

    `recorded` is what the ledger has recorded of the databases' identities.
    """
    with contextlib.suppress(Refused, Unexpected):
        credentials = resolve(subject.credentials, readers)
        transport = Transport(ca_file=subject.ca_file, insecure=subject.insecure)
        with contextlib.closing(Client(subject.url, credentials, transport, request_timeout_s=_DEADLINE_S)) as client:
            exchange = client.send(Request("GET", ROUTE), deadline=Deadline(_DEADLINE_S))
        return heads_of(Answer.of(exchange).document, recorded)
    return None


def heads_of(document: Mapping[str, Any], recorded: Mapping[str, str]) -> Heads | None:
    """Return the heads in a server's answer; None if one is not said, or is of a database that is not the recorded one.

    A server of an older release names its databases without their heads.
    """
    found = {}
    for part in ("database", "users"):
        if part in document or part in recorded:
            live = document.get(part)
            if not isinstance(live, dict) or not live.get("head") or live.get("id") != recorded.get(part, ""):
                return None
            found[part] = str(live["head"])
    return Heads(tracking=found["database"], auth=found.get("users")) if "database" in found else None
