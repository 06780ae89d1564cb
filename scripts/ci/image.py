"""Build the server's image from a workflow, step by step: builder, arguments, archive, scan, login, push.

What is built stands in server/Dockerfile, and of which arguments in server/tools/image_arguments.py; between two steps
they are kept in one file. The image is one archive from its build on, so that what was scanned is what is pushed.
Programs are given lists of arguments, and secrets by their input, never by a shell.
Exit codes: 0 done; 2 usage, or an argument that cannot be resolved; 4 docker, the registry or the machine failed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend.commands.programs import ASK_DEADLINE_S
from mlflow_backend.commands.programs import answer as _told
from mlflow_backend.commands.programs import run as _run
from mlflow_backend.contract import ExitCode, PlatformFailed
from scripts.ci import runner

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "server" / "Dockerfile"
ARGUMENTS = Path("arguments")
"""Where the build arguments lie between the steps, one `NAME=value` a line, in the folder of the run."""
ARCHIVE = Path("image.tar")
"""The image of every platform, as an OCI archive, in the folder of the run."""
SCANNED = Path("scanned.tar")
"""The image of one platform, as `docker save` writes one, for the scanner."""
BASE = re.compile(r"^ARG BASE_IMAGE=([^@\s]+)@(sha256:[0-9a-f]{64})$", re.MULTILINE)
"""The base in server/Dockerfile: name with tag, and digest."""

BUILD_DEADLINE_S = 2700
"""Seconds of one build. arm64 is emulated and takes several times as long; the workflow's own limit is above it."""

PUSH_DEADLINE_S = 1200

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_COMMIT_LENGTH = 12


def main(arguments: list[str] | None = None, *, environment: Mapping[str, str] = os.environ) -> ExitCode:
    """Run one step; returns an exit code of `contract.ExitCode`."""
    options = _parser().parse_args(arguments)
    try:
        if options.step == "prepare":
            prepare(options.platforms, environment)
        elif options.step == "base":
            move_base(options.name, environment, dockerfile=options.dockerfile)
        elif options.step == "arguments":
            return collect(options.mlflow, options.commit, environment)
        elif options.step == "build":
            build(options.platforms, environment)
        elif options.step == "extract":
            extract(options.platform, options.digest, environment)
        elif options.step == "login":
            login(options.repository, environment)
        else:
            push(options, environment)
    except PlatformFailed as error:
        print(f"image: {error}", file=sys.stderr)
        return ExitCode.PLATFORM_FAILED
    return ExitCode.DONE


def prepare(platforms: str, environment: Mapping[str, str]) -> None:
    """Make a builder for the platforms. Raises PlatformFailed."""
    if "linux/arm64" in platforms.split(","):
        # An emulator from the runner's own distribution, not from an image that would run privileged.
        _run(("sudo", "apt-get", "update"), environment)
        _run(("sudo", "apt-get", "install", "--yes", "qemu-user-static"), environment)
    _run(("docker", "buildx", "create", "--name", "image", "--driver", "docker-container", "--use"), environment)


def move_base(name: str | None, environment: Mapping[str, str], *, dockerfile: Path) -> None:
    """Write what the registry has under the base's tag into server/Dockerfile, for a reviewer.

    Raises PlatformFailed.
    """
    text = dockerfile.read_text(encoding="utf-8")
    found = BASE.search(text)
    if found is None:
        raise PlatformFailed(
            f"{dockerfile} has no line `ARG BASE_IMAGE=NAME:TAG@sha256:...`", code="base-image-line-missing"
        )
    base = name or found[1]
    inspect = ("docker", "buildx", "imagetools", "inspect", base, "--format", "{{json .Manifest.Digest}}")
    digest = _told(inspect, environment).strip().strip('"')
    if not _DIGEST.fullmatch(digest):
        raise PlatformFailed(f"the registry names no digest of {base}", code="base-image-without-digest")
    dockerfile.write_text(text.replace(found[0], f"ARG BASE_IMAGE={base}@{digest}"), encoding="utf-8")
    print(f"{base}: {found[2]} -> {digest}")


def collect(mlflow: str, commit: str, environment: Mapping[str, str]) -> ExitCode:
    """Write the build arguments; nothing if one is not resolved."""
    script = (sys.executable, str(ROOT / "server" / "tools" / "image_arguments.py"))
    command = (*script, mlflow, "--revision", commit)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=ASK_DEADLINE_S, check=False)
    if done.returncode:
        print(done.stderr.strip(), file=sys.stderr)
        return ExitCode.USAGE
    ARGUMENTS.write_text(done.stdout, encoding="utf-8")
    listed = "".join(f"    {line}\n" for line in done.stdout.splitlines())
    runner.summary(f"### Build arguments\n\n{listed}", environment)
    return ExitCode.DONE


def build(platforms: str, environment: Mapping[str, str]) -> None:
    """Build for every platform into the archive; give the workflow its digest and platforms. Raises PlatformFailed."""
    target = ("--output", f"type=oci,dest={ARCHIVE}", "--provenance=mode=max", "--sbom=true")
    _run((*_buildx(), "--platform", platforms, *target), environment, BUILD_DEADLINE_S)
    runner.output("digest", archived(), environment)
    runner.output("platforms", json.dumps(platforms.split(",")), environment)


def archived() -> str:
    """Return the digest under which the archive's image will be pushed. Raises PlatformFailed."""
    try:
        with tarfile.open(ARCHIVE) as archive:
            index = archive.extractfile("index.json")
            manifests = json.load(index)["manifests"] if index else []
        (digest,) = (str(each["digest"]) for each in manifests)
    except (OSError, ValueError, KeyError, tarfile.TarError) as error:
        raise PlatformFailed(
            f"{ARCHIVE} is no archive of one image: {type(error).__name__}", code="archive-malformed"
        ) from error
    return digest


def extract(platform: str, digest: str, environment: Mapping[str, str]) -> None:
    """Write the image of one platform where the scanner takes it from. Raises PlatformFailed."""
    _hold(digest)
    system, _, architecture = platform.partition("/")
    _bring_skopeo(environment)
    chosen = ("skopeo", f"--override-os={system}", f"--override-arch={architecture}", "copy")
    _run((*chosen, f"oci-archive:{ARCHIVE}", f"docker-archive:{SCANNED}:scanned:local"), environment)


def login(repository: str, environment: Mapping[str, str]) -> None:
    """Log docker in to the registry by the AWS role, Google's token, or a name and password. Raises PlatformFailed."""
    if environment.get("AWS_ROLE"):
        user, password = "AWS", _told(("aws", "ecr", "get-login-password"), environment).strip()
    elif environment.get("GOOGLE_TOKEN"):
        user, password = "oauth2accesstoken", environment["GOOGLE_TOKEN"]
    else:
        user, password = environment.get("REGISTRY_USER", ""), environment.get("REGISTRY_PASSWORD", "")
    if not user or not password:
        raise PlatformFailed(
            "nothing to log in with: the head of image.yml names the variables, one of the three is needed",
            code="registry-login-missing",
        )
    registry = repository.partition("/")[0]
    command = ("docker", "login", "--username", user, "--password-stdin", registry)
    _run(command, environment, given=password)


def push(options: argparse.Namespace, environment: Mapping[str, str]) -> None:
    """Push the archive as it is, and print the digest that a stack is to be set to. Raises PlatformFailed."""
    _hold(options.digest)
    _bring_skopeo(environment)
    name = f"docker://{options.repository}:{options.mlflow}-{options.commit[:_COMMIT_LENGTH]}"
    # The tag is the last thing that is written, after every platform's manifest.
    copy = ("skopeo", "copy", "--all", "--preserve-digests", f"oci-archive:{ARCHIVE}", name)
    _run(copy, environment, PUSH_DEADLINE_S)
    runner.summary(f"Pushed `{options.repository}@{options.digest}`: set it as `server.image`.", environment)


def _hold(digest: str) -> None:
    """Refuse an archive that is not the one that was built: another job handed it over. Raises PlatformFailed."""
    if (found := archived()) != digest:
        raise PlatformFailed(f"{ARCHIVE} holds {found}, and {digest} was built", code="archive-of-another-image")


def _bring_skopeo(environment: Mapping[str, str]) -> None:
    """Install skopeo from the runner's own distribution if the runner has none. Raises PlatformFailed."""
    if shutil.which("skopeo", path=environment.get("PATH")) is None:
        _run(("sudo", "apt-get", "update"), environment)
        _run(("sudo", "apt-get", "install", "--yes", "skopeo"), environment)


def _buildx() -> tuple[str, ...]:
    try:
        lines = ARGUMENTS.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise PlatformFailed(
            f"{ARGUMENTS} cannot be read: the step `arguments` writes it", code="arguments-unreadable"
        ) from error
    return ("docker", "buildx", "build", str(ROOT / "server"), *(f"--build-arg={line}" for line in lines))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/ci/image.py", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    help_of = {
        "prepare": "make a builder for the platforms",
        "base": "write the digest that the base's tag has now into server/Dockerfile, to be reviewed and committed",
        "arguments": "write the build arguments",
        "build": "build for every platform into an archive",
        "extract": "take one platform's image out of the archive, for the scanner",
        "login": "log in to the registry",
        "push": "push the archive",
    }
    made = {name: steps.add_parser(name, help=text) for name, text in help_of.items()}
    for name in ("prepare", "build"):
        made[name].add_argument("--platforms", required=True, help="such as linux/amd64,linux/arm64")
    for name in ("login", "push"):
        made[name].add_argument("--repository", required=True, help="where it is pushed, without a tag")
    for name in ("arguments", "push"):
        made[name].add_argument("--mlflow", required=True, help="the MLflow version")
        made[name].add_argument("--commit", required=True, help="the commit that is built")
    for name in ("extract", "push"):
        made[name].add_argument(
            "--digest", required=True, help="the digest that `build` gave: the archive must have it"
        )
    made["extract"].add_argument("--platform", required=True, help="such as linux/arm64")
    made["base"].add_argument("--name", help="another base, by tag (default: the one that is there)")
    made["base"].add_argument("--dockerfile", type=Path, default=DOCKERFILE, help="the file that names the base")
    return parser


if __name__ == "__main__":
    sys.exit(main())
