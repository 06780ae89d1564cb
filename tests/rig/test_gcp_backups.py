"""Backups on emulated Google Cloud by a job of their own: taken from real MLflow and Postgres, listed, read whole.

The rig's IAM decides what the job and the scheduler may do. Nothing here shows that Cloud Scheduler comes due, nor that
Cloud Run gives a container the memory that the job asks for.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.backup import sealing
from tests.engine.stack import nothing_changed
from tests.rig.clock import SERVERS
from tests.rig.gcp import team
from tests.rig.gcp.life import Life, begin
from tests.rig.gcp.rig import GcpRig
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(1200)]

VERSION, BUCKET = "3.17.2", "backups-of-the-team"
_TAKEN_S = 240


@pytest.fixture(scope="module")
def life(containers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """A stack with a destination for backups, deployed, with runs."""
    folder = tmp_path_factory.mktemp("gcp-backups")
    with GcpRig(folder, SERVERS) as rig:
        team.bucket(rig, BUCKET)
        recovery = sealing.public_key(sealing.new_key())
        wanted = {"protect": False, "destination": f"gs://{BUCKET}/team", "recoveryKey": recovery}
        made = begin(folder, rig, VERSION, backup=wanted)
        made.stack.must_up()
        made.write(3)
        yield made


def test_a_job_takes_a_backup_that_is_whole(life: Life) -> None:
    """Both databases' dumps, the artifacts and the keys are at the destination, and their checksums agree."""
    taken = life.stack.script("backup", "create")
    assert taken.code == 0, taken.text
    found = json.loads(life.stack.script("backup", "list", "--json").text)
    (backup,) = found["backups"]
    assert found["schedules"]["backup"].startswith("done")
    verified = life.stack.script("backup", "verify", "--read", "--json")
    assert verified.code == 0, verified.text
    assert json.loads(verified.text) == {"backup": backup["id"], "read": True, "damages": []}
    plain = [name for name in life.rig.storage.buckets[life.naming.bucket()].objects if "/staging/" in name]
    assert plain == []


def test_the_scheduler_may_start_the_job(life: Life) -> None:
    """As its own account, with nothing but the job's own arguments; another backup is there then."""
    (name,) = life.rig.scheduler.kept
    job = life.rig.call("POST", f"v1/{name}:run", {}, api="cloudscheduler.v1")
    assert job["status"] == {"code": 0}, job["status"]

    def two() -> bool:
        found = json.loads(life.stack.script("backup", "list", "--json").text)
        return len(found["backups"]) == 2 and found["schedules"]["backup"].startswith("done")

    until(two, what="the scheduled backup", deadline_s=_TAKEN_S)


def test_the_next_update_finds_no_difference(life: Life) -> None:
    """Of the job, its schedule and its grants; and `destroy` leaves none of them, nor deletes a backup."""
    said = life.stack.must_up("--refresh").text
    assert nothing_changed(said), said
    kept = set(life.rig.storage.buckets[BUCKET].objects)
    done = life.stack.destroy()
    assert done.ok, done.text
    assert life.rig.scheduler.kept == {}
    assert set(life.rig.storage.buckets[BUCKET].objects) == kept
