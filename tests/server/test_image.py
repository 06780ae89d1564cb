"""The image: built from its Dockerfile on a bootstrapped base, then run read-only against real services."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from mlflow_backend_server.access.keys import Scope, mint
from mlflow_backend_server.image import DRIVERS

from mlflow_backend.preflight.image import DRIVERS_LABEL, HEAD_LABELS, VERSION_LABEL
from mlflow_backend.verify import runner
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.request import VerifyRequest
from mlflow_backend.verify.subjects import Subject
from tests.server import containers, server_image
from tests.server.containers import podman, run
from tests.server.server_image import VERSION
from tests.server.services import PROJECT, Services, free_port, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(1800)]

TOOL = ("python", "-m", "mlflow_backend_server.db")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The URL of a file that stands for RDS's certificates, and its checksum."""
    with server_image.certificates(tmp_path_factory.mktemp("certificates")) as served:
        yield served


@pytest.fixture(scope="module")
def image(certificates: tuple[str, str]) -> str:
    """The built image; a visible skip where the machine cannot build one."""
    if reason := containers.why_not():
        pytest.skip(reason)
    return server_image.build(VERSION, *certificates)


@pytest.fixture(scope="module")
def config(image: str) -> Mapping[str, Any]:
    """What the image's configuration says, as a registry gives it without a layer."""
    described: Mapping[str, Any] = json.loads(run(*containers.storage("buildah"), "inspect", "--type", "image", image))
    return described["Docker"]["config"]


class Container:
    """One container on the host's network; only the image's two volumes can be written."""

    _WAY = (
        *("--network", "host", "--pull", "never", "--read-only", "--read-only-tmpfs=false", "--cap-drop", "all"),
        *("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--memory", "2g"),
    )

    def __init__(self, image: str, variables: Mapping[str, str], keys: Path) -> None:
        """Know what to run, and on what."""
        self.name, self.image = f"mlflow-backend-{secrets.token_hex(4)}", image
        given = [part for name, value in variables.items() for part in ("--env", f"{name}={value}")]
        self._options = (*self._WAY, *given, "--volume", f"{keys}:/run/keys.json:ro")

    def once(self, *command: str) -> str:
        """Run a one-shot task and return its output."""
        return run(*podman("run", "--rm", *self._options, self.image, *command))

    def start(self, *command: str) -> None:
        """Start the server."""
        run(*podman("run", "--detach", "--name", self.name, *self._options, self.image, *command))

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside."""
        called = podman("exec", self.name, *command)
        return subprocess.run(called, capture_output=True, text=True, timeout=60, check=False)

    def stop(self) -> int:
        """Ask it to end, as a platform does, and return its exit code."""
        run(*podman("stop", "--time", "30", self.name))
        return int(run(*podman("wait", self.name)))

    def remove(self) -> None:
        """End and remove it with its volumes; what it printed is shown where a test failed."""
        for verb in (("logs", "--tail", "60", self.name), ("rm", "--force", "--volumes", "--time", "5", self.name)):
            done = subprocess.run(podman(*verb), capture_output=True, text=True, timeout=60, check=False)
            print(done.stdout, done.stderr)


@pytest.fixture
def container(image: str, services: Services, database: str, tmp_path: Path) -> Iterator[tuple[Container, Path]]:
    """A container on the test's database, S3 and Valkey, guarded by API keys; and the file with its key."""
    key, entry = mint("probe", Scope.WRITE)
    (tmp_path / "key").write_text(key)
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [entry]}))
    keys.chmod(0o644)  # by the image's user
    variables = {
        "MLFLOW_BACKEND_STORE_URI": services.postgres.uri(database),
        "PGPASSWORD": services.postgres.password,
        "MLFLOW_BACKEND_ACCESS": "token",
        "MLFLOW_BACKEND_API_KEYS": "/run/keys.json",
        "MLFLOW_BACKEND_API_KEY_REQUESTS_PER_MINUTE": "100000",
        "MLFLOW_BACKEND_REDIS_URL": services.valkey.url,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "MLFLOW_CRYPTO_KEK_PASSPHRASE": secrets.token_urlsafe(32),
        "MLFLOW_CRYPTO_KEK_VERSION": "2",
        **services.store.environment,
    }
    made = Container(image, variables, keys)
    yield made, tmp_path / "key"
    made.remove()


def test_the_image_runs_read_only_and_is_verified(
    container: tuple[Container, Path], config: Mapping[str, Any], services: Services
) -> None:
    """Migrated by its own one-shot task, verified as every backend is, dumped with its own pg_dump, and ended."""
    made, key = container
    port = free_port()
    url, pool = f"http://127.0.0.1:{port}", urllib3.PoolManager(retries=False, timeout=10)
    assert json.loads(made.once(*TOOL, "upgrade"))["exit_code"] == 0
    server = ("mlflow", "server", "--app-name", "mlflow-backend", "--host", "127.0.0.1", "--port", str(port))
    made.start(*server, "--workers", "1", "--artifacts-destination", "s3://mlflow/artifacts", "--serve-artifacts")
    until(lambda: pool.request("GET", f"{url}/health/ready").status == 200, what="ready", deadline_s=240)
    subject = Subject(url=url, expected_version=VERSION, credentials={"apiKey": f"file:{key}"})
    # No proxy stands before it that could pass a caller on.
    report = runner.run(subject, VerifyRequest(profile="full", deadline_s=240, skip=("forwarding",)))
    assert report.verdict is Result.PASS, report.text()
    headers = {"X-API-Key": key.read_text()}
    parts = pool.request("GET", f"{url}/health/components", headers=headers).json()["components"]
    assert [name for name, part in parts.items() if part["state"] == "ok"] == [
        "server", "database", "redis", "artifacts", "auth", "keys", "temporary",
    ]  # fmt: skip
    assert made.execute("python", "-c", "import os; print(os.getuid(), os.getgid())").stdout == "10001 10001\n"
    for place in ("/opt/mlflow/x", "/run/x", "/home/x"):
        assert "Read-only file system" in made.execute("touch", place).stderr
    assert made.execute("touch", "/tmp/x", "/var/spool/mlflow/x").returncode == 0  # noqa: S108 - in the container
    asked = [part.replace("os.environ['MLFLOW_PORT']", str(port)) for part in config["Healthcheck"]["Test"][1:]]
    assert made.execute(*asked).returncode == 0
    dumped = json.loads(made.once(*TOOL, "dump", "--to", "s3://mlflow/_backend/dumps"))
    assert dumped["databases"]["tracking"]["bytes"] > 0
    assert made.stop() in {0, 143}


def test_the_labels_are_what_a_preflight_reads_and_the_tables_say(config: Mapping[str, Any]) -> None:
    """Version, heads, drivers, source revision and base, read from the registry without a layer."""
    labels = config["Labels"]
    table = json.loads((PROJECT / "server/src/mlflow_backend_server/schema_heads.json").read_text())
    assert labels[VERSION_LABEL] == labels["org.opencontainers.image.version"] == VERSION
    for chain, label in HEAD_LABELS.items():
        assert labels[label] == table["versions"][VERSION][chain]
    assert labels[DRIVERS_LABEL].split() == list(DRIVERS)
    assert labels["org.opencontainers.image.revision"] == "test"
    assert labels["org.opencontainers.image.base.name"] == containers.base_image()


def test_the_configuration_is_what_the_targets_count_on(config: Mapping[str, Any]) -> None:
    """A user of its own, no entry point before a task's command, and two volumes that keep their owner."""
    assert config["User"] == "10001:10001"
    assert not config.get("Entrypoint")
    assert config["Cmd"][:4] == ["mlflow", "server", "--app-name", "mlflow-backend"]
    assert set(config["Volumes"]) == {"/tmp", "/var/spool/mlflow"}  # noqa: S108 - in the container


def test_certificates_with_another_checksum_stop_the_build(image: str, certificates: tuple[str, str]) -> None:
    """An image is never built with a bundle that nobody vouches for."""
    assert image
    with pytest.raises(AssertionError, match="was expected"):
        server_image.build(VERSION, certificates[0], "0" * 64)
