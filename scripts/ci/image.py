"""Build the server's image from a workflow, step by step: builder, arguments, a build for the scan, login, push.

What is built stands in server/Dockerfile, and of which arguments in server/tools/image_arguments.py; between two steps
they lie in one file. Programs are given lists of arguments, and secrets by their input, never by a shell.
Exit codes: 0 done; 2 usage, or an argument that cannot be resolved; 4 docker, the registry or the machine failed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from components.contract import ExitCode
from scripts.ci import runner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = Path("arguments")
"""Where the build arguments lie between the steps, one `NAME=value` a line, in the folder of the run."""
SCANNED = "scanned:local"
"""The name under which the scanner finds the image."""

ASK_DEADLINE_S = 300
BUILD_DEADLINE_S = 2700
"""Seconds of one build. arm64 is emulated and takes several times as long; the workflow's own limit is above it."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_COMMIT_LENGTH = 12


class StepError(Exception):
    """A step cannot go on; `str()` is a sentence without any secret."""


def main(arguments: list[str] | None = None, *, environment: Mapping[str, str] = os.environ) -> ExitCode:
    """Run one step; returns an exit code of `contract.ExitCode`."""
    options = _parser().parse_args(arguments)
    try:
        if options.step == "prepare":
            prepare(options.platforms, environment)
        elif options.step == "arguments":
            return resolve(options.mlflow, base=options.base, commit=options.commit, environment=environment)
        elif options.step == "build":
            build(options.platforms, environment)
        elif options.step == "login":
            login(options.repository, environment)
        else:
            push(options, environment)
    except StepError as error:
        print(f"image: {error}", file=sys.stderr)
        return ExitCode.PLATFORM_FAILED
    return ExitCode.DONE


def prepare(platforms: str, environment: Mapping[str, str]) -> None:
    """Make a builder for the platforms. Raises StepError."""
    if "linux/arm64" in platforms.split(","):
        # An emulator from the runner's own distribution, not from an image that would run privileged.
        _run(("sudo", "apt-get", "update"), environment)
        _run(("sudo", "apt-get", "install", "--yes", "qemu-user-static"), environment)
    _run(("docker", "buildx", "create", "--name", "image", "--driver", "docker-container", "--use"), environment)


def resolve(mlflow: str, *, base: str, commit: str, environment: Mapping[str, str]) -> ExitCode:
    """Resolve the base to its digest and write the build arguments. Raises StepError for a base without one."""
    inspect = ("docker", "buildx", "imagetools", "inspect", base, "--format", "{{json .Manifest.Digest}}")
    digest = _told(inspect, environment).strip().strip('"')
    if not _DIGEST.fullmatch(digest):
        raise StepError(f"the registry names no digest of {base}")
    script = (sys.executable, str(ROOT / "server" / "tools" / "image_arguments.py"))
    # A base that was given by digest is asked for all the same, and named once.
    command = (*script, mlflow, "--base", f"{base.partition('@')[0]}@{digest}", "--revision", commit)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=ASK_DEADLINE_S, check=False)
    if done.returncode:
        print(done.stderr.strip(), file=sys.stderr)
        return ExitCode.USAGE
    ARGUMENTS.write_text(done.stdout, encoding="utf-8")
    listed = "".join(f"    {line}\n" for line in done.stdout.splitlines())
    runner.summary(f"### Build arguments\n\n{listed}", environment)
    return ExitCode.DONE


def build(platforms: str, environment: Mapping[str, str]) -> None:
    """Build for the first platform and load the image where the scanner finds it. Raises StepError."""
    first = platforms.partition(",")[0]
    _run((*_buildx(), "--platform", first, "--load", "--tag", SCANNED), environment, BUILD_DEADLINE_S)


def login(repository: str, environment: Mapping[str, str]) -> None:
    """Log docker in to the registry by the AWS role, Google's token, or a name and password. Raises StepError."""
    if environment.get("AWS_ROLE"):
        user, password = "AWS", _told(("aws", "ecr", "get-login-password"), environment).strip()
    elif environment.get("GOOGLE_TOKEN"):
        user, password = "oauth2accesstoken", environment["GOOGLE_TOKEN"]
    else:
        user, password = environment.get("REGISTRY_USER", ""), environment.get("REGISTRY_PASSWORD", "")
    if not user or not password:
        raise StepError("nothing to log in with: the head of image.yml names the variables, one of the three is needed")
    registry = repository.partition("/")[0]
    command = ("docker", "login", "--username", user, "--password-stdin", registry)
    _run(command, environment, given=password)


def push(options: argparse.Namespace, environment: Mapping[str, str]) -> None:
    """Build for every platform, push, and tell the digest that a stack is to be set to. Raises StepError."""
    tag = f"{options.repository}:{options.mlflow}-{options.commit[:_COMMIT_LENGTH]}"
    with tempfile.TemporaryDirectory(prefix="mlflow-backend-image-") as folder:
        metadata = Path(folder, "pushed.json")
        command = (*_buildx(), "--platform", options.platforms, "--push", "--tag", tag)
        attested = ("--provenance=mode=max", "--sbom=true", "--metadata-file", str(metadata))
        _run((*command, *attested), environment, BUILD_DEADLINE_S)
        try:
            digest = str(json.loads(metadata.read_text(encoding="utf-8"))["containerimage.digest"])
        except (OSError, ValueError, KeyError) as error:
            raise StepError(f"docker has pushed {tag} and does not tell its digest: {type(error).__name__}") from error
    runner.summary(f"Pushed `{options.repository}@{digest}`: set it as `server.image`.", environment)


def _buildx() -> tuple[str, ...]:
    try:
        lines = ARGUMENTS.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise StepError(f"{ARGUMENTS} cannot be read: the step `arguments` writes it") from error
    return ("docker", "buildx", "build", str(ROOT / "server"), *(f"--build-arg={line}" for line in lines))


def _run(
    command: Sequence[str], environment: Mapping[str, str], deadline_s: float = ASK_DEADLINE_S, *, given: str = ""
) -> None:
    """Run a program, its output going where ours goes."""
    _finished(command, environment, deadline_s, given=given, captured=False)


def _told(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return what a program prints; what it complains of goes where ours goes."""
    return _finished(command, environment, ASK_DEADLINE_S, given="", captured=True)


def _finished(
    command: Sequence[str], environment: Mapping[str, str], deadline_s: float, *, given: str, captured: bool
) -> str:
    name = " ".join(command[:3])
    try:
        done = subprocess.run(
            command,
            env=environment,
            input=given,
            stdout=subprocess.PIPE if captured else None,
            text=True,
            timeout=deadline_s,
            check=False,
        )
    except OSError as error:
        raise StepError(f"{name} cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise StepError(f"{name} had not ended after {deadline_s:.0f} s") from error
    if done.returncode:
        raise StepError(f"{name} ended with {done.returncode}")
    return done.stdout or ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/ci/image.py", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    told = {
        "prepare": "make a builder for the platforms",
        "arguments": "resolve the base and write the build arguments",
        "build": "build for the first platform, for the scanner",
        "login": "log in to the registry",
        "push": "build for every platform and push",
    }
    made = {name: steps.add_parser(name, help=text) for name, text in told.items()}
    for name in ("prepare", "build", "push"):
        made[name].add_argument("--platforms", required=True, help="such as linux/amd64,linux/arm64")
    for name in ("login", "push"):
        made[name].add_argument("--repository", required=True, help="where it is pushed, without a tag")
    for name in ("arguments", "push"):
        made[name].add_argument("--mlflow", required=True, help="the MLflow version")
        made[name].add_argument("--commit", required=True, help="the commit that is built")
    made["arguments"].add_argument("--base", required=True, help="the base image, by tag or digest")
    return parser


if __name__ == "__main__":
    sys.exit(main())
