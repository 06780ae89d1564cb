"""The server's image of a stack: built by whatever builds images on this machine, pushed, and named by its digest.

A tag is pushed only because every registry takes one: it holds the MLflow version and the commit, so it never moves,
and the stack names the digest.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.commands.programs import ASK_DEADLINE_S, answer, run
from mlflow_backend.contract import PlatformFailed, Refused, UsageError
from mlflow_backend.image_reference import parse
from mlflow_backend.preflight import resource
from mlflow_backend.preflight.manifests import MISSING, Platform, inspect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.preflight.manifests import Image

ROOT: Final = Path(__file__).resolve().parents[1]
BUILD_DEADLINE_S: Final = 2700
"""Seconds of one build. Another CPU than this machine's is emulated and takes several times as long."""

BUILDERS: Final = {
    "docker": ("docker", "buildx", "version"),
    "podman": ("podman", "--version"),
    "buildah": ("buildah", "--version"),
}
"""What can build, in the order in which it is taken, and how it says that it can: docker comes without buildx too."""

_COMMIT_LENGTH: Final = 12


@dataclass(frozen=True, kw_only=True)
class ImageToBuild:
    """What is built: where it goes, for which platform, of which MLflow version.

    `registry_login` is a reference to the registry's login, None for ECR and for a registry that asks for none.
    """

    registry: str
    repository: str
    platform: Platform
    mlflow_version: str
    registry_login: str | None = None

    def name(self, tag: str) -> str:
        """Return the image's name by a tag."""
        return f"{self.registry}/{self.repository}:{tag}"


def image_of(preflight: Mapping[str, Any]) -> ImageToBuild:
    """Return what preflight will look for, by its inputs. Raises Refused for an image without a registry."""
    try:
        reference = parse(preflight["image"])
    except UsageError as error:
        raise Refused(
            f"server.image is {error.finding}.",
            code="server-image-malformed",
            fix="Name the repository that the image is pushed to.",
        ) from None
    system, _, architecture = preflight["platform"].partition("/")
    return ImageToBuild(
        registry=reference.registry,
        repository=reference.repository,
        platform=Platform(system=system, architecture=architecture),
        mlflow_version=preflight["mlflowVersion"],
        registry_login=preflight["registryLogin"],
    )


def builder(environment: Mapping[str, str]) -> str:
    """Return the program that builds. Raises Refused if there is none."""
    for name, asked in BUILDERS.items():
        if shutil.which(name, path=environment.get("PATH")) and _answers(asked, environment):
            return name
    raise Refused(
        f"Nothing on this machine builds images: none of {', '.join(BUILDERS)} (docker with buildx) is on PATH.",
        code="builder-missing",
        fix="Install one, or let the workflow image build it (docs/runbooks/workflows.md).",
    )


def make(image: ImageToBuild, environment: Mapping[str, str]) -> str:
    """Build and push the image of the commit that is checked out, and return its name by digest.

    An image of that commit that is there already is named and not built again. Raises Refused for what cannot be
    built, PlatformFailed if a program or the registry fails.
    """
    commit = _commit(environment)
    name = image.name(f"{image.mlflow_version}-{commit[:_COMMIT_LENGTH]}")
    found = _in_registry(name, image)
    if found is None:
        program = builder(environment)
        arguments = _arguments(image.mlflow_version, commit, environment)
        _login(program, image, environment)
        for command in commands(program, name, image.platform, arguments):
            run(command, environment, BUILD_DEADLINE_S)
        found = _in_registry(name, image)
    if found is None or image.platform not in found.platforms:
        raise PlatformFailed(f"the registry has no image {name} for {image.platform}", code="image-not-in-registry")
    return parse(name).pinned(found.digest)


def commands(program: str, name: str, platform: Platform, arguments: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return what builds and pushes. Pure."""
    given = (f"--build-arg={each}" for each in arguments)
    # buildah takes no option after the folder.
    how = ("--platform", str(platform), "--tag", name, *given, str(ROOT / "server"))
    if program == "docker":
        # Without attestations the name stands for one image, as it does with the other two.
        return (("docker", "buildx", "build", "--provenance=false", "--push", *how),)
    return ((program, "build", *how), (program, "push", name))


def _answers(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Return whether a program ends well, whatever it says meanwhile."""
    try:
        done = subprocess.run(command, capture_output=True, env=environment, timeout=ASK_DEADLINE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _commit(environment: Mapping[str, str]) -> str:
    """Return the commit that is checked out. Raises Refused if server/ differs from it: the label would not be true."""
    git = ("git", "-C", str(ROOT))
    if answer((*git, "status", "--porcelain", "--", "server"), environment).strip():
        raise Refused(
            "server/ has changes that no commit holds.",
            code="server-changes-uncommitted",
            fix="Commit them: the image names its commit.",
        )
    return answer((*git, "rev-parse", "HEAD"), environment).strip()


def _in_registry(name: str, image: ImageToBuild) -> Image | None:
    """Return the image of a name, as its registry describes it; None if there is none. Raises PlatformFailed."""
    reference = parse(name)
    try:
        return inspect(resource.source(reference, image.registry_login), reference.asked, image.platform)
    except PlatformFailed as error:
        if error.code in MISSING:
            return None
        raise PlatformFailed(f"the registry cannot be asked for {name}: {error}", code="registry-not-askable") from None


def _arguments(version: str, commit: str, environment: Mapping[str, str]) -> list[str]:
    script = str(ROOT / "server" / "tools" / "image_arguments.py")
    command = (sys.executable, script, version, "--revision", commit)
    return answer(command, environment).splitlines()


def _login(program: str, image: ImageToBuild, environment: Mapping[str, str]) -> None:
    """Log the builder in to ECR. Another registry's login is the user's own."""
    ecr = parse(image.name("any")).ecr
    if ecr is None:
        return
    from mlflow_backend.aws.connection import Connection  # noqa: PLC0415 - AWS only if it is asked
    from mlflow_backend.preflight.ecr import ecr_password  # noqa: PLC0415

    command = (program, "login", "--username", "AWS", "--password-stdin", image.registry)
    run(command, environment, given=ecr_password(Connection(ecr[1])))
