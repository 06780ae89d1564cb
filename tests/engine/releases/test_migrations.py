"""Migrations on real servers with a real client: 2.9.2 -> 3.4.0 -> 3.17.2, and back by a restore."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.local import schema
from mlflow_backend.schema_tables import schema_table
from tests.engine.calls import call
from tests.engine.releases.support import client, releases, run, run_offered, serving
from tests.engine.stack import LocalStack

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.xdist_group("releases-migrations")]

VERSIONS = ("2.9.2", "3.4.0", "3.17.2")
RUNS = 200


def planned(stack: LocalStack) -> str:
    """Return the plan of an upgrade to the newest version, with an experiment that it refuses, and one elsewhere.

    Both are deleted, and their rows stay.
    """
    url = stack.output("trackingUrl")
    for location in ("ftp://files.example/1", "s3://old-bucket/1"):
        made = call(url, "experiments/create", {"name": location, "artifact_location": location})
        call(url, "experiments/delete", {"experiment_id": made["experiment_id"]})
    return run(stack, "upgrade", "--to", VERSIONS[-1]).text


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalStack, dict[str, object]]]:
    """A stack that came from 2.9.2 over 3.4.0 to 3.17.2, written to before each step; and what was read after each."""
    stack = LocalStack(tmp_path_factory.mktemp("migrated") / "stack")
    seen: dict[str, object] = {}
    try:
        for number, version in enumerate(VERSIONS):
            stack.write_settings(server={"mlflowVersion": version})
            if number == 1:
                seen["plan"] = planned(stack)
                seen[f"preview {version}"] = stack.pulumi("preview", "--stack", stack.name).text
                seen[f"diff {version}"] = stack.pulumi("preview", "--diff", "--stack", stack.name).text
            stack.must_up("--skip-preview")
            if number:
                seen[f"after {version}"] = client(stack, "read")
            if version != VERSIONS[-1]:
                client(stack, "write", f"on-{version}", str(RUNS))
                seen[f"before {VERSIONS[number + 1]}"] = client(stack, "read")
        yield stack, seen
    finally:
        stack.close()


@pytest.mark.parametrize("version", VERSIONS[1:])
def test_a_migration_loses_nothing(migrated: tuple[LocalStack, dict[str, object]], version: str) -> None:
    """Runs, metrics, models and artifacts that a client wrote before are what it reads after."""
    _, seen = migrated
    assert seen[f"after {version}"] == seen[f"before {version}"]


def test_the_preview_says_what_is_pending_and_what_it_costs(migrated: tuple[LocalStack, dict[str, object]]) -> None:
    """Each revision with its class, the downtime, and that a way back needs a restore, before anything is done."""
    _, seen = migrated
    for shown in ("preview 3.4.0", "diff 3.4.0"):
        text = str(seen[shown])
        assert "71994744cf8e safe: add evaluation datasets" in text
        assert "bda7b8c39065 breaking: increase_model_version_tag_value_limit" in text
        assert "so the server is stopped for them" in text
        assert "needs a restore of the dump" in text
        assert "experiments at s3://old-bucket: 1, outside s3://mlflow/artifacts" in text
        assert re.search(r"upgrade --(stack|locator) \S+ --to 3\.4\.0", text)


def test_the_plan_of_an_upgrade_is_of_what_is_there(migrated: tuple[LocalStack, dict[str, object]]) -> None:
    """Pending revisions up to the version, the location that it refuses, and the clients of the server's own log."""
    _, seen = migrated
    text = str(seen["plan"])
    assert "71994744cf8e safe: add evaluation datasets" in text
    assert "experiments at ftp://files.example: 1," in text
    assert "experiments at s3://old-bucket: 1, outside s3://mlflow/artifacts" in text
    assert re.search(r"^clients +2\.9\.2: loses none \(requests: \d+\)", text, re.MULTILINE)
    assert "is lost" in text


def test_the_database_is_at_the_head_and_its_dumps_are_recorded(
    migrated: tuple[LocalStack, dict[str, object]],
) -> None:
    """The last head is the version's own; a dump of each schema before it is in the ledger and whole."""
    stack, _ = migrated
    found = releases(stack)
    assert found.heads() == schema.Heads(tracking=schema_table().heads["3.17.2"].tracking)
    dumps = found.ledger.read().dumps
    assert [dump.heads.tracking for dump in dumps] == [schema_table().heads[v].tracking for v in VERSIONS[:2]]
    assert all(found.is_restorable(dump) for dump in dumps)
    assert stack.output("release")["schemaHead"] == schema_table().heads["3.17.2"].tracking


def test_a_rollback_over_a_schema_change_is_refused_and_touches_nothing(
    migrated: tuple[LocalStack, dict[str, object]],
) -> None:
    """Exit code 3, the direction named truly, the dump and the option named; revision and records stay."""
    stack, _ = migrated
    before = (serving(stack), len(releases(stack).ledger.read().records))
    refused = run(stack, "rollback", "--to-version", "3.4.0", "--yes")
    assert refused.code == 3
    assert "newer than 71994744cf8e, which MLflow 3.4.0 needs" in refused.text
    assert "--restore" in refused.text
    assert (serving(stack), len(releases(stack).ledger.read().records)) == before


def test_an_older_version_in_the_settings_is_refused_at_preview(
    migrated: tuple[LocalStack, dict[str, object]],
) -> None:
    """MLflow itself would say 'out-of-date': here the preview says that the database is newer and how to go back."""
    stack, _ = migrated
    stack.write_settings(server={"mlflowVersion": "3.4.0"})
    preview = stack.pulumi("preview", "--stack", stack.name)
    stack.write_settings(server={"mlflowVersion": VERSIONS[-1]})
    assert not preview.ok
    assert "newer than 71994744cf8e, which MLflow 3.4.0 needs" in preview.text
    dry = run_offered(stack, preview.text, "--dry-run")
    assert dry.code == 0, dry.text


def test_a_restore_goes_back_with_the_losses_counted(migrated: tuple[LocalStack, dict[str, object]]) -> None:
    """What was written since the dump is announced exactly, then gone; what was there at the dump is there again."""
    stack, seen = migrated
    url = stack.output("trackingUrl")
    for _ in range(3):
        call(url, "runs/create", {"experiment_id": "0", "start_time": 1})
    call(url, "registered-models/create", {"name": "after the dump"})
    dry = run(stack, "rollback", "--to-version", "3.4.0", "--restore", "--dry-run", "--json")
    assert dry.code == 0, dry.text
    # And what the verifications of 3.17.2 left, as the candidate and in service: a run each, and its experiment.
    assert '"runs": 5' in dry.text, dry.text
    assert '"experiments": 2' in dry.text, dry.text
    assert '"registered models": 1' in dry.text
    done = run(stack, "rollback", "--to-version", "3.4.0", "--restore", "--yes", "--reason", "a test")
    assert done.code == 0, done.text
    (lost,) = re.findall(r"Lost: (.+)\.", done.text)
    assert set(lost.split(", ")) == {"5 runs", "2 experiments", "1 registered model"}
    assert client(stack, "read") == seen["before 3.17.2"]
    assert schema.kept(stack.state)
    assert call(url, "registered-models/search")["registered_models"]


def test_the_state_agrees_until_the_pin_is_lifted(migrated: tuple[LocalStack, dict[str, object]]) -> None:
    """After the rollback a refreshing preview leaves the server alone, and an update ends red with the reason."""
    stack, _ = migrated
    preview = stack.pulumi("preview", "--refresh", "--stack", stack.name)
    assert "mlflow-server update" not in preview.text
    assert "mlflow-server create" not in preview.text
    outcome = stack.up("--refresh", "--skip-preview")
    assert not outcome.ok
    assert "pinned to 2 since" in outcome.text
    assert "because a test" in outcome.text
    assert serving(stack) == "2"
    assert stack.output("release")["mlflowVersion"] == "3.4.0"


def test_after_unpin_the_update_migrates_again(migrated: tuple[LocalStack, dict[str, object]]) -> None:
    """Forward again: the restored database is dumped and migrated like any other, and its content is kept.

    The way is the one that a rollback names, if it is asked for a release whose schema the database is not at.
    """
    stack, seen = migrated
    blocked = run(stack, "rollback", "--to", "3", "--yes")
    assert blocked.code == 3, blocked.text
    assert run_offered(stack, blocked.text).code == 0
    dropped = run(stack, "rollback", "--drop-kept", "--yes")
    assert (dropped.code, schema.kept(stack.state)) == (0, ()), dropped.text
    stack.must_up("--refresh", "--skip-preview")
    assert stack.output("release")["mlflowVersion"] == "3.17.2"
    assert client(stack, "read") == seen["before 3.17.2"]
