"""`make image`: what builds, what it is called with, and what is refused before anything is built."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.contract import ExitCode, Refused
from mlflow_backend.preflight.manifests import Platform
from scripts import image, images

if TYPE_CHECKING:
    from pathlib import Path

AMD64 = Platform(system="linux", architecture="amd64")
INPUTS = {
    "image": "registry.example.com/team/mlflow:3.17.2",
    "platform": "linux/amd64",
    "mlflowVersion": "3.17.2",
    "registryLogin": None,
}
NAME = "registry.example.com/team/mlflow:3.17.2-0123456789ab"


def machine(folder: Path, *programs: str, without: str = "") -> dict[str, str]:
    """Return the environment of a machine that has these programs; one of them refuses every call."""
    for name in programs:
        path = folder / name
        path.write_text(f"#!/bin/sh\nexit {int(name == without)}\n", encoding="utf-8")
        path.chmod(0o700)
    return {"PATH": str(folder)}


@pytest.mark.parametrize(
    ("there", "taken"),
    [(("docker", "podman"), "docker"), (("podman", "buildah"), "podman"), (("buildah",), "buildah")],
)
def test_what_is_there_builds(tmp_path: Path, there: tuple[str, ...], taken: str) -> None:
    """The first of the three that is on PATH."""
    assert images.builder(machine(tmp_path, *there)) == taken


def test_a_docker_without_buildx_is_passed_over(tmp_path: Path) -> None:
    """It is on PATH, and cannot build."""
    assert images.builder(machine(tmp_path, "docker", "podman", without="docker")) == "podman"


def test_a_machine_that_builds_nothing_is_reported_once(tmp_path: Path) -> None:
    """All three are named, and the workflow that builds instead."""
    with pytest.raises(Refused) as caught:
        images.builder(machine(tmp_path))
    assert all(name in str(caught.value) for name in images.BUILDERS)


@pytest.mark.parametrize("program", images.BUILDERS)
def test_every_builder_builds_for_the_platform_and_pushes_the_name(program: str) -> None:
    """Every argument reaches it, each on its own."""
    called = images.commands(program, NAME, AMD64, ["MLFLOW_VERSION=3.17.2", "A=b c"])
    assert {command[0] for command in called} == {program}
    build = called[0]
    assert build[-1].endswith("server"), "buildah takes no option after the folder"
    assert build[build.index("--platform") + 1] == "linux/amd64"
    assert build[build.index("--tag") + 1] == NAME
    assert {"--build-arg=MLFLOW_VERSION=3.17.2", "--build-arg=A=b c"} <= set(build)
    assert "--push" in build or called[1] == (program, "push", NAME)


def test_the_image_goes_where_preflight_will_look_for_it() -> None:
    """Registry, repository, platform and version are those of preflight's inputs."""
    found = images.image_of(INPUTS)
    assert found.name("x") == "registry.example.com/team/mlflow:x"
    assert (found.platform, found.mlflow_version) == (AMD64, "3.17.2")
    with pytest.raises(Refused):
        images.image_of({**INPUTS, "image": "mlflow"})


def test_what_no_commit_holds_is_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The image's label names a commit, and would not be true; changes elsewhere, as in a stack's file, are fine."""
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "Dockerfile").write_text("FROM x\n")
    author = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    for words in (("init", "--quiet"), ("add", "--all"), (*author, "commit", "--quiet", "--message", "x")):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True, timeout=60)
    monkeypatch.setattr(images, "ROOT", tmp_path)
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {}\n")
    assert len(images._commit(os.environ)) == 40
    (tmp_path / "server" / "Dockerfile").write_text("FROM y\n")
    with pytest.raises(Refused):
        images._commit(os.environ)


def test_a_stack_without_an_image_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """`local` runs none."""
    assert image.main(["--stack", "local"]) == ExitCode.REFUSED
    assert "ecs" in capsys.readouterr().err
