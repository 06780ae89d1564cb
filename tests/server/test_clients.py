"""Real MLflow clients of each version at real servers of each version: what they do here and at stock MLflow."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlflow_backend import environments
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.environments import locked_versions
from mlflow_backend.verify import runner
from mlflow_backend.verify.clients import environment
from mlflow_backend.verify.clients.differences import difference
from mlflow_backend.verify.clients.run import QUIET, SCRIPT, actions
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.request import VerifyRequest
from mlflow_backend.verify.subjects import Subject
from tests.components.verify.fake_mlflow import FakeMLflow
from tests.matrices import rows
from tests.server.servers import Server, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.server.services import Services

VERSIONS = locked_versions()
#: One that is published and has no lock here.
ON_DEMAND = "3.12.0"
PAIRS = [(server, client) for server in VERSIONS for client in VERSIONS]


@pytest.fixture(scope="module")
def servers_of(
    services: Services, package: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], tuple[Server, Server]]]:
    """Serve a version: with the plugin, as a backend has it, and without; the version before it is stopped."""
    running: dict[str, tuple[Server, Server]] = {}
    with ExitStack() as stack:

        def start(version: str, *, plugin: bool) -> Server:
            folder = tmp_path_factory.mktemp("server")
            workers = 2 if plugin else 1
            described = {"version": version, "package": package, "folder": folder, "workers": workers}
            return stack.enter_context(serving(services, plugin=plugin, **described))

        def of(version: str) -> tuple[Server, Server]:
            if version not in running:
                stack.close()
                running.clear()
                running[version] = start(version, plugin=True), start(version, plugin=False)
            return running[version]

        yield of


def at_work(client: str, url: str, wanted: list[str], folder: Path, **headers: str) -> dict[str, bool]:
    """Have a client do these actions at a server, signed in by these headers: whether each succeeded."""
    own = secrets.token_hex(8)
    asked = {
        "own": own, "experiment": f"stock/{own}", "model": f"stock-{own}", "tags": {}, "folder": str(folder),
        "headers": headers, "actions": ["experiment", "run", *wanted],
    }  # fmt: skip
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    done = subprocess.run(
        [environment.install(client), SCRIPT],
        input=json.dumps(asked),
        env={**clean, **QUIET, "MLFLOW_TRACKING_URI": url},
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["action"]: line["ok"] for line in lines if line["action"] in wanted}


@pytest.mark.slow
@pytest.mark.parametrize("client", rows(VERSIONS, shown=["2.9.2"]))
def test_a_client_signs_in_with_each_request(client: str, tmp_path: Path) -> None:
    """The login that the verification was given is in every request that MLflow's client makes."""
    with FakeMLflow() as fake:
        at_work(client, fake.url, ["batch"], tmp_path, **{"X-Api-Key": "s3cret"})
    assert len(fake.asked) > 3
    assert {asked.headers.get("x-api-key") for asked in fake.asked} == {"s3cret"}


@pytest.mark.slow
@pytest.mark.parametrize("pair", rows(PAIRS, shown=[("3.17.2", "2.9.2"), ("3.17.2", "3.17.2")]), ids="-".join)
def test_clients_do_here_what_they_do_elsewhere(
    pair: tuple[str, str], servers_of: Callable[[str], tuple[Server, Server]], tmp_path: Path
) -> None:
    """All that a client can do at stock MLflow of this version works; what is listed as impossible fails there too."""
    version, client = pair
    ours, stock = servers_of(version)
    report = runner.run(Subject(url=ours.url), VerifyRequest(profile="client", clients=(client,), deadline_s=400))
    print(report.text())
    listed = [name for name in actions() if difference(name, client=client, server=version)]
    expected = {f"{client}-{name.replace('_', '-')}": Result.SKIP for name in listed}
    found = {check.name: check.result for check in report.checks if check.name.startswith(("client-", client))}
    assert {name: result for name, result in found.items() if result is not Result.PASS} == expected
    assert report.verdict is Result.PASS
    assert at_work(client, stock.url, listed, tmp_path) == dict.fromkeys(listed, False)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the user a cache in which no client is; what uv has downloaded stays in its own."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    monkeypatch.setenv("UV_CACHE_DIR", os.environ.get("UV_CACHE_DIR") or f"{home}/uv")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "mlflow-backend" / "clients"


@pytest.mark.slow
@pytest.mark.full
def test_a_client_without_a_lock_is_resolved_once(
    servers_of: Callable[[str], tuple[Server, Server]], own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Teams have more versions than are locked: one is resolved on demand, does all of the profile, and is kept."""
    assert ON_DEMAND not in VERSIONS
    url = servers_of(VERSIONS[-1])[0].url
    request = VerifyRequest(profile="client", clients=(ON_DEMAND,), deadline_s=400)
    report = runner.run(Subject(url=url), request)
    print(report.text())
    done = {check.name: check.result for check in report.checks if check.name.startswith(("client-", ON_DEMAND))}
    impossible = {name for name in actions() if difference(name, client=ON_DEMAND, server=VERSIONS[-1])}
    assert {name for name, result in done.items() if result is Result.SKIP} == {
        f"{ON_DEMAND}-{name.replace('_', '-')}" for name in impossible
    }
    assert len(done) == len(actions()) + 1
    assert report.verdict is Result.PASS
    lock = (own_cache / f"{ON_DEMAND}.txt").read_text()
    assert f"mlflow=={ON_DEMAND} " in lock
    assert "--hash=sha256:" in lock
    monkeypatch.setattr(environments, "run_uv", lambda *_: pytest.fail("resolved or installed a second time"))
    assert environment.install(ON_DEMAND).is_relative_to(own_cache)


@pytest.mark.slow
def test_a_client_that_was_never_published_is_named(own_cache: Path) -> None:
    """A typing error is not taken for an index that is away, and leaves nothing that the next try would take."""
    with pytest.raises(PlatformFailed, match=r"Name a version of MLflow that is published"):
        environment.install("3.99.0")
    assert {path.suffix for path in own_cache.iterdir()} == {".lock"}
