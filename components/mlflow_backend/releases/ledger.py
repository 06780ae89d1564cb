"""The ledger: what was verified, rolled back, pinned and dumped, one immutable numbered record each.

Appending is creating the object of the next number. Whoever creates it has read all records before it, so the
state that a record carries is never computed from less than the whole: of two writers one learns that the number
is taken, reads again and takes the next one. That needs a store whose `create` is exclusive (ADR 8).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.releases.records import (
    Block,
    Dump,
    Kind,
    LedgerState,
    Pin,
    Record,
    VerifiedRelease,
    after_block,
    after_identity,
    after_release,
    after_rollback,
    after_unpin,
    decode,
    encode,
)
from mlflow_backend.releases.stores import LEDGER, NEWEST, ROOT
from mlflow_backend.schema_tables import required_heads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow_backend.releases.stores import Store

_RECORD = re.compile(rf"{LEDGER}/(\d{{8}})\.json")
_SET_ASIDE = f"{ROOT}/damaged"
_ATTEMPTS = 50


@dataclass(frozen=True, kw_only=True)
class Damage:
    """A record that is missing or cannot be read, and why."""

    number: int
    finding: str


@dataclass(frozen=True, kw_only=True)
class Contents:
    """All that the ledger says: the readable records, oldest first, and what is damaged."""

    records: tuple[Record, ...] = ()
    damage: tuple[Damage, ...] = ()

    @property
    def last(self) -> int:
        """The number of the newest record, readable or not; 0 in an empty ledger."""
        newest = self.records[-1].number if self.records else 0
        return max([newest, *(damage.number for damage in self.damage)])

    @property
    def state(self) -> LedgerState:
        """What holds now.

        Raises Refused if the newest record is damaged: a pin or a block may stand in it.
        """
        for damage in self.damage:
            if damage.number == self.last:
                raise Refused(
                    f"The ledger's newest record cannot be read, so pins and blocks are not known: {damage.finding}.",
                    code="ledger-newest-damaged",
                    fix=f"Put {LEDGER}/{damage.number:08d}.json back from a backup, or accept the loss with "
                    "`python -m scripts.releases --stack STACK --accept-loss`.",
                )
        return self.records[-1].state if self.records else LedgerState()

    @property
    def releases(self) -> tuple[Record, ...]:
        """The records of verified releases, oldest first."""
        return tuple(record for record in self.records if record.release is not None)

    @property
    def dumps(self) -> tuple[Dump, ...]:
        """The dumps that were taken, oldest first."""
        return tuple(record.dump for record in self.records if record.dump is not None)

    @property
    def last_restore(self) -> tuple[str, dict[str, str]] | None:
        """The backup that was restored last, and what the backend was known by before; None if that was undone."""
        bodies = (record.body for record in reversed(self.records) if record.kind is Kind.IDENTITY)
        last = next((body for body in bodies if isinstance(body, dict) and "backup" in body), None)
        return None if last is None or "before" not in last else (last["backup"], json.loads(last["before"]))

    def ends_with(self, revision: str) -> bool:
        """Return whether the newest verification, dump or rollback is a verification of this revision."""
        served = (record for record in reversed(self.records) if record.kind not in {Kind.UNPIN, Kind.LOSS})
        last = next(served, None)
        return last is not None and last.release is not None and last.release.revision == revision

    def changes_schema(self, settings_hash: str, mlflow_version: str) -> bool:
        """Return whether the schema changes from the last verified release to the release of the settings.

        Read from the ledger, not from what the last migration did: that may be many updates ago, and the answer must be
        the same for a second update of the same release. True if no other release was verified, or its schema is not
        known.
        """
        verified = (record.release for record in reversed(self.records) if record.release is not None)
        before = next((each for each in verified if each.settings_hash != settings_hash), None)
        return before is None or before.heads != required_heads(mlflow_version, auth=before.heads.auth is not None)

    def knows(self, revision: str) -> bool:
        """Return whether a verification of this revision was ever recorded."""
        return any(record.release is not None and record.release.revision == revision for record in self.records)


Body = VerifiedRelease | Dump | dict[str, str]
Entry = tuple[Kind, Body, LedgerState]


class Ledger:
    """The ledger in one store. `by` names the principal that appends."""

    def __init__(self, store: Store, *, by: str) -> None:
        """Name the store; nothing is read yet."""
        self._store, self._by = store, by
        # A record never changes, and a command reads the whole ledger before each that it appends.
        self._whole: dict[str, Record] = {}

    def read(self) -> Contents:
        """Return everything. Raises PlatformFailed if the store fails; a damaged record is reported, not raised."""
        keys, last = self._listed()
        fresh = self._store.read([key for key in keys.values() if key not in self._whole])
        records, damage = [], []
        for number in range(1, last + 1):
            key = keys.get(number, "")
            try:
                if key in fresh:
                    self._whole[key] = decode(fresh[key], number=number)
            except PlatformFailed as error:
                damage.append(Damage(number=number, finding=str(error)))
                continue
            if key in self._whole:
                records.append(self._whole[key])
            else:
                damage.append(Damage(number=number, finding=f"record {number} is missing"))
        return Contents(records=tuple(records), damage=tuple(damage))

    def state(self) -> LedgerState:
        """Return what holds now, from the newest record alone.

        Raises PlatformFailed, and Refused if that record is damaged.
        """
        keys, last = self._listed()
        if last == 0:
            return LedgerState()
        content = next(iter(self._store.read([keys[last]]).values()), None) if last in keys else None
        try:
            finding = f"record {last} is missing"
            if content is not None:
                return decode(content, number=last).state
        except PlatformFailed as error:
            finding = str(error)
        return Contents(damage=(Damage(number=last, finding=finding),)).state

    def add_release(self, release: VerifiedRelease, *, identity: Mapping[str, str] | None = None) -> Record:
        """Record a release that passed verification, with the dump that its migration left.

        `identity` is what database and store were seen to be, None if the server did not say.
        """

        def entry(found: Contents) -> Entry:
            state = after_release(found.state, release, new=not found.knows(release.revision))
            if identity is not None:
                state = after_identity(state, identity)
            return Kind.RELEASE, replace(release, dump=dump_before(found, release.revision)), state

        return self._append(entry)

    def add_dump(self, dump: Dump) -> Record:
        """Record a dump that was written completely."""
        return self._append(lambda found: (Kind.DUMP, dump, found.state))

    def add_rollback(self, *, to: str, rolled_back_from: str | None, reason: str, detail: Mapping[str, str]) -> Record:
        """Record a rollback by command: `to` is pinned, `rolled_back_from` is marked."""

        def entry(found: Contents) -> Entry:
            pin = Pin(revision=to, since=_now(), reason=reason, by=self._by)
            body = {"to": to, "from": rolled_back_from or "", "reason": reason, **detail}
            return Kind.ROLLBACK, body, after_rollback(found.state, pin, rolled_back_from=rolled_back_from)

        return self._append(entry)

    def add_block(self, block: Block) -> Record:
        """Record that an update rolled back from a release by itself."""
        body = {"revision": block.revision, "instead": block.instead, "reason": block.reason}
        return self._append(lambda found: (Kind.BLOCK, body, after_block(found.state, block)))

    def accept_identity(self, reason: str) -> Record:
        """Record that another database or store is this backend's from now on: the next verification says which."""
        return self._append(lambda found: (Kind.IDENTITY, {"reason": reason}, after_identity(found.state, None)))

    def add_restore(self, backup: str, *, before: Mapping[str, str], identity: Mapping[str, str]) -> Record:
        """Record that a backup was restored: the backend is what the backup was taken of, and was known as `before`."""
        body = {"reason": f"backup {backup} was restored", "backup": backup, "before": json.dumps(dict(before))}
        return self._append(lambda found: (Kind.IDENTITY, body, after_identity(found.state, identity)))

    def add_undone_restore(self, backup: str, *, identity: Mapping[str, str]) -> Record:
        """Record that the restore of a backup was undone: the backend is again what it was."""
        body = {"reason": f"the restore of backup {backup} was undone", "backup": backup}
        return self._append(lambda found: (Kind.IDENTITY, body, after_identity(found.state, identity)))

    def add_unpin(self, reason: str) -> Record:
        """Record that a person lets updates through again."""
        return self._append(lambda found: (Kind.UNPIN, {"reason": reason}, after_unpin(found.state)))

    def accept_loss(self) -> Record:
        """Go on from the newest readable record; the damaged ones after it are set aside, not deleted.

        Raises Refused if the newest record is whole.
        """
        # The one that says so has the number of the newest that is lost.
        self._whole.clear()
        found = self.read()
        known = found.records[-1] if found.records else None
        first_lost = (known.number if known else 0) + 1
        if found.last < first_lost:
            raise Refused(
                "The ledger's newest record is whole.", code="ledger-whole", fix="Nothing has to be accepted."
            )
        keys, _ = self._listed()
        for number in range(first_lost, found.last + 1):
            if number in keys:
                self._store.move(keys[number], f"{_SET_ASIDE}/{number:08d}.json")
        findings = "; ".join(damage.finding for damage in found.damage if damage.number >= first_lost)
        state = known.state if known else LedgerState()
        record = self._record(found.last, (Kind.LOSS, {"lost": findings}, state))
        self._create(record)
        return record

    def _append(self, entry: Callable[[Contents], Entry]) -> Record:
        for _ in range(_ATTEMPTS):
            found = self.read()
            record = self._record(found.last + 1, entry(found))
            if self._create(record):
                return record
        finding = f"{_ATTEMPTS} attempts to append met another writer each time"
        raise PlatformFailed(finding, code="ledger-contended", fix="Let the other writers end and repeat", part=LEDGER)

    def _create(self, record: Record) -> bool:
        created = self._store.create(f"{LEDGER}/{record.number:08d}.json", encode(record))
        if created:
            # Only a hint: with it the loss of the newest record is noticed.
            self._store.replace(NEWEST, str(record.number).encode())
        return created

    def _record(self, number: int, entry: Entry) -> Record:
        kind, body, state = entry
        return Record(number=number, kind=kind, at=_now(), by=self._by, body=body, state=state)

    def _listed(self) -> tuple[dict[int, str], int]:
        """Return the keys by number, and the number of the newest record, whether it is still there or not."""
        # The hint first: another writer's record, made after it was read, must not look like a lost one.
        hint = self._store.read([NEWEST]).get(NEWEST, b"")
        found = ((_RECORD.fullmatch(key), key) for key in self._store.keys(LEDGER))
        keys = {int(match[1]): key for match, key in found if match}
        return keys, max([*keys, int(hint) if hint.isdigit() else 0])


def dump_before(contents: Contents, revision: str) -> str | None:
    """Return the id of the dump that was taken for a revision's migration, None if it needed none."""
    for record in reversed(contents.records):
        if record.dump is not None:
            return record.dump.id
        if record.release is not None:
            return record.release.dump if record.release.revision == revision else None
    return None


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
