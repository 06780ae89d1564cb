"""The command line and environment that a program or a plugin is started with.

It looks for the interpreter and starts nothing; `children` does.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulumi.runtime.proto.language_pb2 import ProgramInfo, RunPluginRequest, RunRequest

ENDED_AFTER_MESSAGE = 32
"""Exit code by which the executor says that it has already shown the error to the user."""


class UnsuitableInterpreterError(Exception):
    """The project asks for a Python that is not there, or in a way that this host does not serve."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A process to start: its argument vector, environment and working directory."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    cwd: str


def virtual_environment(info: ProgramInfo) -> Path | None:
    """The environment that the project's `runtime.options.virtualenv` names, relative to its root directory.

    None when the option is not set: then the first Python on PATH runs the program.

    Raises:
        UnsuitableInterpreterError: the environment has no interpreter, or the project asks for another toolchain.
    """
    options = dict(info.options.items()) if info.HasField("options") else {}
    toolchain = str(options.get("toolchain", "pip"))
    if toolchain != "pip":
        message = (
            f"runtime.options.toolchain: {toolchain} is not served by mlflow-backend's language host; "
            "name the environment with runtime.options.virtualenv, or install the vendor's pulumi on PATH"
        )
        raise UnsuitableInterpreterError(message)
    named = str(options.get("virtualenv", ""))
    if not named:
        return None
    path = Path(info.root_directory, named)
    if not (path / "bin" / "python").is_file():
        message = f"runtime.options.virtualenv: {path} has no bin/python; run `make setup` to create the environment"
        raise UnsuitableInterpreterError(message)
    return path


def interpreter_environment(base: Mapping[str, str], environment: Path | None) -> tuple[str, dict[str, str]]:
    """The interpreter, and `base` changed so that child processes of the program find the same one."""
    changed = dict(base)
    if environment is None:
        return base.get("PULUMI_PYTHON_CMD", "python3"), changed
    # PYTHONHOME would point the environment's interpreter at another standard library.
    changed.pop("PYTHONHOME", None)
    changed["VIRTUAL_ENV"] = str(environment)
    changed["PATH"] = os.pathsep.join([str(environment / "bin"), *filter(None, [base.get("PATH")])])
    return str(environment / "bin" / "python"), changed


def program_command(request: RunRequest, *, engine: str, executor: Path, base: Mapping[str, str]) -> Command:
    """How the program of `request` is started, with `engine` as the address that this host was started with.

    Config travels in the environment of the one child, as the executor expects it; never in an argument, which every
    user of the machine could read.
    """
    python, environment = interpreter_environment(base, virtual_environment(request.info))
    environment["PULUMI_CONFIG"] = json.dumps(dict(request.config))
    environment["PULUMI_CONFIG_SECRET_KEYS"] = json.dumps(list(request.configSecretKeys))
    if request.loader_target:
        environment["PULUMI_LOADER_TARGET"] = request.loader_target
    flags = {
        "--monitor": request.monitor_address,
        "--engine": engine,
        "--project": request.project,
        "--root_directory": request.info.root_directory,
        "--stack": request.stack,
        "--pwd": request.pwd,
        "--dry_run": "true" if request.dryRun else "false",
        "--parallel": str(request.parallel),
        "--organization": request.organization or "organization",
    }
    program = str(Path(request.info.program_directory, request.info.entry_point or "."))
    argv = (python, "-u", str(executor), *(f"{flag}={value}" for flag, value in flags.items()), program, *request.args)
    return Command(argv=argv, environment=environment, cwd=request.pwd)


def plugin_command(request: RunPluginRequest) -> Command:
    """How the plugin or policy pack of `request` is started.

    A policy pack is imported by the SDK's launcher; any other kind of plugin is a folder with a `__main__.py`.
    The engine sends the whole environment: nothing of this process's own is added.
    """
    base = dict(entry.split("=", 1) for entry in request.env if "=" in entry)
    python, environment = interpreter_environment(base, virtual_environment(request.info))
    folder = request.info.program_directory
    if request.kind == "analyzer":
        argv = (python, "-u", "-m", "pulumi.policy", *request.args, folder)
    else:
        argv = (python, "-u", folder, *request.args)
    return Command(argv=argv, environment=environment, cwd=request.pwd or folder)


def policy_environment(configured: Mapping[str, object] | None) -> dict[str, str]:
    """The variables by which a policy pack learns for which stack it is asked; empty when no stack is known.

    The SDK's launcher reads them before it imports the pack, so they have to be there when it starts.
    """
    if configured is None:
        return {}
    return {
        "PULUMI_ORGANIZATION": str(configured["organization"] or "organization"),
        "PULUMI_PROJECT": str(configured["project"]),
        "PULUMI_STACK": str(configured["stack"]),
        "PULUMI_DRY_RUN": "true" if configured["dry_run"] else "false",
        "PULUMI_CONFIG": json.dumps(configured["config"]),
    }
