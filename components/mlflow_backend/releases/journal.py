"""The journal of something that must end in one of two states, however often it is interrupted.

One open document a purpose. It is written before each step, so that whoever comes after a kill knows how far it may
have got, and closed, not deleted, at the end.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.releases.stores import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow_backend.releases.stores import Store


class Journal:
    """The journal of one purpose, such as `rollback`, in a backend's store."""

    def __init__(self, store: Store, purpose: str, *, running: Callable[[], bool] = lambda: False) -> None:
        """Take the store; nothing is read yet. `running` says whether a command holds the lock of that purpose."""
        self._store, self._key = store, f"{ROOT}/journal/{purpose}.json"
        self._closed = f"{ROOT}/journal/closed/{purpose}"
        self.running = running

    def load(self, *needed: str) -> dict[str, Any] | None:
        """Return what was begun and not ended, None if nothing was; it has at least the keys that are `needed`.

        Raises PlatformFailed for a document that cannot be read: guessing how far something got would be the worse end.
        """
        content = self._store.read([self._key]).get(self._key)
        if content is None:
            return None
        fix = "Put it back from a backup, or look and delete it"
        try:
            document = json.loads(content)
        except ValueError:
            raise PlatformFailed("it is not JSON", code="journal-not-json", fix=fix, part=self._key) from None
        if not isinstance(document, dict) or not document.keys() >= set(needed):
            raise PlatformFailed(
                "it is not what this project wrote there", code="journal-malformed", fix=fix, part=self._key
            )
        return document

    def write(self, document: Mapping[str, Any]) -> None:
        """Say what is done next, durably, before it is done."""
        self._store.replace(self._key, json.dumps(dict(document), indent=1).encode())

    def close(self) -> None:
        """Record the end; safe to repeat."""
        if self._store.read([self._key]):
            self._store.move(self._key, f"{self._closed}-{datetime.now(UTC):%Y%m%dt%H%M%S%f}.json")


def rollback_journal(store: Store) -> Journal:
    """Return the journal of a backend's rollbacks, which knows whether one runs."""
    return Journal(store, "rollback", running=partial(store.is_locked, "rollback"))


def restore_journal(store: Store) -> Journal:
    """Return the journal of a backend's restores of backups, which knows whether one runs."""
    return Journal(store, "restore", running=partial(store.is_locked, "rollback"))


def refuse_unfinished(store: Store, *, locked: bool = False) -> None:
    """Raise Refused if a rollback or a restore runs, or was interrupted: an update in between would deploy a mixture.

    `locked`: the caller holds the lock of rollbacks, which restores hold too, so no other one runs.
    """
    rollback, restore = rollback_journal(store), restore_journal(store)
    if (entry := rollback.load("to", "begun")) is not None:
        what = f"A rollback to revision {entry['to']}, begun {entry['begun']}"
        if not locked and rollback.running():
            raise Refused(f"{what}, is running.", code="rollback-running", fix="Let it end, and repeat.")
        raise Refused(
            f"{what}, was interrupted.",
            code="rollback-interrupted",
            fix="Finish it first with `python -m scripts.rollback --stack STACK`.",
        )
    if (entry := restore.load("backup")) is not None:
        backup = entry["backup"]
        what = f"A restore of backup {backup}, or its undoing"
        if not locked and restore.running():
            raise Refused(f"{what}, is running.", code="restore-running", fix="Let it end, and repeat.")
        raise Refused(
            f"{what}, was interrupted.",
            code="restore-interrupted",
            fix=f"Repeat it first: `python -m scripts.backup --stack STACK restore {backup}` with the options that it "
            "had, or `python -m scripts.backup --stack STACK restore --undo`.",
        )
