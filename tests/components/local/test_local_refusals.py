"""What the local target refuses."""

from __future__ import annotations

import pytest

from mlflow_backend.contract import Refused
from mlflow_backend.local.refusals import refuse_unsupported, refuse_without_project
from mlflow_backend.local.timed import Work
from mlflow_backend.settings import Settings


@pytest.mark.parametrize(
    ("sections", "key"),
    [
        ({"server": {"replicas": 2}}, "server.replicas"),
        ({"server": {"image": "mlflow:1"}}, "server.image"),
        ({"server": {"memory": 2048}}, "server.memory"),
        ({"scaling": {"maxReplicas": 3}}, "scaling.maxReplicas"),
        ({"database": {"mode": "adopt", "existing": "postgresql://h:1/n"}}, "database.mode"),
        ({"network": {"publicUrl": "https://mlflow.example.com"}}, "network.publicUrl"),
        ({"access": {"mode": "cloudIdentity"}}, "access.mode"),
        ({"release": {"soakSource": "dev"}}, "release.soakSource"),
        ({"backup": {"retentionDays": 3}}, "backup.retentionDays"),
        ({"tags": {"team": "ml"}}, "tags"),
    ],
)
def test_a_setting_that_cannot_be_fulfilled_is_refused_by_its_key(sections: dict[str, object], key: str) -> None:
    """Nothing is ignored: the key is named as it stands in the file, with the reason."""
    with pytest.raises(Refused, match=rf"{key} is set, and "):
        refuse_unsupported(Settings.model_validate({"target": "local", **sections}))


def test_all_that_cannot_be_fulfilled_is_reported_at_once() -> None:
    """Two wrong settings cost one run."""
    with pytest.raises(Refused, match=r"server\.cpu .*; tags is set"):
        refuse_unsupported(Settings.model_validate({"target": "local", "server": {"cpu": 1024}, "tags": {"a": "b"}}))


def test_the_defaults_are_fulfilled() -> None:
    """A stack that names its target only is deployed."""
    refuse_unsupported(Settings.model_validate({"target": "local"}))


def test_work_on_a_schedule_needs_the_folder_of_the_stacks_file() -> None:
    """A program of somebody else's that forgets it would have backups in its settings, and none on the disk."""
    works = [Work(name="backup", schedule="0 2 * * *", commands=(("backup", "create"),))]
    refuse_without_project([], None)
    with pytest.raises(Refused, match="backup is scheduled"):
        refuse_without_project(works, None)
