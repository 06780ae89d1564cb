"""The steps of the workflow `image`: what each asks of docker and skopeo, that secrets go by input, how each ends."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.commands import programs
from mlflow_backend.contract import ExitCode
from scripts.ci import image
from tests.components.preflight.images import OCI_INDEX, OCI_MANIFEST

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = f"sha256:{'0a' * 32}"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
BASE = "docker.io/library/python:3.12-slim-trixie"
CONFIG = "application/vnd.oci.image.config.v1+json"
REPOSITORY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mlflow"
PUSHED = ("--mlflow", "3.17.2", "--repository", REPOSITORY, "--commit", COMMIT)

STAND_IN = """#!{python}
import json, os, pathlib, sys
root = pathlib.Path({root!r})
name = os.path.basename(sys.argv[0])
given = sys.stdin.read()
with (root / "calls").open("a") as calls:
    calls.write(json.dumps({{"argv": [name, *sys.argv[1:]], "given": given}}) + "\\n")
answers = json.loads((root / "answers.json").read_text())
if "--output" in sys.argv and "archive" in answers:
    import shutil
    shutil.copy(answers["archive"], sys.argv[sys.argv.index("--output") + 1].partition("dest=")[2])
print(answers.get("told", {{}}).get(name, ""))
sys.exit(answers.get("codes", {{}}).get(name, 0))
"""


class Machine:
    """A folder in which stand-ins of the programs note what they are called with."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.summary = root / "summary.md"
        self.environment = {"PATH": str(root / "bin"), "GITHUB_STEP_SUMMARY": str(self.summary)}
        (root / "bin").mkdir()
        for name in ("docker", "aws", "sudo", "skopeo"):
            path = root / "bin" / name
            path.write_text(STAND_IN.format(python=sys.executable, root=str(root)))
            path.chmod(0o755)
        self.answer()

    def answer(self, **answers: Any) -> None:
        """Set what the programs print (`told`), end with (`codes`) and build (`archive`)."""
        (self.root / "answers.json").write_text(json.dumps(answers))

    def step(self, *arguments: str, **more: str) -> ExitCode:
        """Run a step, with further variables."""
        return image.main([*arguments], environment={**self.environment, **more})

    @property
    def calls(self) -> list[dict[str, Any]]:
        """What was called, in order."""
        path = self.root / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine of its own, in whose folder the step runs."""
    monkeypatch.chdir(tmp_path)
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("platforms", "programs"),
    [
        ("linux/amd64", ["docker"]),
        ("linux/arm64", ["sudo", "sudo", "docker"]),
        ("linux/amd64,linux/arm64", ["sudo", "sudo", "docker"]),
    ],
)
def test_only_what_has_to_be_emulated_is_installed(machine: Machine, platforms: str, programs: list[str]) -> None:
    """An image of the runner's own architecture needs no further software."""
    assert machine.step("prepare", "--platforms", platforms) is ExitCode.DONE
    assert [call["argv"][0] for call in machine.calls] == programs


@pytest.mark.parametrize("name", [None, "docker.io/library/python:3.13-slim-trixie"])
def test_the_base_is_moved_in_the_dockerfile_alone(machine: Machine, name: str | None) -> None:
    """What is built is what a reviewer has committed; the step only writes what the tag has now."""
    dockerfile = machine.root / "Dockerfile"
    dockerfile.write_text(image.DOCKERFILE.read_text())
    machine.answer(told={"docker": json.dumps(DIGEST)})
    chosen = ("--name", name) if name else ()
    assert machine.step("base", "--dockerfile", str(dockerfile), *chosen) is ExitCode.DONE
    found = image.BASE.search(dockerfile.read_text())
    assert found
    assert (found[1], found[2]) == (name or BASE, DIGEST)
    assert machine.calls[0]["argv"][1:5] == ["buildx", "imagetools", "inspect", name or BASE]


@pytest.mark.parametrize("answers", [{"told": {"docker": "null"}}, {"codes": {"docker": 1}}])
def test_a_base_without_a_digest_changes_nothing(machine: Machine, answers: dict[str, Any]) -> None:
    """The pin stays where it was."""
    dockerfile = machine.root / "Dockerfile"
    dockerfile.write_text(image.DOCKERFILE.read_text())
    machine.answer(**answers)
    assert machine.step("base", "--dockerfile", str(dockerfile)) is ExitCode.PLATFORM_FAILED
    assert dockerfile.read_text() == image.DOCKERFILE.read_text()


def test_the_committed_base_is_what_is_built_on(machine: Machine) -> None:
    """No registry is asked which base that is, and the arguments are shown to whoever reads the run."""
    assert machine.step("arguments", "--mlflow", "3.17.2", "--commit", COMMIT) is ExitCode.DONE
    assert machine.calls == []
    written = dict(line.split("=", 1) for line in (machine.root / "arguments").read_text().splitlines())
    found = image.BASE.search(image.DOCKERFILE.read_text())
    assert found
    assert written["BASE_IMAGE"] == f"{found[1]}@{found[2]}"
    assert (written["MLFLOW_VERSION"], written["SOURCE_REVISION"]) == ("3.17.2", COMMIT)
    assert f"    BASE_IMAGE={written['BASE_IMAGE']}" in machine.summary.read_text()


def test_nothing_is_built_of_what_is_not_resolved(machine: Machine) -> None:
    """A version without a lock leaves no arguments: the next step cannot go on."""
    assert machine.step("arguments", "--mlflow", "0.0.1", "--commit", COMMIT) is ExitCode.USAGE
    assert not (machine.root / "arguments").exists()
    assert machine.step("build", "--platforms", "linux/amd64") is ExitCode.PLATFORM_FAILED


def archive(path: Path, *, platforms: tuple[str, ...] = ("amd64", "arm64")) -> str:
    """Write an OCI archive of an image without layers, as buildx does; its digest."""
    blobs: dict[str, bytes] = {}

    def blob(document: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps(document).encode()
        digest = hashlib.sha256(body).hexdigest()
        blobs[digest] = body
        return {"mediaType": document.get("mediaType", CONFIG), "digest": f"sha256:{digest}", "size": len(body)}

    manifests = []
    for architecture in platforms:
        rootfs = {"type": "layers", "diff_ids": []}
        config = blob({"architecture": architecture, "os": "linux", "rootfs": rootfs})
        manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []}
        manifests.append({**blob(manifest), "platform": {"os": "linux", "architecture": architecture}})
    index = blob({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})
    names = {f"blobs/sha256/{digest}": body for digest, body in blobs.items()}
    names["oci-layout"] = json.dumps({"imageLayoutVersion": "1.0.0"}).encode()
    names["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [index]}).encode()
    with tarfile.open(path, "w") as packed:
        for name, body in names.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            packed.addfile(member, io.BytesIO(body))
    return str(index["digest"])


def test_what_is_scanned_and_pushed_is_what_was_built(machine: Machine) -> None:
    """One build for all platforms, with one digest that each later job is given; nothing is built again."""
    (machine.root / "arguments").write_text("A=1\nB=two words\n")
    digest = archive(machine.root / "built.tar")
    machine.answer(archive=str(machine.root / "built.tar"))
    output = machine.root / "output"
    platforms = ("--platforms", "linux/arm64,linux/amd64")
    assert machine.step("build", *platforms, GITHUB_OUTPUT=str(output)) is ExitCode.DONE
    told = dict(line.split("=", 1) for line in output.read_text().splitlines())
    assert told["digest"] == digest
    assert json.loads(told["platforms"]) == ["linux/arm64", "linux/amd64"]
    assert machine.step("extract", "--platform", "linux/arm64", "--digest", digest) is ExitCode.DONE
    assert machine.step("push", *PUSHED, "--digest", digest) is ExitCode.DONE
    built, scanned, pushed = (call["argv"] for call in machine.calls)
    assert built[4:6] == ["--build-arg=A=1", "--build-arg=B=two words"]
    assert "--push" not in built
    assert scanned[1:4] == ["--override-os=linux", "--override-arch=arm64", "copy"]
    assert scanned[4] == pushed[4] == "oci-archive:image.tar"
    assert pushed[-1] == f"docker://{REPOSITORY}:3.17.2-{COMMIT[:12]}"
    assert f"`{REPOSITORY}@{digest}`" in machine.summary.read_text()


@pytest.mark.parametrize(
    "step", [("extract", "--platform", "linux/amd64"), ("push", *PUSHED)], ids=lambda step: step[0]
)
@pytest.mark.parametrize("what", ["another", "missing", "damaged"])
def test_another_archive_is_neither_scanned_nor_pushed(machine: Machine, step: tuple[str, ...], what: str) -> None:
    """An artifact that was exchanged between two jobs stops the second."""
    digest = archive(machine.root / "good.tar")
    if what == "another":
        archive(machine.root / "image.tar", platforms=("amd64",))
    elif what == "damaged":
        (machine.root / "image.tar").write_bytes(b"no archive")
    assert machine.step(*step, "--digest", digest) is ExitCode.PLATFORM_FAILED
    assert machine.calls == []
    assert not machine.summary.exists()


@pytest.mark.parametrize(
    "answers", [{}, {"codes": {"docker": 1}}, {"codes": {"skopeo": 1}}], ids=["no archive", "no build", "no push"]
)
def test_nobody_is_advised_to_deploy_what_was_not_pushed(machine: Machine, answers: dict[str, Any]) -> None:
    """A build without an archive, and a registry that refuses, end the step."""
    (machine.root / "arguments").write_text("A=1\n")
    machine.answer(**answers)
    if "skopeo" in answers.get("codes", {}):
        digest = archive(machine.root / "image.tar")
        assert machine.step("push", *PUSHED, "--digest", digest) is ExitCode.PLATFORM_FAILED
    else:
        assert machine.step("build", "--platforms", "linux/amd64") is ExitCode.PLATFORM_FAILED
    assert not machine.summary.exists()


def test_skopeo_comes_from_the_runners_distribution(machine: Machine) -> None:
    """Where the runner has none."""
    (machine.root / "bin" / "skopeo").unlink()
    digest = archive(machine.root / "image.tar")
    assert machine.step("push", *PUSHED, "--digest", digest) is ExitCode.PLATFORM_FAILED
    assert [call["argv"][:3] for call in machine.calls] == [
        ["sudo", "apt-get", "update"],
        ["sudo", "apt-get", "install"],
    ]


@pytest.mark.parametrize(
    ("variables", "user"),
    [
        ({"AWS_ROLE": "arn:aws:iam::1:role/x"}, "AWS"),
        ({"GOOGLE_TOKEN": "s3cret", "AWS_ROLE": ""}, "oauth2accesstoken"),
        ({"REGISTRY_USER": "me", "REGISTRY_PASSWORD": "s3cret"}, "me"),
    ],
)
def test_a_password_goes_by_input_only(
    machine: Machine, capfd: pytest.CaptureFixture[str], variables: dict[str, str], user: str
) -> None:
    """An argument would be in the list of processes; a line of the log would be kept."""
    machine.answer(told={"aws": "s3cret"})
    assert machine.step("login", "--repository", REPOSITORY, **variables) is ExitCode.DONE
    login = machine.calls[-1]
    registry = REPOSITORY.partition("/")[0]
    assert login["argv"] == ["docker", "login", "--username", user, "--password-stdin", registry]
    assert login["given"] == "s3cret"
    assert not any("s3cret" in word for call in machine.calls for word in call["argv"])
    assert "s3cret" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("variables", [{}, {"REGISTRY_USER": "me"}, {"REGISTRY_PASSWORD": "s3cret"}, {"AWS_ROLE": "r"}])
def test_without_a_password_nothing_is_tried(
    machine: Machine, capfd: pytest.CaptureFixture[str], variables: dict[str, str]
) -> None:
    """An empty password would be an attempt to enter, and its refusal would name no cause."""
    assert machine.step("login", "--repository", REPOSITORY, **variables) is ExitCode.PLATFORM_FAILED
    assert all(call["argv"][0] == "aws" for call in machine.calls)
    assert "nothing to log in with" in capfd.readouterr().err


def test_a_program_that_is_missing_is_named(machine: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    """The sentence says what could not be started, and no traceback stands before it."""
    (machine.root / "bin" / "docker").unlink()
    assert machine.step("prepare", "--platforms", "linux/amd64") is ExitCode.PLATFORM_FAILED
    assert capfd.readouterr().err.startswith("image: docker buildx create cannot be started: ")


def test_a_program_that_hangs_is_ended(
    machine: Machine, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry that does not answer ends the step at its deadline, by a sentence."""
    (machine.root / "bin" / "docker").write_text(f"#!{sys.executable}\nimport signal\nsignal.pause()\n")
    monkeypatch.setattr(programs, "ASK_DEADLINE_S", 0.5)
    assert machine.step("base") is ExitCode.PLATFORM_FAILED
    assert "had not ended after" in capfd.readouterr().err
