"""The gate before training: what opens it, what closes it, and what it leaves, in an empty Python."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import zipfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend import packaged
from tests.components.verify.fake_mlflow import REST, Asked, FakeMLflow, Reply, as_json, error

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).resolve().parents[2] / "client" / "mlflow_backend_gate.py"
FAST = "import sys; sys.path.insert(0, {folder!r}); import mlflow_backend_gate as g; "
SHORT = "g.PAUSES_S, g.TRY_S = (0.05,) * 4, 0.5; "
RUN = "sys.exit(g.main(sys.argv[1:]))"


@pytest.fixture
def server() -> Iterator[FakeMLflow]:
    """A server that answers as MLflow does."""
    with FakeMLflow() as fake:
        yield fake


def gate(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a copy of the one file, without site packages and without this shell's variables, with short pauses."""
    folder = tmp_path / "copied"
    folder.mkdir(exist_ok=True)
    shutil.copy(SOURCE, folder)
    command = [sys.executable, "-I", "-S", "-c", FAST.format(folder=str(folder)) + SHORT + RUN, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def files(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the status and the info that the gate left, and see that it left nothing else."""
    assert sorted(path.name for path in folder.iterdir()) == ["mlflow_info.json", "mlflow_status.json"]
    status, info = (json.loads((folder / f"mlflow_{name}.json").read_text()) for name in ("status", "info"))
    return status, info


@contextmanager
def answering(*pieces: bytes) -> Iterator[str]:
    """A server that answers each connection with some bytes, slowly, and holds it open until the test has ended."""
    ended = threading.Event()
    threads: list[threading.Thread] = []

    def hold(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            for piece in pieces:
                connection.sendall(piece)
                ended.wait(0.1)
            ended.wait()

    def serve(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threads.append(threading.Thread(target=hold, args=(connection,)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        accepting = threading.Thread(target=serve, args=(listening,))
        accepting.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            ended.set()
            listening.shutdown(socket.SHUT_RDWR)
            for thread in (accepting, *threads):
                thread.join()


def test_training_goes_on_with_the_run(server: FakeMLflow, tmp_path: Path) -> None:
    """A working server opens the gate at once: the shell gets the run, and both files say it."""
    done = gate(tmp_path, server.url, "--experiment", "exp 1", "--output", str(tmp_path / "out"), "--revision", "abc")
    assert done.returncode == 0, done.stderr
    (run_id,) = server.runs
    exported = dict(line.removeprefix("export ").split("=", 1) for line in done.stdout.splitlines())
    assert exported == {"MLFLOW_TRACKING_URI": server.url, "MLFLOW_EXPERIMENT_ID": "1", "MLFLOW_RUN_ID": run_id}
    status, info = files(tmp_path / "out")
    assert (status["stage"], status["error"], status["revision"]) == ("initialized", None, "abc")
    assert info == {"tracking_uri": server.url, "experiment_name": "exp 1", "experiment_id": "1", "run_id": run_id}
    assert server.runs[run_id]["info"]["status"] == "RUNNING"


def test_an_experiment_that_is_there_is_used_again(server: FakeMLflow, tmp_path: Path) -> None:
    """The second run is in the first one's experiment; a run that only asked is ended."""
    for _ in range(2):
        assert gate(tmp_path, "--end", MLFLOW_TRACKING_URI=server.url, MLFLOW_EXPERIMENT_NAME="e").returncode == 0
    assert [item["name"] for item in server.experiments.values()] == ["e"]
    assert [run["info"]["status"] for run in server.runs.values()] == ["FINISHED", "FINISHED"]


def test_a_cold_server_is_waited_for(server: FakeMLflow, tmp_path: Path) -> None:
    """A service that starts answers 503 and 429 for a while; each try is said."""
    cold = iter([503, 429, 502])
    server.fault = lambda _asked: error(status, "") if (status := next(cold, 0)) else None
    done = gate(tmp_path, server.url, "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [f"with {code}" in line for code, line in zip((503, 429, 502), done.stderr.splitlines(), strict=False)] == [
        True,
        True,
        True,
    ]
    assert len(server.runs) == 1


def test_a_run_is_not_started_twice(server: FakeMLflow, tmp_path: Path) -> None:
    """The answer to the first start gets lost; the next try finds that run."""
    lost: list[Asked] = []

    def fault(asked: Asked) -> Reply | None:
        if "runs/create" in asked.path and not lost:
            lost.append(asked)
            server._runs_create(asked)
            return error(504, "")
        if "runs/search" in asked.path:
            mark = asked.json["filter"].rpartition("= ")[2].strip("'")
            return as_json({"runs": [run for run in server.runs.values() if mark in run["tags"].values()]})
        return None

    server.fault = fault
    assert gate(tmp_path, server.url).returncode == 0
    assert (len(lost), len(server.runs)) == (1, 1)


@pytest.mark.parametrize("kind", ["dead", "hung", "drips"])
def test_no_server_closes_the_gate_in_time(tmp_path: Path, kind: str) -> None:
    """Not 0, five tries, and both files, whatever way a server is away."""
    drops = [b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", *[b"O"] * 900]
    with answering(*(drops if kind == "drips" else ())) as url:
        called = "http://127.0.0.1:9" if kind == "dead" else url
        done = gate(tmp_path, called, "--output", str(tmp_path / "out"))
    assert (done.returncode, done.stdout) == (1, "")
    assert [line for line in done.stderr.splitlines() if ": try " in line].__len__() == 4
    status, info = files(tmp_path / "out")
    assert (status["stage"], status["run_id"], info["run_id"]) == ("failed", None, None)
    assert called in status["error"]


def test_the_whole_wait_is_below_the_limit() -> None:
    """A pipeline is stopped within 4.5 minutes, if its output folder does not answer either."""
    module = packaged.gate()
    tries = (len(module.PAUSES_S) + 1) * module.TRY_S
    assert tries + sum(module.PAUSES_S) + 2 * module.OUTPUT_S < 270


@pytest.mark.full
@pytest.mark.timeout(300)
def test_a_hung_server_closes_the_gate_within_the_real_limit(tmp_path: Path) -> None:
    """The same with the gate's own times: the bound is the command's deadline."""
    begun = time.monotonic()
    with answering() as url:
        done = subprocess.run(
            [sys.executable, "-I", str(SOURCE), url, "--output", str(tmp_path)],
            env={},
            capture_output=True,
            text=True,
            check=False,
            timeout=270,
        )
    assert done.returncode == 1
    assert time.monotonic() - begun > 200, "it gave up before a cold server is up"
    assert files(tmp_path)[0]["stage"] == "failed"


@pytest.mark.parametrize("uri", ["", "./mlruns", "file:///tmp/mlruns", "sqlite:///mlflow.db", "databricks", "http://"])
def test_logging_to_this_machine_is_refused(tmp_path: Path, uri: str) -> None:
    """MLflow's client would write to local disk without a word."""
    done = gate(tmp_path, "--output", str(tmp_path / "out"), MLFLOW_TRACKING_URI=uri)
    assert done.returncode == 1
    assert "MLFLOW_TRACKING_URI" in files(tmp_path / "out")[0]["error"]
    assert not (Path.cwd() / "mlruns").exists()


LOGIN_PAGE = Reply(status=302, headers={"Location": "http://127.0.0.1:9/login"})
WRONG = {
    "asks for a login": ("experiments/get-by-name", error(401, "UNAUTHENTICATED")),
    "forbids it": ("runs/create", error(403, "PERMISSION_DENIED")),
    "is another path": ("experiments/get-by-name", Reply(status=404, body=b"<html>")),
    "signs people in": ("/health", LOGIN_PAGE),
    "is a page": ("/health", Reply(body=b"<html>welcome</html>")),
    "answers no JSON": ("runs/search", Reply(body=b"<html>")),
    "gives no run": ("runs/create", as_json({"run": {"info": {"run_id": "1"}}})),
    "has the experiment deleted": (
        "experiments/get-by-name",
        as_json({"experiment": {"experiment_id": "1", "lifecycle_stage": "deleted"}}),
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_does_not_pass_by_itself_closes_the_gate_at_once(server: FakeMLflow, tmp_path: Path, wrong: str) -> None:
    """One try, the cause, and no run that nobody goes on with."""
    call, reply = WRONG[wrong]
    server.fault = lambda asked: reply if call in asked.path else None
    done = gate(tmp_path, server.url, "--output", str(tmp_path / "out"))
    assert done.returncode == 1
    assert ": try " not in done.stderr
    assert [asked.path for asked in server.asked if call in asked.path].__len__() == 1
    assert files(tmp_path / "out")[0]["stage"] == "failed"
    assert not server.runs


@pytest.mark.parametrize("given", ["user and password", "token", "in the address"])
def test_logins_are_those_of_mlflows_client_and_are_not_shown(server: FakeMLflow, tmp_path: Path, given: str) -> None:
    """Every request has the login; no file and no output has it."""
    address = server.url.replace("://", "://u:s3cret@")
    environment = {
        "user and password": {"MLFLOW_TRACKING_USERNAME": "u", "MLFLOW_TRACKING_PASSWORD": "s3cret"},
        "token": {"MLFLOW_TRACKING_TOKEN": "s3cret"},
        "in the address": {"MLFLOW_TRACKING_URI": address},
    }[given]
    done = gate(tmp_path, "--output", str(tmp_path / "out"), **{"MLFLOW_TRACKING_URI": server.url, **environment})
    assert done.returncode == 0, done.stderr
    sent = {asked.headers.get("authorization") for asked in server.asked}
    assert sent == {"Bearer s3cret" if given == "token" else "Basic dTpzM2NyZXQ="}
    written = "".join(path.read_text() for path in (tmp_path / "out").iterdir())
    assert not any(secret in done.stdout + done.stderr + written for secret in ("s3cret", "dTpzM2NyZXQ="))


def test_an_identity_token_goes_beside_another_login(server: FakeMLflow, tmp_path: Path) -> None:
    """Google takes its token in a header of its own if MLflow's login is in the usual one."""
    with FakeMLflow() as metadata:
        metadata.fault = lambda asked: (
            Reply(body=f"token-for-{asked.query['audience']}".encode())
            if asked.headers.get("metadata-flavor") == "Google" and asked.path.endswith("/default/identity")
            else error(403, "")
        )
        google = {"GCE_METADATA_HOST": metadata.url.removeprefix("http://")}
        assert gate(tmp_path, server.url, "--audience", "a", **google).returncode == 0
        assert server.asked[-1].headers["authorization"] == "Bearer token-for-a"
        both = gate(tmp_path, server.url, "--audience", "a", MLFLOW_TRACKING_TOKEN="t", **google)
        assert both.returncode == 0
    headers = server.asked[-1].headers
    assert (headers["authorization"], headers["x-serverless-authorization"]) == ("Bearer t", "Bearer token-for-a")


def test_the_sign_in_of_mlflows_client_opens_the_gate_too(server: FakeMLflow, tmp_path: Path) -> None:
    """The same variables serve the gate and the training; a copy of the one file says what it lacks."""
    (tmp_path / "key").write_text("s3cret")
    sign_in = {"MLFLOW_TRACKING_AUTH": "mlflow-backend", "MLFLOW_BACKEND_KEY": f"file:{tmp_path / 'key'}"}
    alone = gate(tmp_path, server.url, **sign_in)
    assert (alone.returncode, server.asked) == (1, [])
    assert "mlflow-backend-client" in alone.stderr
    shutil.copytree(SOURCE.with_name("mlflow_backend_sign_in"), tmp_path / "copied" / "mlflow_backend_sign_in")
    assert gate(tmp_path, server.url, **sign_in).returncode == 0
    assert {asked.headers.get("authorization") for asked in server.asked} == {"Bearer s3cret"}
    (tmp_path / "key").unlink()
    refused = gate(tmp_path, server.url, **sign_in)
    assert refused.returncode == 1
    assert "MLFLOW_BACKEND_KEY" in refused.stderr


def test_files_go_to_a_bucket_of_google(server: FakeMLflow, tmp_path: Path) -> None:
    """An output folder of a pipeline is often a bucket; the stand-in is the address that Google's clients know."""
    stored: dict[str, bytes] = {}

    def store(asked: Asked) -> Reply:
        stored[f"{asked.path.split('/')[5]}/{asked.query['name']}"] = asked.body
        return as_json({})

    with FakeMLflow() as bucket:
        bucket.fault = store
        done = gate(tmp_path, server.url, "--output", "gs://b/runs/1/", STORAGE_EMULATOR_HOST=bucket.url)
    assert done.returncode == 0, done.stderr
    assert sorted(stored) == ["b/runs/1/mlflow_info.json", "b/runs/1/mlflow_status.json"]
    assert json.loads(stored["b/runs/1/mlflow_status.json"])["stage"] == "initialized"


@pytest.mark.parametrize("output", ["s3://bucket/runs", "file/under"])
def test_an_output_that_cannot_be_written_closes_the_gate_before_a_run(
    server: FakeMLflow, tmp_path: Path, output: str
) -> None:
    """Boto3 is not in an empty environment, and a file is no folder: said before MLflow is asked."""
    (tmp_path / "file").write_text("")
    done = gate(tmp_path, server.url, "--output", output if ":" in output else str(tmp_path / output))
    assert done.returncode == 1
    assert "--output" in done.stderr
    assert not server.asked


def test_files_go_to_s3(server: FakeMLflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where boto3 is installed, as where MLflow's client writes artifacts to S3."""
    boto3 = pytest.importorskip("boto3")
    moto = pytest.importorskip("moto")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    with moto.mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="bucket")
        run = packaged.gate().gate(server.url, output="s3://bucket/runs/1")
        status = json.loads(client.get_object(Bucket="bucket", Key="runs/1/mlflow_status.json")["Body"].read())
    assert (status["stage"], status["run_id"]) == ("initialized", run.run_id)


def test_a_gate_that_is_ended_leaves_its_status(tmp_path: Path) -> None:
    """A pipeline that stops its step (SIGTERM) finds `failed`, not `initializing`."""
    with answering() as url:
        command = [sys.executable, "-I", "-S", str(SOURCE), url, "--output", str(tmp_path)]
        with subprocess.Popen(command, env={}, stderr=subprocess.PIPE) as process:
            try:
                status = tmp_path / "mlflow_status.json"
                while not status.exists():
                    assert process.poll() is None
                    os.sched_yield()
                process.terminate()
                assert process.wait(10) == 1
            finally:
                process.kill()
    assert files(tmp_path)[0]["stage"] == "failed"


def test_the_wheel_holds_what_is_imported_by_its_own_name(wheel: Path) -> None:
    """Installed, the gate is a module and a command, and sign-in a package."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" not in name}
    assert names == {SOURCE.name, "mlflow_backend_sign_in"}


def test_the_api_is_mlflows() -> None:
    """The gate's paths are those of the fake, whose answers the engine's tests compare with real servers."""
    assert packaged.gate()._API + "/" == REST
