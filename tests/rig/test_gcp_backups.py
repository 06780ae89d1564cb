"""Backups on emulated Google Cloud with real MLflow and Postgres: another machine's restored, its own by a job.

The rig's IAM decides what the job and the scheduler may do. Nothing here shows that Cloud Scheduler comes due, nor that
Cloud Run gives a container the memory that the job asks for, nor what it does with a revision that is made while the
service may have no instance.
"""

from __future__ import annotations

import contextlib
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.backup import sealing
from mlflow_backend.contract import ExitCode
from mlflow_backend.local import credentials
from mlflow_backend.local.scratch import FOLDER
from tests.engine import calls
from tests.engine.releases import support
from tests.engine.stack import LocalStack, nothing_changed
from tests.rig import originals
from tests.rig.clock import SERVERS
from tests.rig.gcp import team
from tests.rig.gcp.life import Life, begin
from tests.rig.gcp.rig import GcpRig
from tests.rig.kubernetes.contents import contents_of
from tests.rig.kubernetes.scheduled import leave_one

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.rig.gcp.storage import Object
    from tests.rig.originals import Original

pytestmark = [pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(1200)]

VERSION, BUCKET = "3.17.2", "backups-of-the-team"


class BackedUp(Life):
    """A stack with a destination for backups."""

    @property
    def backups(self) -> dict[str, Object]:
        """The objects of the stack's backups."""
        return self.rig.storage.buckets[BUCKET].objects

    def backup(self, *arguments: str, code: int = ExitCode.DONE) -> dict[str, Any]:
        """Run the command, and return what it printed."""
        done = self.stack.script("backup", "--json", *arguments)
        assert done.code == code, done.text
        return dict(json.loads(done.text[done.text.index("{\n") :]))

    def password(self) -> str:
        """Return the administrator's."""
        who = self.rig.tokens.administrator
        return self.rig.secrets.read(self.naming.secret("admin-password"), "latest", reader=who)

    def upload(self, path: str, pieces: Iterator[bytes]) -> Any:
        """Return the answer to an upload."""
        url = f"{self.naming.url()}/{path}"
        return self.rig.ask(url, "PUT", headers=self.login(), body=b"".join(pieces))

    def is_stored(self, artifact: str) -> bool:
        """Return whether an artifact is in the bucket."""
        return f"artifacts/{artifact}" in self.rig.storage.buckets[self.naming.bucket()].objects

    def staged(self) -> list[str]:
        """Return what a restore or a backup left in plain."""
        return [name for name in self.rig.storage.buckets[self.naming.bucket()].objects if "/staging/" in name]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """A stack of this machine that was used, backed up into a folder, and lost."""
    return originals.make(tmp_path_factory.mktemp("original"))


@pytest.fixture(scope="module")
def life(containers: None, original: Original, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackedUp]:
    """The stack, deployed and not used. The other one is gone before it is made."""
    folder = tmp_path_factory.mktemp("gcp-backups")
    with GcpRig(folder, SERVERS) as rig:
        team.bucket(rig, BUCKET)
        recovery = sealing.public_key(original.key.read_text().strip())
        wanted = {"protect": False, "destination": f"gs://{BUCKET}/team", "recoveryKey": recovery}
        made = begin(folder, rig, VERSION, backup=wanted, maintain={"schedule": "0 3 * * 0"})
        made.stack.must_up()
        yield BackedUp(stack=made.stack, rig=rig, images=made.images)


@pytest.fixture(scope="module")
def key(original: Original) -> str:
    """The option that gives the recovery key."""
    return f"file:{original.key}"


def test_another_machines_backup_restored_onto_it_is_the_backend(life: BackedUp, original: Original) -> None:
    """By folder and key alone: clients cannot tell it from the original, and the next update finds the revision."""
    refused = life.stack.script("backup", *original.options("restore", original.manifest.id))
    assert (refused.code, "--recovery-key" in refused.text) == (ExitCode.REFUSED, True), refused.text
    before = life.serving()
    life.backup(*original.opened("restore", original.manifest.id))
    assert life.password() == original.administrator
    assert contents_of(life.call) == original.data
    assert life.staged() == []
    restored = life.serving()
    assert restored != before
    life.stack.must_up()
    life.only(restored)
    assert contents_of(life.call) == original.data


def test_it_is_undone_by_command_and_repeated(life: BackedUp, original: Original) -> None:
    """The stack has its own databases, users and keys again, until the same backup is restored anew."""
    life.backup(*original.options("restore", "--undo"))
    assert life.password() != original.administrator
    assert contents_of(life.call)["runs"] == {}
    life.stack.must_up()
    life.backup(*original.opened("restore", original.manifest.id))
    life.stack.must_up()
    assert contents_of(life.call) == original.data


def test_a_job_takes_a_backup_that_is_whole(life: BackedUp) -> None:
    """Both databases' dumps, the artifacts and the keys are at the destination, and their checksums agree."""
    life.write(3)
    made = life.backup("create")
    found = life.backup("list")
    assert [each["id"] for each in found["backups"]] == [made["id"]]
    assert found["schedules"]["backup"].startswith("done")
    assert life.backup("verify", "--read") == {"backup": made["id"], "read": True, "damages": []}
    assert life.staged() == []


def test_the_scheduler_may_start_the_job(life: BackedUp) -> None:
    """As its own account, with nothing but the job's own arguments; another backup is there then."""
    before = len(life.backup("list")["backups"])
    execution = life.start("backup")
    assert execution.code == 0, life.said(execution)
    found = life.backup("list")
    assert len(found["backups"]) == before + 1
    assert found["schedules"]["backup"].startswith("done")


def test_a_job_maintains_by_command_and_by_its_schedule(life: BackedUp) -> None:
    """By an account that may write no artifact: row and artifact of what was deleted are gone, by the servers."""
    path = leave_one(life, "by-command")
    done = life.stack.script("maintain", "--json", "--dry-run")
    assert (done.code, life.is_stored(path)) == (ExitCode.DONE, True), done.text
    done = life.stack.script("maintain", "--json")
    assert (done.code, life.is_stored(path)) == (ExitCode.DONE, False), done.text
    report = json.loads(done.text[done.text.index("{\n") :])
    assert (report["removed"]["experiments"] > 0, report["kept"]) == (True, {})
    path = leave_one(life, "by-schedule")
    execution = life.start("maintenance")
    assert (execution.code, life.is_stored(path)) == (0, False), life.said(execution)


def test_a_drill_on_this_machine_proves_it(life: BackedUp, key: str) -> None:
    """From the bucket and the recovery key: served by a stack of this machine, of which nothing is left."""
    refused = life.stack.script("backup", "drill")
    assert (refused.code, "--recovery-key" in refused.text) == (ExitCode.REFUSED, True), refused.text
    result = life.backup("--recovery-key", key, "drill")
    assert (result["outcome"], result["keys_proved"], result["findings"]) == ("proved", True, [])
    assert life.backup("list")["backups"][-1]["state"] == "proved"
    assert not (life.stack.project / ".backend" / life.stack.name / FOLDER).exists()


def test_its_own_backup_restored_onto_it_takes_back_what_was_logged_since(life: BackedUp, key: str) -> None:
    """The revision stays, because its keys are the same ones. Undone, what was logged is there again."""
    before, serving, made = contents_of(life.call), life.serving(), life.backup("create")
    life.call("experiments/create", {"name": "since"})
    after = contents_of(life.call)
    life.backup("--recovery-key", key, "restore", made["id"])
    assert (contents_of(life.call), life.serving()) == (before, serving)
    life.backup("restore", "--undo")
    assert (contents_of(life.call), life.serving()) == (after, serving)
    life.stack.must_up()


def test_its_backup_restored_on_a_machine_is_the_backend(life: BackedUp, key: str, tmp_path: Path) -> None:
    """From the bucket and the key alone, onto a newer Postgres; the next update is green."""
    made, expected = life.backup("create"), contents_of(life.call)
    machine = LocalStack(tmp_path / "machine", "machine")
    machine.write_settings(access={"mode": "basic"})
    machine.state.path.mkdir(parents=True)
    machine.state.postgres_major.write_text("18\n")
    with contextlib.closing(machine):
        machine.must_up()
        address = ("--destination", f"gs://{BUCKET}/team", "--of", life.stack.name)
        restore = support.command(machine, "backup", *address, "--recovery-key", key, "restore", made["id"])
        done = life.stack.run(*restore)
        assert done.ok, done.text
        machine.must_up()
        login = (credentials.ADMIN_NAME, life.password())
        assert contents_of(partial(calls.call, machine.output("trackingUrl"), login=login)) == expected


def test_a_drill_finds_what_sizes_do_not_show(life: BackedUp, key: str) -> None:
    """One bit of one artifact's content is another: `verify` calls it whole, and the drill does not."""
    made = life.backup("create")
    name = next(name for name, each in life.backups.items() if each.content == originals.WEIGHTS)
    found = life.backups[name]
    flipped = found.content[:-1] + bytes([found.content[-1] ^ 1])
    life.backups[name] = type(found)(content=flipped, body=found.body)
    assert life.backup("verify", made["id"])["damages"] == []
    result = life.backup("--recovery-key", key, "drill", made["id"], code=ExitCode.VERIFICATION_FAILED)
    assert result["outcome"] == "damaged"
    artifact = originals.ARTIFACT.partition("/artifacts/")[2]
    assert any(artifact in each for each in result["findings"]), result["findings"]


def test_the_next_update_finds_no_difference(life: BackedUp) -> None:
    """Of the job, its schedule and its grants; and `destroy` leaves none of them, nor deletes a backup."""
    said = life.stack.must_up("--refresh").text
    assert nothing_changed(said), said
    kept = set(life.backups)
    done = life.stack.destroy()
    assert done.ok, done.text
    assert life.rig.scheduler.kept == {}
    assert set(life.backups) == kept
