"""Processes of dynamic providers end with their engine, and errors for people show no traceback."""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import psutil
import pytest
from google.protobuf.struct_pb2 import Struct
from pulumi.dynamic import ResourceProvider
from pulumi.dynamic.dynamic import serialize_provider
from pulumi.runtime.proto.provider_pb2 import CreateRequest
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderStub

from mlflow_backend.dynamic import Provider
from mlflow_backend.releases.provider import HoldProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]

WAITING = """
import subprocess, sys, threading
from pulumi.dynamic import Config, ConfigureRequest
from mlflow_backend.contract import Refused
from mlflow_backend.dynamic import Provider, hide_tracebacks

request = ConfigureRequest(config=Config(raw_config={}, project_name="trial"))
for _ in range(2):
    Provider().configure(request)
child = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, start_new_session=True)
print(child.pid, threading.active_count(), flush=True)
threading.Event().wait()
"""


@pytest.fixture(scope="module")
def launcher() -> Iterator[Any]:
    """Pulumi's own launcher of providers, as the engine starts it, and a client of it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "components")}
    command = [sys.executable, "-m", "pulumi.dynamic", "127.0.0.1:1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        try:
            assert process.stdout is not None
            with grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}") as channel:
                yield ResourceProviderStub(channel)
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("properties", "whole"),
    [({"withheld": "it is blocked", "accepted": False, "stack": "blue"}, True), ({"accepted": False}, False)],
    ids=["for-people", "unforeseen"],
)
def test_an_error_for_people_is_shown_without_a_traceback_and_another_with_one(
    launcher: Any, properties: dict[str, Any], *, whole: bool
) -> None:
    """Pulumi's launcher answers each exception by its traceback; of an unforeseen one that is all there is."""
    given = Struct()
    given.update({"__provider": serialize_provider(HoldProvider()), **properties})
    with pytest.raises(grpc.RpcError) as caught:
        launcher.Create(CreateRequest(properties=given), timeout=30)
    shown = caught.value.details()
    assert ("Traceback" not in shown) is whole, shown
    assert ("it is blocked. Lift it with" in shown) is whole, shown


def providers() -> list[type[ResourceProvider]]:
    """Return every dynamic provider that stands in a module of ours."""
    found = []
    folder = ROOT / "components"
    for path in sorted((folder / "mlflow_backend").rglob("*.py")):
        if "Provider)" in path.read_text():
            module = importlib.import_module(".".join(path.relative_to(folder).with_suffix("").parts))
            kinds = (
                kind for _, kind in inspect.getmembers(module, inspect.isclass) if issubclass(kind, ResourceProvider)
            )
            found += [kind for kind in kinds if kind.__module__ == module.__name__]
    return found


@pytest.mark.parametrize("kind", providers(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_provider_ends_with_its_engine(kind: type[ResourceProvider]) -> None:
    """Pulumi's launcher waits for ever: 16 killed updates left nine processes and 556 MB behind."""
    assert issubclass(kind, Provider)
    assert kind.configure is Provider.configure


def test_a_provider_whose_engine_is_gone_ends_with_what_it_started() -> None:
    """The engine holds the other end of its output: nothing else is known of an engine in every host and shell."""
    with subprocess.Popen(
        [sys.executable, "-c", WAITING], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as provider:
        try:
            assert provider.stdout is not None
            child, threads = map(int, provider.stdout.readline().split())
            assert threads == 2, "one watch, however many providers are configured"
            started = psutil.Process(child)
            provider.stdout.close()
            assert provider.wait(timeout=30) == 1
            started.wait(timeout=30)
        finally:
            provider.kill()
            for left in [p for p in psutil.process_iter(["cmdline"]) if p.pid == child]:
                left.kill()


def test_a_provider_that_was_started_by_hand_is_left_alone(tmp_path: Path) -> None:
    """Its output is a file or a terminal: nobody could read the port, so no engine waits for it."""
    output = tmp_path / "output"
    ending = WAITING.replace("threading.Event().wait()", "child.kill()")
    with output.open("w") as stream:
        subprocess.run(
            [sys.executable, "-c", ending],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            timeout=60,
            check=True,
        )
    assert output.read_text().split()[1] == "1"
