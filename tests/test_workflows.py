"""The workflows: what they may do, what they are made of, and that each step of theirs is a tested script."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from mlflow_backend import targets
from mlflow_backend.aws.permissions import Purpose, subjects
from mlflow_backend.settings import YamlSource, load
from scripts.ci import image
from tests.tools.projects import ROOT

FOLDER = ROOT / ".github" / "workflows"
ALL = sorted(path.name for path in FOLDER.glob("*.yml"))
OURS = ("deploy.yml", "preview.yml", "rollback.yml", "tests.yml")
"""Those that enter a cloud by OIDC alone. image.yml may push to a registry that has no OIDC, with its password."""

CALL = re.compile(r"make [a-z-]+|\.ci/run|(?:python3|\.venv/bin/python) -m (scripts(?:\.\w+)+)(?: [^;&|<>`]*)?")
IDENTITY = re.compile(r"vars\.(\w+_(?:ROLE|ACCOUNT))")
PIN = re.compile(r"^\s*-? *uses: (\S+)@([0-9a-f]{40}) # v\d+\.\d+\.\d+$")


def workflow(name: str) -> dict[Any, Any]:
    """One workflow, parsed."""
    parsed: dict[Any, Any] = yaml.safe_load((FOLDER / name).read_text())
    return parsed


def steps(name: str) -> list[dict[str, Any]]:
    """Every step of a workflow."""
    return [step for job in workflow(name)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("name", ALL)
def test_every_action_is_pinned_by_commit(name: str) -> None:
    """A tag can be moved by whoever takes over the action's repository; the version stands beside it for people."""
    for line in (FOLDER / name).read_text().splitlines():
        if re.search(r"\buses:", line):
            assert PIN.match(line), line


def test_one_action_has_one_pin_here() -> None:
    """Two pins of the same version, of which one is wrong, would be seen by nobody."""
    pins: dict[str, str] = {}
    for name in ALL:
        for line in (FOLDER / name).read_text().splitlines():
            if match := PIN.match(line):
                assert pins.setdefault(match[1], match[2]) == match[2], line


@pytest.mark.parametrize("name", ALL)
def test_a_step_is_one_call_of_a_tested_script(name: str) -> None:
    """What stands in a workflow runs nowhere else; what stands in a script is tested."""
    for step in steps(name):
        if "run" in step:
            match = CALL.fullmatch(step["run"])
            assert match, step["run"]
            if match[1]:
                module = match[1].split(".")
                assert ROOT.joinpath(*module).with_suffix(".py").exists()
                assert (ROOT / "tests" / "scripts" / "ci" / f"test_ci_{module[-1]}.py").exists()


@pytest.mark.parametrize("name", ALL)
def test_a_step_is_never_made_of_what_somebody_typed(name: str) -> None:
    """An expression in a script is text before it is shell: values go through the environment."""
    for step in steps(name):
        assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("name", ALL)
def test_rights_are_given_job_by_job(name: str) -> None:
    """The workflow has none, and no job writes to the repository."""
    parsed = workflow(name)
    assert parsed["permissions"] == {}
    for job in parsed["jobs"].values():
        assert job["permissions"].get("contents") == "read"
        assert set(job["permissions"]) <= {"contents", "id-token", "pull-requests", "attestations", "packages"}
        assert job["timeout-minutes"] <= 120


@pytest.mark.parametrize("name", OURS)
def test_no_long_lived_secret_is_used(name: str) -> None:
    """The cloud is entered by an OIDC token; nothing that could be stolen is stored at GitHub."""
    text = (FOLDER / name).read_text()
    assert "secrets." not in text
    assert "access-key" not in text


def test_a_fork_gets_nothing() -> None:
    """Code of a stranger never runs with our role; `pull_request_target` would give it."""
    assert set(workflow("preview.yml")[True]) == {"pull_request"}
    jobs = workflow("preview.yml")["jobs"]
    assert jobs["affected"]["if"] == "github.event.pull_request.head.repo.full_name == github.repository"
    assert jobs["preview"]["needs"] == "affected"
    for name in ALL:
        assert "pull_request_target" not in (FOLDER / name).read_text()
        assert "workflow_run" not in (FOLDER / name).read_text()


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("deploy.yml", "AWS_DEPLOY_ROLE"),
        ("deploy.yml", "GCP_DEPLOY_ACCOUNT"),
        ("rollback.yml", "AWS_ROLLBACK_ROLE"),
        ("rollback.yml", "GCP_ROLLBACK_ACCOUNT"),
    ],
)
def test_what_changes_a_stack_is_approved_and_alone(name: str, role: str) -> None:
    """An environment stands before it, and no update and rollback of one stack run at once or are cancelled."""
    acting = [
        job for job in workflow(name)["jobs"].values() if not str(job.get("environment", "-plan")).endswith("-plan")
    ]
    assert len(acting) == 1
    (job,) = acting
    assert job["concurrency"]["group"] == f"update-{job['environment']}"
    assert job["concurrency"]["cancel-in-progress"] is False
    assert (FOLDER / name).read_text().count(f"vars.{role}") == str(job).count(f"vars.{role}") > 0


def test_a_plan_has_a_role_that_serves_nothing() -> None:
    """Before the approval a job has the role that reads and asks the database, by an environment of its own."""
    plan = workflow("rollback.yml")["jobs"]["plan"]
    assert plan["environment"] == "${{ inputs.stack }}-plan"
    assert set(IDENTITY.findall(str(plan))) == {"AWS_PLAN_ROLE", "GCP_PLAN_ACCOUNT"}
    assert subjects("ORG/REPO", Purpose.PLAN, "dev") == ("repo:ORG/REPO:environment:dev-plan",)


@pytest.mark.parametrize("name", ["deploy.yml", "rollback.yml"])
def test_a_login_is_made_only_with_its_own_identity(name: str) -> None:
    """Without the variable of its cloud a step would fail the stacks of the other one."""
    for job in workflow(name)["jobs"].values():
        logins = [each for each in job["steps"] if each.get("uses", "").startswith(("aws-actions/", "google-github"))]
        for step in logins:
            (variable,) = IDENTITY.findall(str(step["with"]))
            assert step["if"] == f"vars.{variable} != ''"


def test_a_pull_request_meets_no_secret_of_google_cloud() -> None:
    """A preview there reads the values of secrets, and a pull request runs its own code: only AWS's are previewed."""
    assert "google-github-actions" not in (FOLDER / "preview.yml").read_text()
    (found,) = [step["run"] for step in steps("preview.yml") if "scripts.ci.affected" in step.get("run", "")]
    assert found.endswith("--platform aws")


def test_a_rollback_is_planned_first_and_has_a_reason() -> None:
    """The default makes nothing but the plan, and a reason has to be given."""
    parsed = workflow("rollback.yml")
    inputs = parsed[True]["workflow_dispatch"]["inputs"]
    assert inputs["reason"]["required"] is True
    assert inputs["dry-run"]["default"] is True
    assert parsed["jobs"]["rollback"]["needs"] == "plan"
    assert parsed["jobs"]["rollback"]["if"] == "${{ !inputs.dry-run }}"
    assert any("--dry-run" in step.get("run", "") for step in parsed["jobs"]["plan"]["steps"])


def test_the_stacks_that_can_be_chosen_are_those_that_ship() -> None:
    """A stack that is missing in the form could not be rolled back at night. The workflows log in to two clouds."""
    stacks = {
        path.name.split(".")[1]
        for path in ROOT.glob("Pulumi.*.yaml")
        if targets.get(load(YamlSource.read(path)).target).platforms & {"aws", "gcp"}
    }
    for name in ("deploy.yml", "rollback.yml"):
        assert set(workflow(name)[True]["workflow_dispatch"]["inputs"]["stack"]["options"]) == stacks


@pytest.mark.parametrize("name", ALL)
def test_who_may_take_our_identity_runs_no_strangers_code(name: str) -> None:
    """A scanner beside the right to log in could push what it was asked to judge."""
    for job in workflow(name)["jobs"].values():
        if job["permissions"].get("id-token") == "write":
            used = {step["uses"].partition("/")[0] for step in job["steps"] if "uses" in step}
            assert used <= {"actions", "aws-actions", "google-github-actions"}


def test_an_image_is_pushed_after_its_scan_and_an_approval() -> None:
    """Each platform is scanned; one job alone can enter a registry, and its environment asks who may."""
    jobs = workflow("image.yml")["jobs"]
    entering = {name for name, job in jobs.items() if "id-token" in job["permissions"] or "secrets." in str(job)}
    assert entering == {"push"}
    assert jobs["push"]["environment"] == "image"
    assert set(jobs["push"]["needs"]) == {"build", "scan"}
    assert jobs["scan"]["strategy"]["matrix"]["platform"] == "${{ fromJSON(needs.build.outputs.platforms) }}"
    scanner = next(step for step in jobs["scan"]["steps"] if "trivy" in step.get("uses", ""))
    assert (scanner["with"]["input"], scanner["with"]["exit-code"]) == (str(image.SCANNED), "1")
    for name in ("scan", "push"):
        assert "needs.build.outputs.digest" in str(jobs[name]["steps"])
