"""Build the server's image of a stack, push it, and print what its settings name it by.

It is built from server/ as committed, by docker (buildx), podman or buildah, and pushed to the repository that
`server.image` names. Exit codes: 0 the image is there; 2 settings; 3 nothing builds here, or server/ is not committed;
4 a program or the registry failed.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path

from mlflow_backend.commands.command import ended
from mlflow_backend.commands.stacks import Stack
from mlflow_backend.contract import ExitCode, Refused
from mlflow_backend.dynamic import inputs_of
from mlflow_backend.ecs.target import TARGET
from scripts import images

ROOT = Path(__file__).resolve().parents[1]


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns an exit code of `contract.ExitCode`."""
    parser = argparse.ArgumentParser(prog="scripts/image.py", description=__doc__)
    parser.add_argument("--stack", required=True, help="the stack: Pulumi.<stack>.yaml holds its settings")
    options = parser.parse_args(arguments)
    return ended("image", partial(_run, options.stack), options)


def _run(stack: str) -> ExitCode:
    named = Stack(stack, ROOT)
    settings = named.settings
    if settings.target != TARGET.name:
        raise Refused(
            f"The target {settings.target} runs no image.",
            code="target-without-image",
            fix=f"Name a stack of the target {TARGET.name}.",
        )
    from mlflow_backend.ecs.preflight import preflight_args  # noqa: PLC0415 - AWS only if it is asked
    from mlflow_backend.ecs.refusals import naming_of  # noqa: PLC0415

    naming = naming_of(settings, project=named.project, stack=stack)
    name = images.make(images.image_of(inputs_of(preflight_args(settings, naming))), os.environ)
    print(f"Pushed. Put this into Pulumi.{stack}.yaml, below mlflow-backend:server:\n\n    image: {name}")
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
