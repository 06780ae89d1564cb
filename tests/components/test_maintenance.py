"""What maintenance says to people and to programs, and what it makes of sizes."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_backend import targets
from mlflow_backend.local import timed
from mlflow_backend.maintenance import KeptDump, Maintained, by_experiment, size
from mlflow_backend.settings import Settings
from mlflow_backend.settings.rules import broken_rules

FILES = {"1/a/artifacts/x": 10, "1/b/artifacts/y": 20, "22/a/artifacts/z": 5000, "gone/q": 1}
TABLE = {"name": "metrics", "bytes": 1 << 30, "rows": 7, "dead_rows": 3}
INDEX = {"name": "index_metrics", "table": "metrics", "bytes": 2048, "scans": 0}


def found(**changed: object) -> Maintained:
    """Return a maintenance that found a bit of everything."""
    of_database = {"bytes_before": 2048, "bytes": 1024, "tables": [TABLE], "indexes": [INDEX]}
    return Maintained(
        **{
            "dry_run": False,
            "removed": {"runs": 2, "experiments": 1},
            "kept": {f"run {number}": "its artifacts cannot be deleted" for number in range(30)},
            "databases": {"tracking": of_database},
            "temporary_files": 1,
            "temporary_bytes": 1536,
            "experiments": by_experiment(FILES, {"1": "fraud", "22": "churn"}),
            "lost": {"gone/q": 1},
            "dumps": (KeptDump(name="d1", bytes=5, taken_at=datetime(2026, 1, 2, tzinfo=UTC)),),
            "kept_databases": ("mlflow__before_1",),
            **changed,
        }
    )  # type: ignore[arg-type]


def test_experiments_are_listed_by_what_their_artifacts_take() -> None:
    """A folder that is of no experiment any more is not hidden among those that are."""
    listed = [(each.id, each.name, each.files, each.bytes) for each in by_experiment(FILES, {"1": "one", "22": "two"})]
    assert listed == [("22", "two", 1, 5000), ("1", "one", 2, 30), ("gone", None, 1, 1)]


def test_everything_that_was_found_is_shown_and_what_is_removed_by_name_can_be_typed() -> None:
    """A long list of what was kept is cut for people, and says so; programs get all of it."""
    text = "\n".join(found().lines())
    for word in ("2 runs", "1.0 GiB", "3 dead", "index_metrics", "fraud", "artifacts/gone/q", "dumps/d1", "before_1"):
        assert word in text
    assert text.count("kept: run") == 20
    assert "10 more" in text
    assert len(json.loads(json.dumps(found().document(), default=str))["kept"]) == 30


def test_a_dry_run_never_says_that_it_removed_anything() -> None:
    """Who reads a plan as a result deletes nothing, and believes that it is gone."""
    planned, done = list(found(dry_run=True).lines()), list(found().lines())
    assert planned[0].startswith("would be")
    assert not done[0].startswith("would be")
    assert any("2.0 KiB before" in line for line in done)
    assert not any("2.0 KiB before" in line for line in planned)


@given(st.integers(min_value=0, max_value=1 << 60))
def test_sizes_are_read_at_a_glance(number: int) -> None:
    """Never more than four digits before the point but for what is beyond the largest unit."""
    digits = size(number).split(".")[0].split(" ")[0]
    assert len(digits) <= 4 or number >= 1 << 50


@pytest.mark.parametrize(("schedule", "works"), [("never", []), ("0 3 * * 0", [("maintain", "--stack", "s")])])
def test_maintenance_is_scheduled_by_choice(schedule: str, works: list[tuple[str, ...]]) -> None:
    """It removes what users deleted, which nobody asked for who set nothing."""
    settings = Settings.model_validate({"target": "local", "maintain": {"schedule": schedule}})
    assert [each for work in timed.works(settings, stack="s") for each in work.commands] == works


@pytest.mark.parametrize(
    ("section", "path"),
    [
        ({"maintain": {"keepDeletedDays": 7}}, "maintain"),
        ({"verify": {"schedule": "0 * * * *"}}, "verify.schedule"),
    ],
)
def test_scheduled_work_that_a_target_does_not_do_is_refused(
    section: dict[str, object], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a target that somebody adds: the setting would be ignored."""
    without = {"maintenance": None, "unverified_between_updates": lambda _self, _settings: "it has no clock"}
    added = type("Added", (type(targets.get("local")),), without)()
    settings = Settings.model_validate({"target": "local", **section})
    assert path not in {problem.path for problem in broken_rules(settings)}
    monkeypatch.setattr(targets, "get", lambda _: added)
    assert path in {problem.path for problem in broken_rules(settings)}
