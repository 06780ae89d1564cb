"""What the roles of GitHub's workflows are printed as: IAM's own documents, within IAM's limits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from mlflow_backend.aws.permissions import Purpose
from mlflow_backend.aws.permissions.documents import LARGEST_POLICY, MOST_POLICIES, policies, size
from mlflow_backend.aws.permissions.grant import Grant
from mlflow_backend.commands import deployer_policy
from mlflow_backend.contract import ExitCode, Refused
from tests.components.ecs.stacks import VARIANTS, naming_of, settings_of
from tests.tools.projects import ROOT

if TYPE_CHECKING:
    from pathlib import Path

BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"
STATE = ("--state", "s3://team-state", "--state-key", "arn:aws:kms:eu-west-1:123456789012:key/state")


def printed(capsys: pytest.CaptureFixture[str], purpose: str, *more: str, root: Path = ROOT) -> Any:
    """Return what the command prints for a purpose of `staging`."""
    code = deployer_policy.main(["--stack", "staging", "--for", purpose, *STATE, *more], root=root)
    assert code == ExitCode.DONE
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("purpose", Purpose)
def test_iam_takes_what_is_printed(capsys: pytest.CaptureFixture[str], purpose: str) -> None:
    """Each policy is within IAM's size, and all are as many as a role may have."""
    role = printed(capsys, purpose)
    assert 0 < len(role["policies"]) <= MOST_POLICIES
    assert all(size(each) <= LARGEST_POLICY for each in role["policies"])
    sids = [statement["Sid"] for each in role["policies"] for statement in each["Statement"]]
    assert len(set(sids)) == len(sids)


def test_a_stack_on_eks_has_roles_too(capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed is of the stack's own target."""
    assert deployer_policy.main(["--stack", "eks", "--for", "deploy", *STATE]) == ExitCode.DONE
    printed = json.loads(capsys.readouterr().out)
    assert "eks:CreateCluster" in str(printed["policies"])
    assert "ecs:" not in str(printed["policies"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_stack_fits(variant: str) -> None:
    """No setting makes more of a role than IAM takes."""
    from mlflow_backend.ecs.permissions import grants  # noqa: PLC0415 - beside its one use

    for purpose in Purpose:
        policies(grants(settings_of(variant), naming_of(variant), purpose))


def test_what_does_not_fit_is_refused() -> None:
    """A statement that is too long by itself cannot be split."""
    resources = tuple(f"arn:aws:s3:::{number:060}" for number in range(100))
    with pytest.raises(Refused, match="Long"):
        policies([Grant(sid="Long", purposes=frozenset(), actions=("s3:GetObject",), resources=resources)])


@pytest.mark.parametrize(
    ("purpose", "subject"),
    [
        ("preview", "pull_request"), ("plan", "environment:staging-plan"), ("rollback", "environment:staging"),
        ("deploy", "environment:staging"), ("image", "environment:image"),
    ],
)  # fmt: skip
def test_a_role_trusts_one_kind_of_job(capsys: pytest.CaptureFixture[str], purpose: str, subject: str) -> None:
    """Another branch, environment or repository is never let in: audience and subject are compared whole."""
    (statement,) = printed(capsys, purpose, "--repository", "team/mlflow")["trust"]["Statement"]
    assert statement["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": f"repo:team/mlflow:{subject}",
        }
    }
    assert statement["Principal"]["Federated"].endswith(":oidc-provider/token.actions.githubusercontent.com")


def test_the_same_as_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    """A Pulumi program of the role attaches each policy to it."""
    role, program = printed(capsys, "deploy"), printed(capsys, "deploy", "--format", "pulumi")["resources"]
    kinds = [each["type"] for each in program.values()]
    assert kinds.count("aws:iam:Role") == 1
    assert kinds.count("aws:iam:Policy") == kinds.count("aws:iam:RolePolicyAttachment") == len(role["policies"])
    made = [json.loads(each["properties"]["policy"]) for each in program.values() if each["type"] == "aws:iam:Policy"]
    assert made == role["policies"]


def test_a_boundary_is_a_condition(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """No role is made and no policy put without the boundary, and it cannot be taken away."""
    config = yaml.safe_load((ROOT / "Pulumi.staging.yaml").read_text(encoding="utf-8"))
    config["config"]["mlflow-backend:aws"]["permissionsBoundary"] = BOUNDARY
    (tmp_path / "Pulumi.staging.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (tmp_path / "Pulumi.yaml").write_text("name: mlflow-backend\n", encoding="utf-8")
    statements = [
        statement
        for policy in printed(capsys, "deploy", root=tmp_path)["policies"]
        for statement in policy["Statement"]
    ]
    bound = {"StringEquals": {"iam:PermissionsBoundary": BOUNDARY}}
    for action in ("iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"):
        assert [each["Condition"] for each in statements if action in each["Action"]] == [bound]
    granted = {action for each in statements for action in each["Action"]}
    assert not granted & {"iam:AttachRolePolicy", "iam:DeleteRolePermissionsBoundary", "iam:CreatePolicy"}
    assert all(
        "iam:PassedToService" in str(each["Condition"]) for each in statements if "iam:PassRole" in each["Action"]
    )


def test_without_a_boundary_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """A deployer who may give any permission is never printed in silence."""
    assert deployer_policy.main(["--stack", "staging", "--for", "deploy", *STATE]) == ExitCode.DONE
    assert "aws.permissionsBoundary" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--stack", "local", "--for", "deploy"], ExitCode.REFUSED),
        (["--stack", "staging", "--for", "deploy", "--state", "file://x"], ExitCode.USAGE),
    ],
)
def test_what_cannot_be_is_refused(arguments: list[str], code: ExitCode) -> None:
    """A stack of another target has no roles, and a state elsewhere no bucket."""
    assert deployer_policy.main(arguments) == code
