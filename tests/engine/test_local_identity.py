"""A local backend is known again by its updates: the first one records it, and another instead of it is red."""

from __future__ import annotations

import json
import shutil
import uuid
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.identity import OBJECT
from mlflow_backend.local.naming import BUCKET
from mlflow_backend.local.platform import LocalPlatform
from mlflow_backend.releases.stores import ROOT
from tests.engine.faults import identities
from tests.engine.releases.support import run_offered

if TYPE_CHECKING:
    from tests.engine.project import Outcome
    from tests.engine.stack import LocalStack

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("local-identity")]


def verified_up(stack: LocalStack) -> Outcome:
    """Update with another deadline of the verification, which verifies."""
    found = stack.settings.get("verify", {}).get("deadline", 180)
    stack.write_settings(verify={"deadline": found + 1})
    return stack.up()


def recorded(stack: LocalStack) -> dict[str, str]:
    """What the ledger knows the backend by."""
    return dict(DeployedBackend(LocalPlatform(stack.state)).ledger.state().identity or {})


def stored(stack: LocalStack) -> dict[str, str]:
    """What the store says of itself."""
    client, _ = identities.objects(stack.state)
    found = client.get_object(Bucket=BUCKET, Key=f"artifacts/{OBJECT}")["Body"].read()
    return dict(json.loads(found))


def test_the_first_update_records_what_the_backend_is(deployed: LocalStack) -> None:
    """Ledger, store and database name the same two."""
    known = recorded(deployed)
    assert stored(deployed) == {"id": known["store"], "database": known["database"]}
    assert verified_up(deployed).ok
    assert recorded(deployed) == known


def test_a_backend_of_before_the_identity_gets_one_without_a_red(deployed: LocalStack) -> None:
    """Neither ledger, nor store, nor database has one; the next update makes all three."""
    shutil.rmtree(deployed.state.backend_store / ROOT)
    client, _ = identities.objects(deployed.state)
    client.delete_object(Bucket=BUCKET, Key=f"artifacts/{OBJECT}")
    identities.ask(deployed.state, "UPDATE mlflow_backend.identity SET store = NULL")
    outcome = verified_up(deployed)
    assert outcome.ok, outcome.text
    known = recorded(deployed)
    assert stored(deployed) == {"id": known["store"], "database": known["database"]}


def test_a_lost_ledger_takes_the_identity_again_from_database_and_store(deployed: LocalStack) -> None:
    """They name each other, so they are still this backend's."""
    known = recorded(deployed)
    assert verified_up(deployed).ok
    shutil.rmtree(deployed.state.backend_store / ROOT)
    outcome = verified_up(deployed)
    assert outcome.ok, outcome.text
    assert recorded(deployed) == known


def test_a_database_that_is_replaced_is_red_until_a_person_accepts_it(deployed: LocalStack) -> None:
    """The update names both identities and the command; once it is typed, the next update is green and records it."""
    known, other = recorded(deployed), str(uuid.uuid4())
    with identities.other_database(deployed.state, other):
        outcome = verified_up(deployed)
        assert not outcome.ok
        assert known["database"] in outcome.text
        assert other in outcome.text
        assert run_offered(deployed, outcome.text).code == 0
        outcome = verified_up(deployed)
        assert outcome.ok, outcome.text
        assert recorded(deployed)["database"] == other
        assert stored(deployed)["database"] == other
    # What was accepted counts as what was first recorded: the former database is another one now.
    assert not verified_up(deployed).ok
