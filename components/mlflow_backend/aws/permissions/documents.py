"""Grants as IAM takes them: managed policies within its limits, and trust documents for GitHub's workflows. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.permissions.grant import Purpose
from mlflow_backend.contract import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.permissions.grant import Grant

LARGEST_POLICY: Final = 6144
"""Characters of one managed policy, white space not counted (IAM user guide, 'IAM and AWS STS quotas')."""
MOST_POLICIES: Final = 10
"""Managed policies that a role may have by default (the same page; an account can ask for more)."""
ISSUER: Final = "token.actions.githubusercontent.com"
AUDIENCE: Final = "sts.amazonaws.com"

Document = dict[str, Any]


def policies(grants: Sequence[Grant]) -> tuple[Document, ...]:
    """Return grants as managed policies, in their order, each as full as IAM allows.

    Raises Refused when one grant, or all together, are more than a role can have.
    """
    found: list[list[Document]] = [[]]
    for grant in grants:
        statement = grant.statement()
        if size(_document([statement])) > LARGEST_POLICY:
            raise Refused(
                f"{grant.sid} alone has {size(_document([statement]))} characters of {LARGEST_POLICY}",
                code="policy-too-large",
                fix="Shorten the names of project and stack.",
            )
        if size(_document([*found[-1], statement])) > LARGEST_POLICY:
            found.append([])
        found[-1].append(statement)
    if len(found) > MOST_POLICIES:
        raise Refused(
            f"{len(found)} policies are needed, and a role may have {MOST_POLICIES}",
            code="policies-too-many",
            fix="Shorten the names of project and stack.",
        )
    return tuple(_document(each) for each in found)


def size(document: Document) -> int:
    """Return how many characters IAM counts of a document."""
    return len("".join(json.dumps(document).split()))


def subjects(repository: str, purpose: Purpose, stack: str) -> tuple[str, ...]:
    """Return which workflows of a GitHub repository (`ORG/REPO`) take the role of a purpose, by their token's subject.

    What changes anything runs in an environment, so that its reviewers and its branches are asked first. A job in an
    environment has that subject whatever started it (GitHub documentation, 'OpenID Connect reference').
    """
    named = {
        Purpose.PREVIEW: "pull_request",
        Purpose.PLAN: f"environment:{stack}-plan",
        Purpose.ROLLBACK: f"environment:{stack}",
        Purpose.DEPLOY: f"environment:{stack}",
        Purpose.IMAGE: "environment:image",
    }
    return (f"repo:{repository}:{named[purpose]}",)


def trust(naming: Naming, subjects: Sequence[str]) -> Document:
    """Return the trust document of a role that workflows with these subjects take."""
    return _document(
        [
            {
                "Sid": "WorkflowsOfThisRepository",
                "Effect": "Allow",
                "Principal": {"Federated": naming.global_arn("iam", f"oidc-provider/{ISSUER}")},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {
                    "StringEquals": {
                        f"{ISSUER}:aud": AUDIENCE,
                        f"{ISSUER}:sub": subjects[0] if len(subjects) == 1 else list(subjects),
                    }
                },
            }
        ]
    )


def _document(statements: Sequence[Document]) -> Document:
    return {"Version": "2012-10-17", "Statement": list(statements)}
