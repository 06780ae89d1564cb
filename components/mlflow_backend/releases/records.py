"""The records of the ledger, as values and as JSON. Pure.

Every record carries the state as it is after it: which revision is pinned, which releases are blocked and which
revisions were left by a rollback. So the newest record alone says what an update may do, and a damaged older record
costs one line of history, not a pin.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.schema import Heads

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = "mlflow-backend/ledger/1"


class Kind(StrEnum):
    """The event that a record is about."""

    RELEASE = "release"
    DUMP = "dump"
    ROLLBACK = "rollback"
    BLOCK = "block"
    UNPIN = "unpin"
    LOSS = "loss"
    IDENTITY = "identity"


@dataclass(frozen=True, kw_only=True)
class VerifiedRelease:
    """A release that passed verification.

    One of `image_digest` (clouds) and `environment_lock` (local) says what ran. `heads` is what the database was at.
    `settings_hash` is the identity of everything that the server was started with. `dump` is the id of the dump taken
    just before this release's migration, if there was one. `start_s` and `migration_s` say how long it took to be
    ready (mlflow_backend/releases/durations.py).
    """

    target: str
    revision: str
    mlflow_version: str
    heads: Heads
    settings_hash: str
    verification_id: str
    verdict: str
    image_digest: str | None = None
    environment_lock: str | None = None
    dump: str | None = None
    start_s: float | None = None
    migration_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class DumpedDatabase:
    """One database in a dump: its object, by which it is known to be whole, its head, and rows by table."""

    object: str
    sha256: str
    size_bytes: int
    head: str | None
    rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Dump:
    """A dump of the tracking and, if there is one, the auth database. `address` is where it was written."""

    id: str
    address: str
    mlflow_version: str
    taken_at: datetime
    databases: Mapping[str, DumpedDatabase]

    @property
    def heads(self) -> Heads:
        """The schema that a restore of it brings back."""
        auth = self.databases.get("auth")
        return Heads(tracking=self.databases["tracking"].head, auth=auth.head if auth else None)

    @property
    def size_bytes(self) -> int:
        """The size of its objects together."""
        return sum(database.size_bytes for database in self.databases.values())


@dataclass(frozen=True, kw_only=True)
class Pin:
    """The stack's statement that it serves `revision` until the pin is lifted."""

    revision: str
    since: datetime
    reason: str
    by: str


@dataclass(frozen=True, kw_only=True)
class Block:
    """A release that failed its verification and was rolled back from; `instead` is what serves in its place."""

    revision: str
    settings_hash: str
    instead: str
    since: datetime
    reason: str


@dataclass(frozen=True, kw_only=True)
class LedgerState:
    """The pin, the blocks and the identity that hold after a record of the ledger.

    `rolled_back_from` are revisions that a rollback left: never a default choice.
    `identity` is what database and store are known by (mlflow_backend/identity); None: the next verification says.
    """

    pin: Pin | None = None
    blocks: tuple[Block, ...] = ()
    rolled_back_from: tuple[str, ...] = ()
    identity: Mapping[str, str] | None = None

    def block_of(self, settings_hash: str) -> Block | None:
        """Return the block on a release, None if it is not blocked."""
        return next((block for block in self.blocks if block.settings_hash == settings_hash), None)


@dataclass(frozen=True, kw_only=True)
class Record:
    """One immutable record. `body` is what its kind holds; `at` is UTC; `by` names the principal."""

    number: int
    kind: Kind
    at: datetime
    by: str
    body: VerifiedRelease | Dump | Mapping[str, str]
    state: LedgerState

    @property
    def release(self) -> VerifiedRelease | None:
        """The release that this record says was verified."""
        return self.body if isinstance(self.body, VerifiedRelease) else None

    @property
    def dump(self) -> Dump | None:
        """The dump that this record says was taken."""
        return self.body if isinstance(self.body, Dump) else None


def encode(record: Record) -> bytes:
    """Return the record as it is stored, with a checksum over everything else in it."""
    document = {"format": FORMAT, **json.loads(json.dumps(asdict(record), default=_plain))}
    return (json.dumps({**document, "checksum": _checksum(document)}, indent=1) + "\n").encode()


def decode(content: bytes, *, number: int) -> Record:
    """Return the record that `content` holds.

    Raises PlatformFailed if it is not the record of that number exactly as it was written.
    """
    try:
        document = json.loads(content)
        checksum = document.pop("checksum")
    except (ValueError, AttributeError, KeyError, TypeError):
        raise PlatformFailed(f"record {number} is not a whole JSON object", code="record-not-json") from None
    if checksum != _checksum(document):
        raise PlatformFailed(
            f"record {number} was changed after it was written: its checksum differs", code="record-changed"
        )
    if document.pop("format", None) != FORMAT or document.get("number") != number:
        raise PlatformFailed(
            f"record {number} is of another format or another number than {FORMAT} says", code="record-of-other-format"
        )
    try:
        return Record(
            number=number,
            kind=Kind(document["kind"]),
            at=datetime.fromisoformat(document["at"]),
            by=document["by"],
            body=_body(Kind(document["kind"]), document["body"]),
            state=_state(document["state"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise PlatformFailed(
            f"record {number} lacks what its kind needs ({type(error).__name__})", code="record-incomplete"
        ) from None


def after_release(state: LedgerState, release: VerifiedRelease, *, new: bool) -> LedgerState:
    """Return the state after a release was verified; `new` says that the ledger did not know its revision.

    A new release lifts every block by itself; the one that serves in a blocked one's place, verified again, does not.
    """
    rolled_back_from = tuple(revision for revision in state.rolled_back_from if revision != release.revision)
    return replace(state, blocks=() if new else state.blocks, rolled_back_from=rolled_back_from)


def after_identity(state: LedgerState, identity: Mapping[str, str] | None) -> LedgerState:
    """Return the state after database and store were seen; None is that whatever comes next is accepted.

    What is known of a part that was not seen (the users of a backend that has none now) stays.
    """
    return replace(state, identity=None if identity is None else {**(state.identity or {}), **identity})


def after_rollback(state: LedgerState, pin: Pin, *, rolled_back_from: str | None) -> LedgerState:
    """Return the state after a rollback by command: pinned to its target, and the revision it left is marked."""
    marked = (
        (*state.rolled_back_from, rolled_back_from)
        if rolled_back_from is not None and rolled_back_from not in state.rolled_back_from
        else state.rolled_back_from
    )
    return replace(state, pin=pin, rolled_back_from=tuple(revision for revision in marked if revision != pin.revision))


def after_block(state: LedgerState, block: Block) -> LedgerState:
    """Return the state after an update rolled back by itself: that release is blocked, and nothing is pinned."""
    others = tuple(other for other in state.blocks if other.settings_hash != block.settings_hash)
    rolled_back_from = (
        state.rolled_back_from
        if block.revision in state.rolled_back_from
        else (*state.rolled_back_from, block.revision)
    )
    return replace(state, blocks=(*others, block), rolled_back_from=rolled_back_from)


def after_unpin(state: LedgerState) -> LedgerState:
    """Return the state after a person let updates through again: no pin and no block."""
    return replace(state, pin=None, blocks=())


def _body(kind: Kind, body: dict[str, Any]) -> VerifiedRelease | Dump | Mapping[str, str]:
    if kind is Kind.RELEASE:
        return VerifiedRelease(**{**body, "heads": Heads(**body["heads"])})
    if kind is Kind.DUMP:
        databases = {str(name): DumpedDatabase(**entry) for name, entry in body["databases"].items()}
        return Dump(**{**body, "taken_at": datetime.fromisoformat(body["taken_at"]), "databases": databases})
    return {str(key): str(value) for key, value in body.items()}


def _state(document: dict[str, Any]) -> LedgerState:
    pin = document["pin"]
    return LedgerState(
        pin=None if pin is None else Pin(**{**pin, "since": datetime.fromisoformat(pin["since"])}),
        blocks=tuple(Block(**{**b, "since": datetime.fromisoformat(b["since"])}) for b in document["blocks"]),
        rolled_back_from=tuple(document["rolled_back_from"]),
        # Records of before the identity have none.
        identity=document.get("identity"),
    )


def _checksum(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)
