"""What EventBridge Scheduler starts of a backend on ECS: which tasks, with which command, watched by which alarms."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.aws.render import alarms, scheduler
from mlflow_backend.aws.store import FETCH
from mlflow_backend.backup import job
from mlflow_backend.backup.tool import content
from mlflow_backend.backup.verify_job import ScheduledVerification
from mlflow_backend.codec import from_document
from mlflow_backend.contract import Refused
from mlflow_backend.ecs.refusals import refuse_unsupported
from mlflow_backend.ecs.render import scheduled
from mlflow_backend.settings import SettingsError, refuse_broken
from tests.components.ecs.stacks import naming_of, settings_of, store_of

if TYPE_CHECKING:
    from mlflow_backend.settings import Settings

VARIANT, URL = "internal", "http://internal-balancer.example.com/ml"
NAMING = naming_of(VARIANT)
TOOL = scheduled.tools(settings_of(VARIANT), NAMING)["verify"](store_of(VARIANT), URL)


def test_a_verification_is_told_what_an_update_tells_it() -> None:
    """The URL that users call, a login by reference, the profile; what serves is the ledger's word."""
    packed = zipfile.ZipFile(io.BytesIO(content(TOOL.program, TOOL.job, TOOL.settings, cloud="aws")))
    names = set(packed.namelist())
    assert {"mlflow_backend/aws/verify_task.py", "mlflow_backend/verify/runner.py", job.JOB} <= names
    wanted = from_document(ScheduledVerification, json.loads(packed.read(job.JOB)))
    assert (wanted.subject.url, wanted.subject.access, wanted.subject.stack) == (URL, True, NAMING.stack)
    assert wanted.store.bucket == store_of(VARIANT).bucket
    assert all(reference.startswith("env:") for reference in wanted.subject.credentials.values())


def test_the_schedule_gives_the_task_another_command() -> None:
    """The task that verifies for an update is the one that verifies on a schedule."""
    found = scheduler.schedule(
        NAMING, "verify", "cron(30 * * * ? *)", cluster="c", role="r", definition="d", network={},
        command=scheduler.override("verify", TOOL.command(FETCH)),
    )  # fmt: skip
    (override,) = json.loads(found["target"]["input"])["containerOverrides"]
    assert (override["name"], override["command"][-2:]) == ("verify", [TOOL.bucket, TOOL.key])
    assert f"signal.alarm({TOOL.deadline_s})" in override["command"][2]


@pytest.mark.parametrize(
    ("variant", "changed", "wanted"),
    [
        ("internal", {}, {"verify": "cron(30 * * * ? *)"}),
        ("internal", {"schedule": "never"}, {}),
        ("everything", {}, {"backup": "cron(0 2 * * ? *)", "maintenance": "cron(0 3 ? * SUN *)"}),
        ("dev", {}, {}),
        ("dev", {"schedule": "0 * * * *"}, {"verify": "cron(0 * * * ? *)"}),
    ],
)
def test_only_what_is_set_is_scheduled(variant: str, changed: dict[str, str], wanted: dict[str, str]) -> None:
    """A backup by its destination, a verification by its schedule."""
    assert scheduled.expressions(verified(variant, changed)) == wanted


def test_a_schedule_that_would_not_verify_is_refused() -> None:
    """EventBridge Scheduler cannot say it, or the task could not call the balancer."""
    with pytest.raises(Refused, match=r"verify\.schedule names days"):
        refuse_unsupported(verified("internal", {"schedule": "0 4 1 * 1"}))
    with pytest.raises(SettingsError, match=r"aws\.network\.internal"):
        refuse_broken(verified("endpoints", {"schedule": "0 * * * *"}))


def test_what_does_not_happen_sets_off_an_alarm() -> None:
    """An hour without the event has no figure at all; without a schedule nothing is missed."""
    found: dict[str, Any] = {
        each.name: each
        for each in alarms.alarms(
            cluster="c", database=None, cache=False, certificate=False, scheduled=("backup", "verify")
        )
    }
    for name, hours in (("verification-old", 3), ("backup-old", 26)):
        alarm = found[name]
        assert (alarm.period_s * alarm.periods, alarm.missing) == (hours * 3600, "breaching")
        assert alarm.metric in {each.metric for each in alarms.COUNTED.values()}
    unscheduled = alarms.alarms(cluster="c", database=None, cache=False, certificate=False, scheduled=())
    assert not {each.name for each in unscheduled} & {"verification-old", "backup-old"}


def verified(variant: str, changed: dict[str, str]) -> Settings:
    """Return the settings of a variant with another section `verify`."""
    settings = settings_of(variant)
    return settings.model_copy(update={"verify": settings.verify.model_copy(update=changed)})
