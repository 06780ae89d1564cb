"""The Pulumi CLI built from its Go module, as pinned in go.mod and go.sum, and what has to stand beside it.

The vendor's archive is the better source, because it holds the vendor's language host; this one needs only a Go module
proxy. The module of the SDK holds two scripts that a Python program needs: the executor and the launcher of dynamic
providers. They are copied from the module cache, so that they are always those of the pinned version.
"""

from __future__ import annotations

import collections
import shlex
import shutil
import subprocess
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tools.bootstrap import files, pins
from tools.bootstrap.commands import CommandError, last_words, run
from tools.bootstrap.steps import Heartbeat, StepFailedError, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.bootstrap.layout import Layout

PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
SDK_MODULE = "github.com/pulumi/pulumi/sdk/v3"
EXECUTOR = "pulumi-language-python-exec"
SDK_SCRIPTS = ("python/dist/pulumi-resource-pulumi-python", f"python/cmd/{EXECUTOR}")

FLAGS = (
    "-trimpath",
    "-mod=readonly",
    # The user's name is looked up without the C library, and gRPC leaves out a tracing package that forces the linker
    # to keep every method: the binary is smaller and the build needs no C compiler.
    "-tags=osusergo,grpcnotrace",
    f"-ldflags=-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={pins.VERSION}",
)

BUILD_DEADLINE_S = 1800
"""Seconds. It takes 3 to 8 minutes on 2 cores, and the modules have to be downloaded first."""

STEP = "pulumi"


def ensure(cache: Path, go_module: Path, environment: Mapping[str, str]) -> Path:
    """The folder with the built CLI and its two scripts, built once a machine for these pins and flags.

    Raises:
        StepFailedError: there is no Go, or the build fails.
    """
    folder = cache / "pulumi" / f"{pins.VERSION}-{cache_key(go_module)}"
    if folder.exists():
        return folder
    with files.locked(folder.with_name(f"{folder.name}.lock"), step=STEP):
        if not folder.exists():
            with files.appearing(folder) as scratch:
                _build(scratch, go_module, _go_environment(environment))
    return folder


def cache_key(go_module: Path) -> str:
    """A name for what the build gives: the pinned modules, the flags, and the platform."""
    pinned = [(go_module / name).read_bytes() for name in ("go.mod", "go.sum")]
    return files.digest(*pinned, "\n".join(FLAGS).encode(), str(pins.platform_name()).encode())


def launcher(layout: Layout, folder: Path) -> str:
    """The script by which the engine starts the language host, in the project's own Python environment.

    `folder` holds the executor; the script has to stand in it, or before it on PATH, to be found.
    """
    python = layout.venv / "bin" / "python"
    package = layout.go_module / "language_host"
    words = (str(python), "-u", str(package), f"--executor={folder / EXECUTOR}")
    return f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n'


def _build(scratch: Path, go_module: Path, environment: Mapping[str, str]) -> None:
    go = shutil.which("go", path=environment.get("PATH"))
    if go is None:
        raise StepFailedError(
            what="building the Pulumi CLI",
            why="there is no `go` on PATH, and the CLI could not be had otherwise",
            fix="install Go (1.21 or newer fetches the version it needs), or pulumi itself, and try again",
        )
    say(STEP, f"building {pins.VERSION} from its Go module; this takes several minutes, once a machine")
    try:
        _compile((go, "build", "-v", *FLAGS, "-o", str(scratch / "pulumi"), PACKAGE), go_module, environment)
        list_sdk = (go, "list", "-m", "-f", "{{.Dir}}", SDK_MODULE)
        listed = run(list_sdk, deadline_s=60, environment=environment, cwd=go_module)
        for script in SDK_SCRIPTS:
            target = scratch / Path(script).name
            shutil.copyfile(Path(listed.strip(), script), target)
            target.chmod(0o755)
    except (CommandError, OSError) as error:
        raise StepFailedError(
            what="building the Pulumi CLI",
            why=str(error),
            fix="check that Go reaches its module proxy (`go env GOPROXY`) and that the disk has 4 GiB left, "
            "or install pulumi on PATH",
        ) from error


def _compile(argv: tuple[str, ...], go_module: Path, environment: Mapping[str, str]) -> None:
    """Run the build, saying now and then how far it is.

    Raises:
        CommandError: it failed, or was not done within the deadline.
    """
    process = subprocess.Popen(
        argv,
        cwd=go_module,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    deadline = threading.Timer(BUILD_DEADLINE_S, process.kill)
    deadline.start()
    try:
        said = _follow(process.stderr) if process.stderr else ""
        code = process.wait()
    finally:
        timed_out = not deadline.is_alive()
        deadline.cancel()
        process.kill()
        process.wait()
    if code != 0:
        why = f"it was not done within {BUILD_DEADLINE_S} s" if timed_out else last_words(said)
        message = f"go build: {why}"
        raise CommandError(message)


def _follow(stream: IO[str]) -> str:
    """Read what `go build -v` says: a line for each module it fetches and each package it compiles."""
    heartbeat = Heartbeat(STEP)
    fetched = compiled = 0
    tail: collections.deque[str] = collections.deque(maxlen=10)
    with stream:
        for line in stream:
            tail.append(line)
            if line.startswith("go: downloading"):
                fetched += 1
            else:
                compiled += 1
            heartbeat.beat(f"{fetched} modules fetched and {compiled} packages compiled until now")
    return "".join(tail)


def _go_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The user's Go settings but for those that would change what is built."""
    return {**environment, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
