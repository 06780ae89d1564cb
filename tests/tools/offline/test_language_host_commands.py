"""What the language host starts: pure, from the engine's requests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import language_pb2

from tools.offline.language_host import commands

if TYPE_CHECKING:
    from pathlib import Path

BASE = {"PATH": "/usr/bin:/bin", "PYTHONHOME": "/elsewhere", "KEPT": "yes"}


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment with an interpreter, named `env` below the project's root."""
    (tmp_path / "env" / "bin").mkdir(parents=True)
    (tmp_path / "env" / "bin" / "python").touch()
    return tmp_path / "env"


def info(root: Path, **options: str) -> language_pb2.ProgramInfo:
    """A program in the folder `program` below `root`."""
    struct = Struct()
    struct.update(options)
    return language_pb2.ProgramInfo(
        root_directory=str(root), program_directory=str(root / "program"), entry_point=".", options=struct
    )


def request(root: Path, **options: str) -> language_pb2.RunRequest:
    """A preview of the stack dev."""
    return language_pb2.RunRequest(
        project="trial",
        stack="dev",
        pwd=str(root),
        config={"trial:plain": "a", "trial:password": "hush"},
        configSecretKeys=["trial:password"],
        dryRun=True,
        parallel=7,
        monitor_address="127.0.0.1:1",
        organization="team",
        loader_target="127.0.0.1:3",
        args=["one"],
        info=info(root, **options),
    )


def test_the_program_gets_everything_the_engine_says(tmp_path: Path, environment: Path) -> None:
    """Addresses, names and modes reach the executor; its own Python, and no other, is used below it too."""
    command = commands.program_command(
        request(tmp_path, virtualenv="env"), engine="127.0.0.1:2", executor=tmp_path / "exec", base=BASE
    )
    assert command.argv == (
        str(environment / "bin" / "python"),
        "-u",
        str(tmp_path / "exec"),
        "--monitor=127.0.0.1:1",
        "--engine=127.0.0.1:2",
        "--project=trial",
        f"--root_directory={tmp_path}",
        "--stack=dev",
        f"--pwd={tmp_path}",
        "--dry_run=true",
        "--parallel=7",
        "--organization=team",
        str(tmp_path / "program"),
        "one",
    )
    assert command.cwd == str(tmp_path)
    assert command.environment["PATH"] == f"{environment / 'bin'}:/usr/bin:/bin"
    assert command.environment["PULUMI_LOADER_TARGET"] == "127.0.0.1:3"
    assert command.environment["KEPT"] == "yes"
    assert "PYTHONHOME" not in command.environment


def test_config_never_stands_in_an_argument(tmp_path: Path) -> None:
    """Arguments can be read by every user of the machine; the environment of a process cannot."""
    command = commands.program_command(request(tmp_path), engine="", executor=tmp_path, base=BASE)
    assert "hush" not in " ".join(command.argv)
    assert json.loads(command.environment["PULUMI_CONFIG"]) == {"trial:plain": "a", "trial:password": "hush"}
    assert json.loads(command.environment["PULUMI_CONFIG_SECRET_KEYS"]) == ["trial:password"]


def test_without_an_environment_the_shells_python_runs_the_program(tmp_path: Path) -> None:
    """As the vendor's host does it."""
    plain = commands.program_command(request(tmp_path), engine="", executor=tmp_path, base=BASE)
    named = commands.program_command(
        request(tmp_path), engine="", executor=tmp_path, base={**BASE, "PULUMI_PYTHON_CMD": "python3.12"}
    )
    assert (plain.argv[0], named.argv[0]) == ("python3", "python3.12")


@pytest.mark.parametrize(
    ("options", "said"),
    [({"virtualenv": "gone"}, "gone has no bin/python"), ({"toolchain": "poetry"}, "toolchain: poetry is not served")],
)
def test_an_interpreter_that_is_not_there_is_named(tmp_path: Path, options: dict[str, str], said: str) -> None:
    """Falling back to another Python would run the program without its packages."""
    with pytest.raises(commands.UnsuitableInterpreterError, match=said):
        commands.virtual_environment(info(tmp_path, **options))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("analyzer", ("-u", "-m", "pulumi.policy", "127.0.0.1:2")), ("resource", ("-u",))],
)
def test_a_plugin_gets_the_engines_environment(tmp_path: Path, kind: str, expected: tuple[str, ...]) -> None:
    """A policy pack is imported by the SDK's launcher, another plugin is run as a folder; neither inherits from us."""
    plugin = language_pb2.RunPluginRequest(
        pwd=str(tmp_path), args=["127.0.0.1:2"], env=["A=b=c", "PATH=/bin"], kind=kind, info=info(tmp_path)
    )
    command = commands.plugin_command(plugin)
    assert command.argv[1 : 1 + len(expected)] == expected
    assert str(tmp_path / "program") in command.argv
    assert command.environment == {"A": "b=c", "PATH": "/bin"}


def test_a_policy_pack_without_a_stack_gets_none() -> None:
    """The engine asks a pack about itself when it is published: there is no stack to judge then."""
    assert commands.policy_environment(None) == {}
