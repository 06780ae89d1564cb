"""A stack of this machine that was used, backed up into a folder, and lost, with which restores are compared."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import urllib3

from mlflow_backend.backup import catalogue, sealing
from mlflow_backend.backup.destination import FolderDestination
from mlflow_backend.local import credentials
from tests.engine import calls
from tests.engine.releases import support
from tests.engine.stack import LocalStack
from tests.rig.kubernetes.contents import contents_of

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow_backend.backup.manifest import Manifest

KEY: Final = sealing.new_key()
ARTIFACT, WEIGHTS = "api/2.0/mlflow-artifacts/artifacts/0/model/weights.bin", b"weights" * 100_000
USER, PASSWORD = "somebody", "a-password-of-hers"


@dataclass(frozen=True, kw_only=True)
class Original:
    """A backup of a stack that is gone: where it is, and what users had in it."""

    folder: Path
    key: Path
    administrator: str
    data: dict[str, Any]

    @property
    def manifest(self) -> Manifest:
        """The backup's manifest."""
        found = catalogue.read(FolderDestination(self.folder / "original")).newest
        assert found is not None
        return found

    def options(self, *arguments: str) -> tuple[str, ...]:
        """Return the command line that names it."""
        return ("--destination", str(self.folder), "--of", "original", *arguments)

    def opened(self, *arguments: str) -> tuple[str, ...]:
        """Return the command line that names it and its key."""
        return self.options("--recovery-key", f"file:{self.key}", *arguments)


def make(folder: Path) -> Original:
    """Use a stack of this machine, back it up, and end it."""
    key, destination = folder / "recovery.txt", folder / "destination"
    key.write_text(f"{KEY}\n")
    stack = LocalStack(folder / "stack", "original")
    section = {"destination": str(destination), "recoveryKey": sealing.public_key(KEY), "schedule": "never"}
    stack.write_settings(access={"mode": "basic"}, backup={**section, "drillSchedule": "never"})
    with contextlib.closing(stack):
        stack.must_up()
        administrator = credentials.read(stack.state, credentials.ADMIN)
        login, url = (credentials.ADMIN_NAME, administrator), stack.output("trackingUrl")
        call = partial(calls.call, url, login=login)
        experiment = call("experiments/create", {"name": "research"})["experiment_id"]
        run = call("runs/create", {"experiment_id": experiment, "run_name": "first"})["run"]["info"]["run_id"]
        call("runs/log-metric", {"run_id": run, "key": "loss", "value": 0.5, "timestamp": 1})
        call("runs/log-parameter", {"run_id": run, "key": "rate", "value": "0.1"})
        call("registered-models/create", {"name": "model"})
        source = f"mlflow-artifacts:/{experiment}/{run}/artifacts"
        call("model-versions/create", {"name": "model", "source": source, "run_id": run})
        call("users/create", {"username": USER, "password": PASSWORD})
        with urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=5, read=60)) as pool:
            headers = urllib3.make_headers(basic_auth=":".join(login))
            answer = pool.request("PUT", f"{url}/{ARTIFACT}", body=WEIGHTS, headers=headers)
        assert answer.status == 200, answer.data
        made = support.run(stack, "backup", "create")
        assert made.ok, made.text
        return Original(folder=destination, key=key, administrator=administrator, data=contents_of(call))
