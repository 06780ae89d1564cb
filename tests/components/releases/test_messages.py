"""Messages about a rollback, a lost record and a pin say what is so, and offer what does not refuse."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend import schema
from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.dynamic import Provider
from mlflow_backend.releases.journal import refuse_unfinished, rollback_journal
from mlflow_backend.releases.ledger import Ledger
from mlflow_backend.releases.plan import Request, plan
from mlflow_backend.releases.records import LedgerState, Pin
from mlflow_backend.releases.stores import FileStore
from tests.components.ecs.cloud import LOCATOR
from tests.components.releases.contexts import HEAD, START, contents, context, revision, verified

if TYPE_CHECKING:
    from pathlib import Path

DAMAGES = [b"", b"\xff\xfe", b"nul", b"null", b"[1]", b'"text"', b"3", b"{}", b'{"to": "1"}']


def test_a_rollback_that_runs_is_not_said_to_be_interrupted(tmp_path: Path) -> None:
    """Whoever finished it 'first', as the text said, was refused by the running one."""
    store = FileStore(tmp_path)
    journal = rollback_journal(store)
    journal.write({"to": "1", "begun": "now"})
    with pytest.raises(Refused, match="was interrupted"):
        refuse_unfinished(store)
    with store.locked("rollback", by="somebody"):
        with pytest.raises(Refused, match="is running"):
            refuse_unfinished(store)
        # It is the caller's own lock.
        with pytest.raises(Refused, match="was interrupted"):
            refuse_unfinished(store, locked=True)


@pytest.mark.parametrize("content", DAMAGES)
def test_a_damaged_journal_is_named(tmp_path: Path, content: bytes) -> None:
    """Guessing how far a rollback got would be the worse end."""
    path = tmp_path / "_backend" / "journal" / "rollback.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(PlatformFailed, match=r"rollback\.json"):
        refuse_unfinished(FileStore(tmp_path))


def test_a_missing_record_is_said_to_be_missing(tmp_path: Path) -> None:
    """It was said to be 'not a whole JSON object'; the file that has to come back is named."""
    store = FileStore(tmp_path)
    ledger = Ledger(store, by="somebody")
    ledger.add_unpin("one")
    ledger.add_unpin("two")
    store.path("_backend/ledger/00000002.json").unlink()
    for read in (ledger.state, lambda: ledger.read().state):
        with pytest.raises(Refused, match=r"record 2 is missing.*_backend/ledger/00000002\.json"):
            read()


def test_a_blocked_release_of_a_pinned_stack_names_the_pin() -> None:
    """`pulumi up` alone, as was said, ends red while a revision is pinned."""
    revisions = [revision(1, "3.4.0", "serving"), revision(2, "3.17.2")]
    pin = Pin(revision="1", since=START, reason="", by="")
    found = context(
        revisions,
        contents(*(verified(n, v) for n, v in ((1, "3.4.0"), (2, "3.17.2"))), state=LedgerState(pin=pin)),
        current=1,
    )
    found = replace(found, live=schema.Heads(tracking=HEAD["3.4.0"]))
    with pytest.raises(Refused, match=r"--unpin.*pulumi up"):
        plan(found, Request(to="2"))


class Speaks(Provider):
    """Raises what a provider meets."""

    def create(self, props: dict[str, Any]) -> Any:
        """Raise."""
        raise Refused("It is so.", code="of-a-test", fix="Do `python -m scripts.rollback --stack STACK --unpin`.")

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> Any:
        """Raise."""
        raise PlatformFailed(
            "it is so", code="of-a-test", fix="Do `python -m scripts.rollback --stack STACK`", part="part"
        )


@pytest.mark.parametrize(
    "props",
    [{"locator": replace(LOCATOR, stack="mine").document()}, {"state": "/x/.backend/mine"}],
    ids=["ecs", "local"],
)
def test_what_a_provider_raises_names_its_own_stack(props: dict[str, Any]) -> None:
    """A command of a red update is copied as it stands."""
    with pytest.raises(Refused, match="--stack mine --unpin"):
        Speaks().create(props)
    with pytest.raises(PlatformFailed, match="--stack mine"):
        Speaks().update("id", {}, props)
    with pytest.raises(Refused, match="--stack STACK"):
        Speaks().create({"other": json.dumps(props)})
