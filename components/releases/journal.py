"""The journal of something that must end in one of two states, however often it is interrupted.

One open document a purpose. It is written before each step, so that whoever comes after a kill knows how far it may
have got, and closed, not deleted, when the end is reached.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from components.contract import Refused
from components.releases.stores import ROOT, StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.releases.stores import Store


class Journal:
    """The journal of one purpose, such as `rollback`, in a backend's store."""

    def __init__(self, store: Store, purpose: str) -> None:
        """Name the place; nothing is read yet."""
        self._store, self._key = store, f"{ROOT}/journal/{purpose}.json"
        self._closed = f"{ROOT}/journal/closed/{purpose}"

    def load(self) -> dict[str, Any] | None:
        """Return what was begun and not ended, None where nothing was.

        Raises StoreError for a document that cannot be read: guessing how far something got would be the worse end.
        """
        content = self._store.read([self._key]).get(self._key)
        if content is None:
            return None
        try:
            document: dict[str, Any] = json.loads(content)
        except ValueError:
            raise StoreError(self._key, "it is not JSON", "Put it back from a backup, or look and delete it") from None
        return document

    def write(self, document: Mapping[str, Any]) -> None:
        """Say what is done next, durably, before it is done."""
        self._store.replace(self._key, json.dumps(dict(document), indent=1).encode())

    def close(self) -> None:
        """Say that the end is reached; safe to repeat."""
        if self._store.read([self._key]):
            self._store.move(self._key, f"{self._closed}-{datetime.now(UTC):%Y%m%dt%H%M%S%f}.json")


def refuse_unfinished(journal: Journal) -> None:
    """Raise Refused where a rollback was interrupted: an update in between would end in neither of its two states."""
    entry = journal.load()
    if entry is not None:
        raise Refused(
            f"A rollback to revision {entry['to']}, begun {entry['begun']}, was interrupted.",
            fix="Finish it first with `python -m scripts.rollback --stack STACK`.",
        )
