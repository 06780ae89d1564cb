"""The steps of the workflow `image`: what each asks of docker, that secrets go by input only, and how each ends."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from components.contract import ExitCode
from scripts.ci import image

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = f"sha256:{'0a' * 32}"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
BASE = "docker.io/library/python:3.12-slim-trixie"
REPOSITORY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mlflow"

STAND_IN = """#!{python}
import json, os, pathlib, sys
root = pathlib.Path({root!r})
name = os.path.basename(sys.argv[0])
given = sys.stdin.read()
with (root / "calls").open("a") as calls:
    calls.write(json.dumps({{"argv": [name, *sys.argv[1:]], "given": given}}) + "\\n")
answers = json.loads((root / "answers.json").read_text())
if "--metadata-file" in sys.argv and "metadata" in answers:
    pathlib.Path(sys.argv[sys.argv.index("--metadata-file") + 1]).write_text(answers["metadata"])
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
        for name in ("docker", "aws", "sudo"):
            path = root / "bin" / name
            path.write_text(STAND_IN.format(python=sys.executable, root=str(root)))
            path.chmod(0o755)
        self.answer()

    def answer(self, **answers: Any) -> None:
        """Set what the programs print (`told`), end with (`codes`) and write (`metadata`)."""
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


@pytest.mark.parametrize("base", [BASE, f"{BASE}@sha256:{'0b' * 32}"])
def test_the_base_is_named_by_the_digest_that_the_registry_tells(machine: Machine, base: str) -> None:
    """What is built is what was resolved, and the arguments are shown to whoever reads the run."""
    machine.answer(told={"docker": json.dumps(DIGEST)})
    assert machine.step("arguments", "--mlflow", "3.17.2", "--base", base, "--commit", COMMIT) is ExitCode.DONE
    written = dict(line.split("=", 1) for line in (machine.root / "arguments").read_text().splitlines())
    assert written["BASE_IMAGE"] == f"{BASE}@{DIGEST}"
    assert (written["MLFLOW_VERSION"], written["SOURCE_REVISION"]) == ("3.17.2", COMMIT)
    assert f"    BASE_IMAGE={BASE}@{DIGEST}" in machine.summary.read_text()


@pytest.mark.parametrize(
    ("mlflow", "answers", "code"),
    [
        ("3.17.2", {"told": {"docker": "null"}}, ExitCode.PLATFORM_FAILED),
        ("3.17.2", {"codes": {"docker": 1}}, ExitCode.PLATFORM_FAILED),
        ("0.0.1", {"told": {"docker": json.dumps(DIGEST)}}, ExitCode.USAGE),
    ],
)
def test_nothing_is_built_of_what_is_not_resolved(
    machine: Machine, mlflow: str, answers: dict[str, Any], code: ExitCode
) -> None:
    """A base that is not found, and a version without a lock, leave no arguments: the next step cannot go on."""
    machine.answer(**answers)
    assert machine.step("arguments", "--mlflow", mlflow, "--base", BASE, "--commit", COMMIT) is code
    assert not (machine.root / "arguments").exists()
    assert machine.step("build", "--platforms", "linux/amd64") is ExitCode.PLATFORM_FAILED


def test_what_is_scanned_is_built_of_the_same_arguments_as_what_is_pushed(machine: Machine) -> None:
    """The scan of another image would say nothing; an argument with spaces stays one argument."""
    (machine.root / "arguments").write_text("A=1\nB=two words\n")
    machine.answer(metadata=json.dumps({"containerimage.digest": DIGEST}))
    both = "linux/arm64,linux/amd64"
    assert machine.step("build", "--platforms", both) is ExitCode.DONE
    told = ("--mlflow", "3.17.2", "--repository", REPOSITORY, "--platforms", both, "--commit", COMMIT)
    assert machine.step("push", *told) is ExitCode.DONE
    scanned, pushed = (call["argv"] for call in machine.calls)
    assert scanned[:6] == pushed[:6]
    assert scanned[4:6] == ["--build-arg=A=1", "--build-arg=B=two words"]
    assert scanned[6:] == ["--platform", "linux/arm64", "--load", "--tag", "scanned:local"]
    assert pushed[6:11] == ["--platform", both, "--push", "--tag", f"{REPOSITORY}:3.17.2-{COMMIT[:12]}"]
    assert f"`{REPOSITORY}@{DIGEST}`" in machine.summary.read_text()


@pytest.mark.parametrize("answers", [{}, {"metadata": "{}"}, {"metadata": "{"}, {"codes": {"docker": 1}}])
def test_a_push_without_a_digest_is_a_failure(machine: Machine, answers: dict[str, Any]) -> None:
    """Nobody is told to deploy what is not known."""
    (machine.root / "arguments").write_text("A=1\n")
    machine.answer(**answers)
    told = ("--mlflow", "3.17.2", "--repository", REPOSITORY, "--platforms", "linux/amd64", "--commit", COMMIT)
    assert machine.step("push", *told) is ExitCode.PLATFORM_FAILED
    assert not machine.summary.exists()


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
    monkeypatch.setattr(image, "ASK_DEADLINE_S", 0.5)
    assert machine.step("arguments", "--mlflow", "3.17.2", "--base", BASE, "--commit", COMMIT) is (
        ExitCode.PLATFORM_FAILED
    )
    assert "had not ended after" in capfd.readouterr().err
