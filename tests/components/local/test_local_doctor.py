"""What `doctor` says of this machine before a local backend is there."""

from __future__ import annotations

import contextlib
import shutil
import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING

from mlflow_backend.findings import Outcome
from mlflow_backend.local import doctor
from mlflow_backend.local.state import StateDir
from mlflow_backend.settings import YamlSource, load

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

_GIB = 1024**3


def found(folder: Path, port: int | None = None) -> dict[str, Outcome]:
    """Return how each check of a clone in `folder` ended."""
    file = folder / "Pulumi.local.yaml"
    server = f"{{mlflowVersion: 3.17.2{f', port: {port}' if port else ''}}}"
    file.write_text(f"config:\n  mlflow-backend:target: local\n  mlflow-backend:server: {server}\n")
    settings = load(YamlSource.read(file))
    return {each.check: each.outcome for each in doctor.check(settings, StateDir(folder / "state"), folder)}


def test_a_taken_port_is_named_and_a_free_one_passes(tmp_path: Path) -> None:
    """The port of the settings is asked of the system, not of a list."""
    with contextlib.closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert found(tmp_path, port)["ports"] is Outcome.FAIL
    assert found(tmp_path, port)["ports"] is Outcome.PASS


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a set-up ends half-way."""
    for free, outcome in ((5, Outcome.PASS), (3, Outcome.FAIL)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free * _GIB))
        assert found(tmp_path)["disk"] is outcome


def test_a_missing_pulumi_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the clone nor on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert found(tmp_path)["pulumi"] is Outcome.FAIL
    (tmp_path / ".tools" / "bin").mkdir(parents=True)
    program = tmp_path / ".tools" / "bin" / "pulumi"
    program.touch(mode=0o700)
    assert found(tmp_path)["pulumi"] is Outcome.PASS
