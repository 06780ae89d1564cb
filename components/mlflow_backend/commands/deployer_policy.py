"""Print what the roles of GitHub's workflows may do with a stack on AWS, and which workflow may take them.

The permissions are rendered from the stack's settings: exact ARNs, and tags if AWS draws the name. Print them again
when the settings change, and put them in force before the update.

Exit codes: 0 printed; 2 usage or settings; 3 the stack is not on AWS.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_backend.aws.permissions import Purpose, RolesOnAws
from mlflow_backend.commands.command import ended
from mlflow_backend.commands.stacks import Stack
from mlflow_backend.contract import ExitCode, Refused, UsageError

if TYPE_CHECKING:
    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.permissions import Grant
    from mlflow_backend.settings import Settings


def main(arguments: list[str] | None = None, *, root: Path | None = None) -> int:
    """Run the command; returns an exit code of `contract.ExitCode`."""
    root = root or Path.cwd()
    parser = argparse.ArgumentParser(prog="scripts/deployer_policy.py", description=__doc__)
    parser.add_argument("--stack", required=True, help="the stack, of a target on AWS")
    parser.add_argument(
        "--for",
        dest="purpose",
        required=True,
        type=Purpose,
        choices=list(Purpose),
        help="preview: of pull requests; plan: of a rollback, before its approval; rollback; deploy; image: pushes",
    )
    parser.add_argument("--repository", default="ORG/REPO", help="the GitHub repository (default: ORG/REPO)")
    parser.add_argument("--state", metavar="ADDRESS", help="where Pulumi keeps the stacks, such as s3://BUCKET")
    parser.add_argument("--state-key", metavar="ARN", help="the KMS key that encrypts the stacks' secrets")
    parser.add_argument(
        "--format",
        default="iam",
        choices=["iam", "pulumi"],
        help="iam: the role's name, trust and policies (default); pulumi: the same as a Pulumi program's resources "
        "(YAML), in JSON",
    )
    options = parser.parse_args(arguments)
    return ended("deployer_policy", partial(_print, options, root), options)


def _print(options: argparse.Namespace, root: Path) -> ExitCode:
    from mlflow_backend.aws.permissions import PulumiState  # noqa: PLC0415 - settings only if they are needed

    stack = Stack(options.stack, root)
    target = stack.target
    if not isinstance(target, RolesOnAws):
        raise Refused(
            f"The stack {options.stack} is of the target {target.name}, which is not on AWS.",
            code="stack-of-another-target",
            fix="Name one that is.",
        )
    settings = stack.settings
    try:
        state = PulumiState.at(options.state, key=options.state_key) if options.state else None
    except ValueError as error:
        raise UsageError(
            f"--state: {error}.", code="state-option-malformed", fix="Name the bucket as `pulumi login` takes it."
        ) from None
    naming, found = target.grants(
        settings, project=stack.project, stack=stack.name, purpose=options.purpose, state=state
    )
    role = _role(naming, found, options)
    for warning in _warnings(settings, options, state):
        print(f"deployer_policy: {warning}", file=sys.stderr)
    print(json.dumps(role if options.format == "iam" else _program(role), indent=2))
    return ExitCode.DONE


def _role(naming: Naming, found: tuple[Grant, ...], options: argparse.Namespace) -> dict[str, Any]:
    from mlflow_backend.aws.permissions import policies, role_name, subjects, trust  # noqa: PLC0415

    purpose: Purpose = options.purpose
    if not found:
        raise Refused(
            f"There is nothing to permit for {purpose}: server.image is in no repository of ECR.",
            code="image-not-in-ecr",
            fix="Push to that registry with its own credentials.",
        )
    return {
        "name": role_name(naming, purpose),
        "maxSessionSeconds": 7200 if purpose in {Purpose.DEPLOY, Purpose.ROLLBACK} else 3600,
        "trust": trust(naming, subjects(options.repository, purpose, naming.stack)),
        "policies": list(policies(found)),
    }


def _warnings(settings: Settings, options: argparse.Namespace, state: Any) -> list[str]:
    purpose: Purpose = options.purpose
    found = []
    if purpose is Purpose.DEPLOY and settings.aws.permissions_boundary is None:
        found.append(
            "aws.permissionsBoundary is not set: whoever deploys can give the tasks' roles any permission. Set it to a "
            "policy of the account, and print this again."
        )
    if purpose in {Purpose.DEPLOY, Purpose.PREVIEW}:
        found += [] if state else ["--state is not given: the role may not read Pulumi's state."]
        found += (
            [] if options.state_key or not state else ["--state-key is not given: Pulumi opens no stack without it."]
        )
    return found


def _program(role: dict[str, Any]) -> dict[str, Any]:
    """Return the role as the resources of a Pulumi YAML program: `Pulumi.yaml` may be JSON, which is YAML."""
    name = role["name"]
    resources: dict[str, Any] = {
        name: {
            "type": "aws:iam:Role",
            "properties": {
                "name": name,
                "assumeRolePolicy": json.dumps(role["trust"]),
                "maxSessionDuration": role["maxSessionSeconds"],
            },
        }
    }
    for number, policy in enumerate(role["policies"], start=1):
        each = f"{name}-{number}"
        resources[each] = {"type": "aws:iam:Policy", "properties": {"name": each, "policy": json.dumps(policy)}}
        resources[f"{each}-attached"] = {
            "type": "aws:iam:RolePolicyAttachment",
            "properties": {"role": f"${{{name}.name}}", "policyArn": f"${{{each}.arn}}"},
        }
    return {"resources": resources}


if __name__ == "__main__":
    sys.exit(main())
