"""What takes backups in a cluster: the CronJob, what its pods may reach and read, and what is made of a Job."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from mlflow_backend.backup.tool import DEADLINE_S
from mlflow_backend.kubernetes import scheduled as live
from mlflow_backend.kubernetes.naming import DATABASE, JOB, SERVER
from mlflow_backend.kubernetes.render import backups, secrets
from mlflow_backend.releases.lease import LEASE
from mlflow_backend.schedules import BACKUP
from tests.components.kubernetes.documents import all_of, environment_of, pod_of, tool_of
from tests.components.kubernetes.stacks import naming, settings_of

NOW = datetime(2026, 11, 29, 10, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def documents() -> dict[str, Any]:
    """Every document of a stack that is backed up."""
    return all_of(settings_of("backed-up"))


def test_the_platforms_own_scheduler_starts_one_at_a_time(documents: dict[str, Any]) -> None:
    """In UTC as everywhere, never beside one that is still at work, and with an end."""
    spec = documents["backup-schedule"]["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("30 1 * * *", "Etc/UTC", "Forbid")
    job = spec["jobTemplate"]["spec"]
    assert (job["backoffLimit"], job["template"]["spec"]["restartPolicy"]) == (0, "Never")
    assert DEADLINE_S <= job["activeDeadlineSeconds"] < LEASE.total_seconds()
    (container,) = job["template"]["spec"]["containers"]
    assert container["command"][-len(backups.COMMAND) :] == list(backups.COMMAND)


def test_without_a_schedule_one_can_still_be_taken() -> None:
    """`never` leaves out the CronJob alone; without a destination there is nothing."""
    parts = backups.documents(settings_of("backed-up", {"backup": {"schedule": "never"}}), naming(settings_of()))
    assert set(parts) == {"backup-tool", BACKUP}
    assert backups.documents(settings_of(), naming(settings_of())) == {}


def test_the_pods_have_an_account_and_a_way_out_of_their_own(documents: dict[str, Any]) -> None:
    """They reach the database and both stores, and neither the servers nor the cache; nobody reaches them."""
    pod = pod_of(documents[BACKUP])
    accounts = {part: pod_of(documents[part])["spec"]["serviceAccountName"] for part in (SERVER, "database-tool")}
    assert pod["spec"]["serviceAccountName"] not in accounts.values()
    assert documents[f"account-{BACKUP}"]["metadata"]["name"] == pod["spec"]["serviceAccountName"]
    policy = documents[f"policy-{BACKUP}"]["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert {port["port"] for flow in policy["egress"] for port in flow["ports"]} == {53, 443, 9000, 9443, 5432}
    assert "ingress" not in policy
    (reached,) = documents[f"policy-{DATABASE}"]["spec"]["ingress"]
    callers = [each["podSelector"]["matchLabels"] for each in reached["from"]]
    assert naming(settings_of()).selector(BACKUP) in callers
    assert pod["metadata"]["labels"].items() >= naming(settings_of()).selector(BACKUP).items()
    assert not pod["metadata"]["labels"].items() >= naming(settings_of()).selector(JOB).items()


def test_secrets_are_read_by_reference(documents: dict[str, Any]) -> None:
    """The keys of the destination, and what users know their data by; the ConfigMap has none of it."""
    environment = environment_of(documents[BACKUP])
    assert environment["MLFLOW_BACKEND_BACKUP_SECRET_ACCESS_KEY"] == ("backup-keys", secrets.SECRET_KEY)
    (volume,) = [
        each["secret"]
        for each in pod_of(documents[BACKUP])["spec"]["volumes"]
        if "secret" in each and each["name"] == "backed-up"
    ]
    assert [item["key"] for item in volume["items"]] == list(secrets.ALWAYS)
    job = json.loads(documents["backup-tool"]["data"]["job.json"])
    assert (job["destination"]["bucket"], job["destination"]["root"]) == ("elsewhere", "team/cluster")


def test_the_tool_is_what_the_command_runs(documents: dict[str, Any]) -> None:
    """The zip is in the ConfigMap that the pod mounts, well below what one takes (1 MiB)."""
    tool = documents["backup-tool"]
    names, path = tool_of(documents, BACKUP)
    assert "__main__.py" in names
    assert len(json.dumps(tool)) < 512 * 1024
    assert backups.COMMAND[1] == path


EARLY, LATE = "2026-11-28T01:30:00Z", "2026-11-29T01:30:00Z"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({}, "none on schedule yet; next 2026-11-30 01:30Z"),
        ({"lastScheduleTime": EARLY, "lastSuccessfulTime": LATE}, f"done {LATE}; next"),
        ({"lastScheduleTime": LATE, "lastSuccessfulTime": EARLY}, f"failed, begun {LATE}; last done {EARLY}; next"),
        ({"lastScheduleTime": LATE}, f"failed, begun {LATE}; none done on schedule yet; next"),
        ({"lastScheduleTime": LATE, "active": [{}]}, f"under way since {LATE}; next"),
    ],
)
def test_the_list_says_how_the_schedule_goes(status: dict[str, Any], words: str) -> None:
    """A backup that was begun and not done is seen."""
    found = live.described({"spec": {"schedule": "30 1 * * *"}, "status": status}, NOW)
    assert found.startswith(words)


def test_a_suspended_schedule_is_said_to_be() -> None:
    """Whoever suspended it may have forgotten."""
    assert (
        live.described({"spec": {"schedule": "30 1 * * *", "suspend": True}}, NOW) == "none on schedule yet; suspended"
    )
