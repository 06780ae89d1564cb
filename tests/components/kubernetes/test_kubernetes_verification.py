"""What verifies a backend in a cluster on a schedule: its CronJob, its pods, and what it is told."""

from __future__ import annotations

import json

import pytest

from mlflow_backend.backup.verify_job import ScheduledVerification
from mlflow_backend.codec import from_document
from mlflow_backend.kubernetes.naming import JOB, VERIFICATION
from mlflow_backend.kubernetes.render import verification
from mlflow_backend.settings.rules import broken_rules
from tests.components.kubernetes.documents import all_of, environment_of, pod_of, tool_of
from tests.components.kubernetes.stacks import naming, settings_of

HOURLY = {"verify": {"schedule": "0 * * * *", "deadline": 60, "profile": "full"}}


@pytest.mark.parametrize("schedule", [None, "never"])
def test_nothing_is_verified_between_updates_unless_it_is_wanted(schedule: str | None) -> None:
    """Each run writes runs and artifacts, and takes a pod's room."""
    settings = settings_of("cluster", {"verify": {"schedule": schedule}})
    assert verification.documents(settings, naming(settings)) == {}


def test_the_platforms_own_scheduler_starts_one_at_a_time() -> None:
    """A hung server does not hold it longer than the checks' own deadline and their cleanup."""
    settings = settings_of("cluster", HOURLY)
    spec = all_of(settings)["verification-schedule"]["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("0 * * * *", "Etc/UTC", "Forbid")
    job = spec["jobTemplate"]["spec"]
    assert job["backoffLimit"] == 0
    assert 60 < job["activeDeadlineSeconds"] < 3600
    (container,) = job["template"]["spec"]["containers"]
    assert list(verification.COMMAND) == container["command"][-len(verification.COMMAND) :]


def test_it_calls_the_service_with_the_users_kind_of_login() -> None:
    """The login is a reference; what it is told has no secret, and is read again as it was written."""
    settings = settings_of("prefix", HOURLY)
    documents = all_of(settings)
    told = documents["verification-tool"]["data"]["job.json"]
    found = from_document(ScheduledVerification, json.loads(told))
    assert found.subject.url == f"http://{naming(settings).host()}/mlflow"
    assert naming(settings).host() in found.subject.hosts
    assert "https://tools.example.com" in found.subject.origins
    assert (found.request.profile, found.request.deadline_s) == ("full", 60)
    environment = environment_of(documents[VERIFICATION])
    named = {reference.removeprefix("env:") for reference in found.subject.credentials.values()}
    assert named
    assert all(environment[each][0] == "mlflow-cluster-server" for each in named)
    assert pod_of(documents[VERIFICATION])["metadata"]["labels"].items() >= naming(settings).selector(JOB).items()


def test_the_tool_is_what_the_command_runs() -> None:
    """The zip is in the ConfigMap that the pod mounts, below what one takes (1 MiB)."""
    documents = all_of(settings_of("cluster", HOURLY))
    tool = documents["verification-tool"]
    names, path = tool_of(documents, VERIFICATION)
    assert "__main__.py" in names
    assert len(json.dumps(tool)) < 768 * 1024
    assert verification.COMMAND[1] == path


def test_a_schedule_is_refused_only_where_nothing_starts_it() -> None:
    """On this target it is fulfilled, with a value that is checked as strictly."""
    assert "verify.schedule" not in {each.path for each in broken_rules(settings_of("cluster", HOURLY))}
    with pytest.raises(ValueError, match="five fields"):
        settings_of("cluster", {"verify": {"schedule": "hourly"}})
