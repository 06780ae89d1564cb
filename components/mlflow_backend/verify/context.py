"""The surroundings of a running check: the client, what earlier checks made, and how to undo it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.verify.answers import Answer
from mlflow_backend.verify.model import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow_backend.verify.client import Client, Deadline
    from mlflow_backend.verify.model import Exchange
    from mlflow_backend.verify.subjects import Subject

REST: Final = "/api/2.0/mlflow"
REST_3: Final = "/api/3.0/mlflow"


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One exchange as the latency table has it: `endpoint` has no identifiers in it."""

    check: str
    endpoint: str
    status: int | None
    latency_ms: float


@dataclass(frozen=True, kw_only=True)
class Undo:
    """How to remove one thing that a check made. `run` raises `Unexpected` when the server refuses."""

    what: str
    run: Callable[[Context], None]


@dataclass
class CreatedEntities:
    """What the checks have made so far. Written by one check, read by those that need it.

    `own`: a text that only this verification's names hold.
    `abandoned_at`: from when on a later verification may sweep it away, seconds since the epoch. `experiment_at`:
    when the experiment was made, by this machine's clock.
    """

    own: str
    name: str
    model_name: str
    abandoned_at: int
    experiment_id: str = ""
    experiment_at: float = 0.0
    run_id: str = ""
    artifact_root: str = ""
    model_version: str = ""
    model_undo: Undo | None = None


@dataclass
class Shared:
    """What all checks of one verification share. `saved` is what the user's own checks keep for later ones."""

    subject: Subject
    client: Client
    access: str
    deadline: Deadline
    created: CreatedEntities
    undo: list[Undo] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    asking: dict[str, str] = field(default_factory=dict)
    saved: dict[str, str] = field(default_factory=dict)
    served_version: str | None = None
    served_revision: str | None = None
    served_identity: dict[str, Any] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take_undo(self) -> list[Undo]:
        """Everything that is still to be undone, the last made first; taken once."""
        with self.lock:
            taken, self.undo = self.undo[::-1], []
        return taken


class Context:
    """One check's view of a verification: its requests are timed under its name."""

    def __init__(self, shared: Shared, check: str, deadline: Deadline | None = None) -> None:
        self.shared = shared
        self.check = check
        self.deadline = deadline or shared.deadline

    @property
    def subject(self) -> Subject:
        """The backend under verification."""
        return self.shared.subject

    @property
    def created(self) -> CreatedEntities:
        """What earlier checks made."""
        return self.shared.created

    def undo_later(self, what: str, run: Callable[[Context], None]) -> Undo:
        """Note how to remove a thing, before asking for it: an answer that is lost must not leave the thing behind."""
        undo = Undo(what=what, run=run)
        with self.shared.lock:
            self.shared.undo.append(undo)
        return undo

    def undone(self, undo: Undo) -> None:
        """Take back a note: the check removed the thing itself."""
        with self.shared.lock:
            if undo in self.shared.undo:
                self.shared.undo.remove(undo)

    def send(self, request: Request) -> Exchange:
        """Make an exchange and keep its time."""
        self.shared.asking[self.check] = request.called
        exchange = self.shared.client.send(request, deadline=self.deadline)
        timing = Timing(
            check=self.check, endpoint=request.called, status=exchange.status, latency_ms=exchange.elapsed_ms
        )
        with self.shared.lock:
            self.shared.timings.append(timing)
        return exchange

    def get(self, call: str, *, fresh: bool = False, **query: object) -> Answer:
        """Call MLflow's REST API with a query. `fresh`: it names what was made moments ago.

        Raises `Unexpected` for everything but a 2xx answer that is a JSON object.
        """
        texts = {key: str(value) for key, value in query.items()}
        return Answer.of(self.send(Request("GET", f"{REST}/{call}", query=texts)), fresh=fresh)

    def delete(self, call: str, payload: Mapping[str, Any], *, fresh: bool = False) -> Answer:
        """Call MLflow's REST API with DELETE and a JSON body; otherwise like `get`."""
        return Answer.of(self.send(Request("DELETE", f"{REST}/{call}", json=payload)), fresh=fresh)

    def patch(self, call: str, payload: Mapping[str, Any], *, fresh: bool = False) -> Answer:
        """Call MLflow's REST API with PATCH and a JSON body; otherwise like `get`."""
        return Answer.of(self.send(Request("PATCH", f"{REST}/{call}", json=payload)), fresh=fresh)

    def post(self, call: str, payload: Mapping[str, Any], *, fresh: bool = False) -> Answer:
        """Call MLflow's REST API with a JSON body; otherwise like `get`."""
        return Answer.of(self.send(Request("POST", f"{REST}/{call}", json=payload)), fresh=fresh)
