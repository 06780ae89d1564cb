"""IAM roles of a backend as one component. Owns the wiring; the documents are its caller's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from mlflow_backend.aws.render import policies
from mlflow_backend.tokens import AWS_IDENTITY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.aws.render.policies import Document
    from mlflow_backend.aws.scope import Scope


class Identity(pulumi.ComponentResource):
    """Roles, each with one policy.

    Attributes: `roles` by part; `attached`, their policies; `documents`, what those say.
    """

    def __init__(
        self,
        name: str,
        scope: Scope,
        *,
        trust: Document,
        documents: Mapping[str, pulumi.Output[Document]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Take who may take the roles, and what each may do, by part."""
        super().__init__(AWS_IDENTITY, name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.roles: dict[str, aws.iam.Role] = {}
        self.attached: list[aws.iam.RolePolicy] = []
        texts = {part: document.apply(policies.text) for part, document in documents.items()}
        for part, text in texts.items():
            role = aws.iam.Role(
                f"{name}-{part}",
                name=scope.naming.role(part),
                assume_role_policy=policies.text(trust),
                permissions_boundary=scope.settings.aws.permissions_boundary,
                opts=child,
            )
            self.roles[part] = role
            self.attached.append(aws.iam.RolePolicy(f"{name}-{part}", role=role.name, policy=text, opts=child))
        self.documents = pulumi.Output.all(*texts.values())
        self.register_outputs({part: role.arn for part, role in self.roles.items()})
