"""The checks that know a backend again: its identity, and what users wrote long ago."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.codec import from_document, to_document
from mlflow_backend.identity import differences
from mlflow_backend.verify import runner
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.older import LARGEST
from mlflow_backend.verify.request import VerifyRequest
from mlflow_backend.verify.subjects import Subject
from mlflow_backend.verify.tracking import PREFIX
from tests.components.verify.fake_mlflow import STORE, Asked, FakeMLflow, Reply, as_json, error

if TYPE_CHECKING:
    from mlflow_backend.verify.report import CheckReport

MINE: dict[str, Any] = {"database": {"id": "D", "store": "S"}, "store": {"id": "S", "database": "D"}}
RUN = {"run_id": "old", "artifact_uri": "mlflow-artifacts:/1/old/artifacts", "experiment_id": "1"}
FILE = {"path": "model/MLmodel", "is_dir": False, "file_size": 5}


def checked(server: FakeMLflow, name: str, **more: Any) -> CheckReport:
    """Verify and return one check."""
    return runner.run(Subject(url=server.url, **more), VerifyRequest(deadline_s=30, only=(name,))).result_of(name)


def answering(document: object, status: int = 200) -> Any:
    """A server that says this of its identity."""
    return lambda asked: as_json(document, status) if asked.path == "/health/identity" else None


def test_a_known_backend_is_green_and_its_identity_is_in_the_report(server: FakeMLflow) -> None:
    """What the server said is kept, for the ledger to record."""
    server.fault = answering(MINE)
    subject = Subject(url=server.url, identity={"database": "D", "store": "S"})
    report = runner.run(subject, VerifyRequest(deadline_s=30, only=("identity",)))
    assert report.result_of("identity").result is Result.PASS
    assert report.served_identity == MINE


@pytest.mark.parametrize("part", ["database", "store"])
def test_another_part_is_red_with_both_identities_and_the_way_out(server: FakeMLflow, part: str) -> None:
    """The sentence names what is there and what was; the next step names the command for a replacement on purpose."""
    server.fault = answering(MINE)
    found = checked(server, "identity", identity={"database": "D", "store": "S", part: "Z"}, stack="blue")
    assert (found.result, found.code) == (Result.FAIL, "another-backend")
    assert found.sentence == "; ".join(differences(MINE, {"database": "D", "store": "S", part: "Z"}))
    assert "--stack blue --accept-identity" in found.next_step


@pytest.mark.parametrize(
    ("document", "status", "result"),
    [
        ({}, 404, Result.SKIP),
        ({"detail": "Postgres cannot be reached."}, 503, Result.FAIL),
        ({"error_code": "UNAUTHENTICATED"}, 401, Result.INCONCLUSIVE),
        ({"status": "ok"}, 200, Result.FAIL),
        ({"database": {"id": "D", "store": None}, "store": None}, 200, Result.PASS),
    ],
)
def test_what_a_server_says_of_itself(
    server: FakeMLflow, document: dict[str, Any], status: int, result: Result
) -> None:
    """An older plugin is skipped, a part that cannot be read is red, a new backend is green."""
    server.fault = answering(document, status)
    assert checked(server, "identity").result is result


def test_a_clock_that_is_wrong_is_named(server: FakeMLflow) -> None:
    """The store is there and has space: what it refuses are signatures of another time."""
    server.fault = answering({"detail": "The artifact store answers RequestTimeTooSkewed."}, 503)
    assert checked(server, "identity").code == "clock-skewed"


def test_a_ledger_that_cannot_be_read_is_inconclusive(server: FakeMLflow) -> None:
    """Nobody knows then whether the backend is the one that it was."""
    server.fault = answering(MINE)
    found = checked(server, "identity", identity_problem="the ledger: record 2 is garbage")
    assert (found.result, found.cause) == (Result.INCONCLUSIVE, "the ledger: record 2 is garbage")


def test_a_subject_keeps_its_identity_on_its_way_into_a_network() -> None:
    """The job that verifies inside a network gets it with the subject."""
    subject = Subject(url="http://a", identity={"store": "S"}, identity_problem="x")
    assert from_document(Subject, json.loads(json.dumps(to_document(subject)))) == subject


def with_old_run(server: FakeMLflow, *, size: int = 5, listed: dict[str, Any] = FILE) -> None:
    """Give the server an experiment of a user's with one run and one artifact in a folder."""
    server.experiments["1"] = {"experiment_id": "1", "name": "ours"}
    server.runs["old"] = {"info": RUN, "params": {}, "metrics": []}
    server.artifacts["1/old/artifacts/model/MLmodel"] = b"x" * size

    def fault(asked: Asked) -> Reply | None:
        if not asked.path.endswith("artifacts/list"):
            return None
        folder = {"path": "model", "is_dir": True}
        return as_json({"files": [listed] if asked.query.get("path") == "model" else [folder]})

    server.fault = fault


@pytest.mark.parametrize("name", ["old-run", "old-artifact"])
def test_what_users_wrote_is_read(server: FakeMLflow, name: str) -> None:
    """The oldest run and a file of it come back."""
    with_old_run(server)
    assert checked(server, name).result is Result.PASS


@pytest.mark.parametrize("name", ["old-run", "old-artifact"])
def test_where_users_wrote_nothing_there_is_nothing_to_read(server: FakeMLflow, name: str) -> None:
    """A new backend, and one that holds no more than what other verifications left, is skipped."""
    assert checked(server, name).result is Result.SKIP
    with_old_run(server)
    server.experiments["1"]["name"] = f"{PREFIX}/other"
    assert checked(server, name).result is Result.SKIP


def test_a_run_that_cannot_be_read_is_red(server: FakeMLflow) -> None:
    """Its row is listed, and reading it fails."""
    with_old_run(server)
    server.fault = lambda asked: error(500, "INTERNAL_ERROR") if asked.path.endswith("runs/get") else None
    assert checked(server, "old-run").result is Result.FAIL


@pytest.mark.parametrize("size", [0, 4, 6])
def test_an_artifact_of_another_size_is_red(server: FakeMLflow, size: int) -> None:
    """The store lists five bytes and gives others."""
    with_old_run(server, size=size)
    assert checked(server, "old-artifact").code == "artifact-changed"


def test_an_artifact_that_is_listed_and_cannot_be_read_is_red(server: FakeMLflow) -> None:
    """The object is gone behind its listing."""
    with_old_run(server)
    server.artifacts.clear()
    assert checked(server, "old-artifact").result is Result.FAIL


def test_large_artifacts_are_not_read(server: FakeMLflow) -> None:
    """The server may not be made to send gigabytes."""
    with_old_run(server, listed={**FILE, "file_size": LARGEST + 1})
    assert checked(server, "old-artifact").result is Result.SKIP
    assert not [asked for asked in server.asked if asked.path.startswith(STORE)]
