"""IAM roles of a backend as one component. Owns the wiring; the documents are its caller's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from mlflow_backend.aws.render import policies
from mlflow_backend.tokens import AWS_IDENTITY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.policies import Document


class Identity(pulumi.ComponentResource):
    """Roles, each with one policy.

    Attributes: `roles` by part; `attached`, their policies; `documents`, what those say.
    """

    def __init__(  # noqa: PLR0913 - what roles are made of, by name
        self,
        name: str,
        *,
        naming: Naming,
        trust: Document,
        documents: Mapping[str, pulumi.Output[Document]],
        boundary: str | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Take who may take the roles, what each may do, by part, and the ARN of a permissions boundary."""
        super().__init__(AWS_IDENTITY, name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.roles: dict[str, aws.iam.Role] = {}
        self.attached: list[aws.iam.RolePolicy] = []
        texts = {part: document.apply(policies.text) for part, document in documents.items()}
        for part, text in texts.items():
            role = aws.iam.Role(
                f"{name}-{part}",
                name=naming.role(part),
                assume_role_policy=policies.text(trust),
                permissions_boundary=boundary,
                opts=child,
            )
            self.roles[part] = role
            self.attached.append(aws.iam.RolePolicy(f"{name}-{part}", role=role.name, policy=text, opts=child))
        self.documents = pulumi.Output.all(*texts.values())
        self.register_outputs({part: role.arn for part, role in self.roles.items()})
