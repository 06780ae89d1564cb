"""Backups of a local stack with real MLflow: taken, verified, drilled, restored elsewhere, damaged and interrupted."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.backup import sealing
from mlflow_backend.backup.create import LOCK
from mlflow_backend.contract import ExitCode
from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.local import credentials, ports, processes, schema, timer
from mlflow_backend.local.naming import ARTIFACT_ROOT
from mlflow_backend.local.platform import LocalPlatform
from mlflow_backend.local.scratch import FOLDER
from mlflow_backend.local.state import write
from mlflow_backend.local.store import Store
from mlflow_backend.pace import wait_until
from mlflow_backend.releases.overview import overview
from mlflow_backend.releases.stores import STAGING, FileStore
from mlflow_backend.verify.credentials import basic_header
from mlflow_backend.verify.tracking import PREFIX
from tests.engine import calls
from tests.engine.releases import support
from tests.engine.stack import LocalStack

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.engine.project import Outcome

pytestmark = [pytest.mark.engine, pytest.mark.slow]

DEADLINE_S = 120.0
MANY_RUNS, LARGE_MIB = 5_000, 50
PLAIN = (b"PGDMP", b"AGE-SECRET-KEY")


class Backups:
    """A stack that is backed up, where to, and the private key of a person."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.destination, self.key = folder, folder / "destination", folder / "recovery.txt"
        key = sealing.new_key()
        self.key.write_text(f"# a person's\n{key}\n")
        self.section = {
            "destination": str(self.destination),
            "recoveryKey": sealing.public_key(key),
            # No test runs when the year begins.
            "schedule": "0 0 1 1 *",
            "drillSchedule": "never",
        }
        self.stack = self.stack_in("stack")

    def stack_in(self, name: str) -> LocalStack:
        """Return a stack of its own with the same settings, which is not deployed."""
        made = LocalStack(self.folder / name)
        made.write_settings(access={"mode": "basic"}, backup=self.section)
        return made

    def run(self, *arguments: str, stack: LocalStack | None = None) -> Outcome:
        """Run the command on a stack."""
        return support.run(stack or self.stack, "backup", *arguments)

    def client(self, what: str, *arguments: str, stack: LocalStack | None = None) -> Any:
        """Run the real client as the administrator that the first stack was made with."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_USERNAME", credentials.ADMIN_NAME)
            patch.setenv("MLFLOW_TRACKING_PASSWORD", credentials.read(self.stack.state, credentials.ADMIN))
            return support.client(stack or self.stack, what, *arguments)

    def json(self, *arguments: str) -> Any:
        """Run the command, which succeeds, and return what it says to programs."""
        done = self.run("--json", *arguments)
        assert done.ok, done.text
        return json.loads(done.text[done.text.index("{") :])

    @property
    def with_key(self) -> tuple[str, str]:
        """The option that gives the private key."""
        return ("--recovery-key", f"file:{self.key}")

    def start(self, *arguments: str, stack: LocalStack | None = None) -> subprocess.Popen[bytes]:
        """Start the command, to be killed in the middle."""
        return support.start(stack or self.stack, "backup", *arguments)

    def objects(self) -> list[Path]:
        """Return every file at the destination."""
        return [path for path in self.destination.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def backups(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backups]:
    """A deployed stack with two backups, between which data were written."""
    made = Backups(tmp_path_factory.mktemp("backups"))
    with contextlib.closing(made.stack):
        made.stack.must_up()
        made.client("write", "first", "11")
        made.json("create")
        made.client("write", "second", "11")
        made.json("create")
        yield made


def kill_when(process: subprocess.Popen[bytes], reached: Callable[[], bool]) -> None:
    """Kill a command with SIGKILL once it has got so far, which it does before it ends."""
    assert wait_until(lambda: reached() or process.poll() is not None, timeout_s=DEADLINE_S, poll_s=0.002)
    assert process.poll() is None
    process.kill()
    process.wait(timeout=DEADLINE_S)


def test_a_backup_is_whole_and_nothing_of_it_is_in_plain_but_artifacts(backups: Backups) -> None:
    """What did not change is not copied again; whoever reads the folder finds no dump, no password and no key."""
    first, second = backups.json("list")["backups"]
    assert second["artifacts"]["files"] == 2 * first["artifacts"]["files"]
    assert backups.json("--dry-run", "create") == {"toRead": 0, "bytes": 0, "unchanged": second["artifacts"]["files"]}
    assert backups.json("verify", first["id"], "--read")["damages"] == []
    assert backups.json("verify", "--read")["damages"] == []
    secret = credentials.read(backups.stack.state, credentials.ADMIN).encode()
    assert [path for path in backups.objects() for word in (*PLAIN, secret) if word in path.read_bytes()] == []
    assert not backups.stack.state.backend_store.joinpath(STAGING).exists()


def dumps_below(folder: Path) -> list[str]:
    """Return the names of the dumps in a folder that another process fills and empties."""
    return [name for _, _, names in os.walk(folder) for name in names if name.endswith(".dump")]


def test_a_backup_that_was_killed_is_none_and_the_next_one_leaves_nothing_of_it(backups: Backups) -> None:
    """The dump in plain goes with the next backup, and two at once are refused."""
    staging, known = backups.stack.state.backend_store / STAGING, len(backups.json("list")["backups"])
    kill_when(backups.start("create"), lambda: any(dumps_below(staging)))
    assert len(backups.json("list")["backups"]) == known
    with FileStore(backups.stack.state.backend_store).locked(LOCK, by="another"):
        refused = backups.run("create")
    assert (refused.code, "another" in refused.text) == (ExitCode.REFUSED, True), refused.text
    backups.json("create")
    assert not staging.exists()
    assert len(backups.json("list")["backups"]) == known + 1


def test_a_backup_that_was_missed_is_taken_by_the_timer_which_is_started_again(backups: Backups) -> None:
    """Nobody types the command: the timer's process is killed, finds the moment that nothing ran at, and takes one."""
    known, state = len(backups.json("list")["backups"]), backups.stack.state
    (process,) = backups.stack.processes("timer")
    write(state.timer, json.dumps({"backup": {"since": (datetime.now(UTC) - timedelta(days=400)).isoformat()}}))
    process.kill()
    assert wait_until(lambda: "done" in timer.described(state)["backup"], timeout_s=3 * DEADLINE_S), backups.run(
        "list"
    ).text
    listed = backups.json("list")
    assert len(listed["backups"]) == known + 1
    shown, _ = overview(DeployedBackend(LocalPlatform(state)))
    assert any(listed["schedules"]["backup"] in line for line in shown)
    assert backups.run("verify", "--read").ok


def test_a_drill_finds_a_silently_corrupted_backup(backups: Backups) -> None:
    """A flipped bit changes no size, so that a listing says nothing; a drill reads all that it restores."""
    backup = backups.json("list")["backups"][0]["id"]
    dump = backups.destination / backups.stack.name / "backups" / backup / "tracking.dump.age"
    content = dump.read_bytes()
    dump.write_bytes(content[:-100] + bytes([content[-100] ^ 1]) + content[-99:])
    assert backups.run("verify", backup).ok
    found = backups.run("--json", "drill", backup)
    assert found.code == ExitCode.VERIFICATION_FAILED, found.text
    assert "tracking.dump.age" in found.text
    assert [each["state"] for each in backups.json("list")["backups"] if each["id"] == backup] == ["damaged"]


@pytest.mark.full
def test_a_drill_proves_a_backup_and_leaves_nothing(backups: Backups) -> None:
    """By the recovery key alone, with real times; the next drill removes the stack of one that was killed.

    An artifact that no run names is noted, and damages nothing.
    """
    lost = backups.stack.state.store / ARTIFACT_ROOT.removeprefix("s3://") / "7/gone/artifacts/lost.txt"
    lost.parent.mkdir(parents=True)
    lost.write_text("of a run that is gone")
    backups.json("create")
    scratch = backups.stack.state.path / FOLDER
    kill_when(backups.start("drill"), lambda: bool(processes.marked(str(scratch), "database")))
    proved = backups.json(*backups.with_key, "drill")
    assert (proved["outcome"], proved["keys_proved"], proved["findings"]) == ("proved", True, [])
    # The client registers versions of models without writing any files for them, which is noted too.
    assert "1 artifacts of 21 bytes" in proved["notes"][0]
    assert "7/gone/artifacts/lost.txt" in proved["notes"][0]
    assert proved["rto_s"] > 0
    assert proved["rpo_s"] > 0
    assert not scratch.exists()
    assert processes.marked(str(scratch)) == []
    assert backups.json("list")["backups"][-1]["state"] == "proved"
    lost.unlink()


def test_a_backup_restored_elsewhere_is_the_backend(backups: Backups) -> None:
    """A client cannot tell it from the original, also after a restore that was killed; the next update is green."""
    before, newest = backups.client("read"), backups.json("list")["backups"][-1]["id"]
    other = backups.stack_in("elsewhere")
    with contextlib.closing(other):
        other.must_up()
        refused = backups.run("restore", newest, stack=other)
        assert (refused.code, "--recovery-key" in refused.text) == (ExitCode.REFUSED, True), refused.text
        restore = (*backups.with_key, "restore", newest)
        kill_when(backups.start(*restore, stack=other), lambda: any(other.state.path.glob("credentials.before-*")))
        between = other.up()
        assert not between.ok
        assert f"A restore of backup {newest}" in between.text
        done = backups.run(*restore, stack=other)
        assert done.ok, done.text
        assert backups.client("read", stack=other) == before
        other.must_up()
        assert backups.client("read", stack=other) == before


def all_runs(stack: LocalStack, logged: Logged) -> list[Any]:
    """Return what MLflow's API of a stack says of every run of an experiment, page by page."""
    found: list[Any] = []
    asked: dict[str, Any] = {"experiment_ids": [logged.experiment], "max_results": 1000}
    while True:
        page = calls.call(stack.output("trackingUrl"), "runs/search", asked, login=logged.login)
        found += page["runs"]
        if not (token := page.get("next_page_token")):
            return found
        asked["page_token"] = token


def downloaded(stack: LocalStack, path: str, login: tuple[str, str]) -> str:
    """Return the SHA-256 of an artifact as MLflow's API of a stack sends it."""
    url = f"{stack.output('trackingUrl')}/api/2.0/mlflow-artifacts/artifacts/{path}"
    with urllib.request.urlopen(urllib.request.Request(url, headers=basic_header(*login)), timeout=DEADLINE_S) as sent:
        return hashlib.file_digest(sent, "sha256").hexdigest()


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_thousands_of_runs_and_a_large_artifact_are_restored_elsewhere(backups: Backups) -> None:
    """A client reads each run the same, and the artifact byte for byte."""
    # What `client("read")` returns leaves out experiments with a slash.
    logged = Logged(backups.stack, "many/runs")
    metrics = [{"key": f"m{number}", "value": number / 7, "timestamp": number, "step": number} for number in range(5)]
    params = [{"key": "layers", "value": "3"}]

    def log(number: int) -> None:
        made = logged.call("runs/create", {"experiment_id": logged.experiment, "run_name": f"run {number}"})
        run = made["run"]["info"]["run_id"]
        logged.call("runs/log-batch", {"run_id": run, "metrics": metrics, "params": params})

    with ThreadPoolExecutor(4) as clients:
        list(clients.map(log, range(MANY_RUNS)))
    model = f"{logged.experiment}/{logged.run()}/artifacts/model.bin"
    pieces = [os.urandom(1 << 20) for _ in range(LARGE_MIB)]
    store = Store(backups.stack.state, ports.known(backups.stack.state)["store"])
    store.put(model, pieces, size_bytes=LARGE_MIB << 20)
    before = all_runs(backups.stack, logged)
    assert len(before) == MANY_RUNS + 1

    backups.json("create")
    newest = backups.json("list")["backups"][-1]["id"]
    other = backups.stack_in("large")
    with contextlib.closing(other):
        other.must_up()
        done = backups.run(*backups.with_key, "restore", newest, stack=other)
        assert done.ok, done.text
        assert all_runs(other, logged) == before
        assert downloaded(other, model, logged.login) == hashlib.sha256(b"".join(pieces)).hexdigest()


class Logged:
    """Runs of one experiment by MLflow's API, as the administrator, and how long ago they were deleted."""

    def __init__(self, stack: LocalStack, name: str) -> None:
        self.stack, self.url = stack, stack.output("trackingUrl")
        self.login = (credentials.ADMIN_NAME, credentials.read(stack.state, credentials.ADMIN))
        self.experiment = self.call("experiments/create", {"name": name})["experiment_id"]

    def call(self, path: str, body: object) -> dict[str, Any]:
        """Call MLflow's API."""
        return calls.call(self.url, path, body, login=self.login)

    def run(self) -> str:
        """Log a run with one artifact."""
        run = self.call("runs/create", {"experiment_id": self.experiment})["run"]["info"]["run_id"]
        store = Store(self.stack.state, ports.known(self.stack.state)["store"])
        store.put(f"{self.experiment}/{run}/artifacts/note.txt", [b"note"], size_bytes=4)
        return str(run)

    def delete(self, *runs: str, days_ago: int = 0) -> None:
        """Delete runs, which was so long ago."""
        for run in runs:
            self.call("runs/delete", {"run_id": run})
        if days_ago:
            with schema.reading(self.stack.state) as cursor:
                cursor.execute(
                    "UPDATE runs SET deleted_time = deleted_time - %s WHERE run_uuid = ANY(%s)",
                    (days_ago * 24 * 3600 * 1000, list(runs)),
                )

    def left(self) -> set[str]:
        """Return the runs that have rows."""
        with schema.reading(self.stack.state) as cursor:
            cursor.execute("SELECT run_uuid FROM runs WHERE experiment_id = %s", (self.experiment,))
            return {run for (run,) in cursor.fetchall()}

    def files(self) -> set[str]:
        """Return the runs that have files."""
        root = self.stack.state.store / ARTIFACT_ROOT.removeprefix("s3://") / str(self.experiment)
        return {path.relative_to(root).parts[0] for path in root.rglob("*") if path.is_file()}


def maintained(stack: LocalStack, *arguments: str) -> Any:
    """Maintain the stack, and return what the command says to programs."""
    done = support.run(stack, "maintain", "--json", *arguments)
    assert done.ok, done.text
    return json.loads(done.text[done.text.index("{") :])


def test_what_was_deleted_long_ago_is_removed_and_what_a_model_needs_is_kept(backups: Backups) -> None:
    """With access on and an artifact missing, at which MLflow's own gc ends; it takes a version's files too.

    What verifications left goes at once; artifacts that nothing names go by name alone. It and the next one are the
    last tests, because the stack has other data than its backups afterwards.
    """
    stack = backups.stack
    # Of the stack's own verifications, as many as there were, nothing is counted below.
    maintained(stack)
    logged, leftover = Logged(stack, "maintained"), Logged(stack, f"{PREFIX}/left")
    old, missing, used, recent = (logged.run() for _ in range(4))
    logged.call("registered-models/create", {"name": "maintained"})
    source = f"mlflow-artifacts:/{logged.experiment}/{used}/artifacts"
    logged.call("model-versions/create", {"name": "maintained", "source": source, "run_id": used})
    logged.delete(old, missing, used, days_ago=31)
    logged.delete(recent)
    leftover.run()
    leftover.call("experiments/delete", {"experiment_id": leftover.experiment})
    store = Store(stack.state, ports.known(stack.state)["store"])
    store.delete(f"{logged.experiment}/{missing}/artifacts/note.txt")
    store.put("gone/lost.txt", [b"lost"], size_bytes=4)

    planned = maintained(stack, "--dry-run")
    assert logged.left() == {old, missing, used, recent}
    done = maintained(stack)
    assert done["removed"] == planned["removed"] == {"runs": 3, "logged models": 0, "experiments": 1}
    assert list(done["kept"]) == [f"run {used}"]
    assert (logged.left(), logged.files()) == ({used, recent}, {used, recent})
    assert (leftover.left(), leftover.files()) == (set(), set())
    assert set(done["lost"]) == {"gone/lost.txt"}
    with schema.reading(stack.state) as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_user_tables WHERE relname = 'runs' AND last_vacuum IS NOT NULL")
        assert cursor.fetchone() == (1,)

    refused = support.run(stack, "maintain", "--remove", f"artifacts/{logged.experiment}/{used}")
    assert refused.code == ExitCode.REFUSED, refused.text
    assert maintained(stack, "--remove", "artifacts/gone") == {"removed": 1}
    assert logged.files() == {used, recent}


@pytest.mark.full
def test_maintenance_beside_clients_that_log_fails_none_of_their_requests(backups: Backups) -> None:
    """What goes is in the tables, and in the very experiment, into which trainings write meanwhile."""
    logged, ended = Logged(backups.stack, "beside"), threading.Event()
    logged.delete(*(logged.run() for _ in range(30)), days_ago=31)

    def train() -> set[str]:
        runs = set()
        while not ended.is_set():
            run = logged.run()
            for step in range(5):
                metric = {"run_id": run, "key": "loss", "value": 1.0, "timestamp": step, "step": step}
                logged.call("runs/log-metric", metric)
            runs.add(run)
        return runs

    with ThreadPoolExecutor(3) as clients:
        trainings = [clients.submit(train) for _ in range(3)]
        try:
            done = maintained(backups.stack)
        finally:
            ended.set()
        # A request that was not answered with 200 is raised here.
        living = set.union(*(training.result() for training in trainings))
    # And what the stack's verification left, unless a row before has removed it.
    assert done["removed"]["runs"] >= 30
    assert len(living) > len(trainings)
    assert (logged.left(), logged.files()) == (living, living)
    for run in living:
        history = f"metrics/get-history?run_id={run}&metric_key=loss"
        assert len(calls.call(logged.url, history, login=logged.login)["metrics"]) == 5
