"""The Pulumi CLI built from its Go module, as pinned in go.mod and go.sum, and what has to stand beside it.

The vendor's archive is the better source, because it holds the vendor's language host; this one needs only a Go module
proxy. The module of the SDK holds two scripts that a Python program needs: the executor and the launcher of dynamic
providers. They are copied from the module cache, so that they are always those of the pinned version.
"""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tools.bootstrap import go, pins

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
STEP = "pulumi"


def ensure(cache: Path, go_module: Path, environment: Mapping[str, str]) -> Path:
    """The folder with the built CLI and its two scripts. Raises StepFailedError."""

    def scripts(scratch: Path, run: go.Go) -> None:
        sdk = run("list", "-m", "-f", "{{.Dir}}", SDK_MODULE).strip()
        for script in SDK_SCRIPTS:
            target = scratch / Path(script).name
            shutil.copyfile(Path(sdk, script), target)
            target.chmod(0o755)

    folder = cache / "pulumi" / f"{pins.VERSION}-{cache_key(go_module)}"
    return _build(go_module).ensure(folder, environment, also=scripts)


def cache_key(go_module: Path) -> str:
    """A name for what the build gives."""
    return _build(go_module).key()


def _build(go_module: Path) -> go.Build:
    what, instead = "the Pulumi CLI", ", or install pulumi on PATH"
    return go.Build(what=what, step=STEP, module=go_module, flags=FLAGS, packages=(PACKAGE,), instead=instead)


def launcher(layout: Layout, folder: Path) -> str:
    """The script by which the engine starts the language host, in the project's own Python environment.

    `folder` holds the executor; the script has to stand in it, or before it on PATH, to be found.
    """
    python = layout.venv / "bin" / "python"
    package = layout.go_module / "language_host"
    words = (str(python), "-u", str(package), f"--executor={folder / EXECUTOR}")
    return f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n'
