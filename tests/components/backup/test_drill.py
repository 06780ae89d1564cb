"""The result of a drill, and what all results together say of a backup."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mlflow_backend.backup.drill import DrillResult, Outcome, decode, encode, object_name, state_of
from mlflow_backend.backup.retention import BackupState
from mlflow_backend.contract import PlatformFailed
from tests.components.backup.manifests import ID, TAKEN

PROVED = DrillResult(
    backup=ID, started_at=TAKEN + timedelta(hours=2), outcome=Outcome.PROVED, keys_proved=True, rto_s=61.5, rpo_s=7200.0
)
DAMAGED = replace(PROVED, outcome=Outcome.DAMAGED, rto_s=None, keys_proved=False, findings=("auth.dump is cut",))
INCONCLUSIVE = replace(DAMAGED, outcome=Outcome.INCONCLUSIVE, findings=("the disk is full",))


def later(result: DrillResult, days: int) -> DrillResult:
    """Return the result of a drill so many days later."""
    return replace(result, started_at=result.started_at + timedelta(days=days))


@pytest.mark.parametrize(
    "result",
    [PROVED, replace(PROVED, notes=("2 artifacts are of no run",)), DAMAGED, INCONCLUSIVE],
    ids=["proved", "with notes", "damaged", "inconclusive"],
)
def test_a_result_is_read_as_it_was_written(result: DrillResult) -> None:
    """Whoever prunes knows what the drill found, from the destination alone."""
    assert decode(encode(result), backup=ID) == result


def test_two_drills_have_two_objects() -> None:
    """Nothing at the destination is written twice, so a later drill does not hide an earlier one."""
    assert object_name(PROVED) != object_name(later(PROVED, 1))


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([], BackupState.UNPROVED),
        ([INCONCLUSIVE], BackupState.UNPROVED),
        ([PROVED], BackupState.PROVED),
        ([DAMAGED], BackupState.DAMAGED),
        ([PROVED, later(DAMAGED, 1)], BackupState.DAMAGED),
        ([DAMAGED, later(PROVED, 1)], BackupState.PROVED),
        ([PROVED, later(INCONCLUSIVE, 1)], BackupState.PROVED),
        ([DAMAGED, later(INCONCLUSIVE, 1)], BackupState.DAMAGED),
    ],
)
def test_the_newest_drill_with_a_conclusion_decides(results: list[DrillResult], expected: BackupState) -> None:
    """A full disk does not take away what was proved, and a backup can rot after it was."""
    assert state_of(results) is expected
    assert state_of(results[::-1]) is expected


@pytest.mark.parametrize(
    "change",
    [
        {"format": "mlflow-backend/drill/2"},
        {"backup": "20261127T020000Z-0a1b2c"},
        {"started_at": "2026-11-28T04:00:00"},
        {"started_at": None},
        {"outcome": "pass"},
        {"rto_s": None},
        {"rto_s": -1},
        {"rto_s": True},
        {"rpo_s": "1"},
        {"rpo_s": float("nan")},
        {"findings": ["tracking.runs has 2 rows"]},
        {"findings": None},
    ],
    ids=str,
)
def test_a_malformed_or_contradictory_result_proves_nothing(change: dict[str, Any]) -> None:
    """A backup is not called proved by a result that says otherwise in another place."""
    document = {**json.loads(encode(PROVED)), **change}
    with pytest.raises(PlatformFailed) as refused:
        decode(json.dumps(document).encode(), backup=ID)
    assert refused.value.code == "drill-result-damaged"


@pytest.mark.parametrize("key", sorted(json.loads(encode(PROVED))))
def test_a_result_without_one_of_its_entries_proves_nothing(key: str) -> None:
    """Nothing is assumed in the place of what was not written."""
    document = json.loads(encode(PROVED))
    del document[key]
    with pytest.raises(PlatformFailed):
        decode(json.dumps(document).encode(), backup=ID)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\xff", encode(PROVED)[:-20]], ids=repr)
def test_what_is_no_result_proves_nothing(content: bytes) -> None:
    """A drill that was killed while it wrote proved nothing."""
    with pytest.raises(PlatformFailed):
        decode(content, backup=ID)


@pytest.mark.parametrize("said", ["yes", 1, None, "false"])
def test_keys_are_proved_by_true_alone(said: object) -> None:
    """Whoever loses a machine must not learn then that the recovery key was never tried."""
    document = {**json.loads(encode(PROVED)), "keys_proved": said}
    assert not decode(json.dumps(document).encode(), backup=ID).keys_proved
