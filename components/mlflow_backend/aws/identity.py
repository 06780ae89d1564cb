"""IAM roles of a backend as one component. Owns the wiring; the documents are its caller's."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_aws as aws

from mlflow_backend.aws.render import policies
from mlflow_backend.tokens import AWS_IDENTITY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.aws.render.policies import Document
    from mlflow_backend.aws.render.roles import Role
    from mlflow_backend.aws.scope import Scope


class Identity(pulumi.ComponentResource):
    """Roles, each with one policy.

    Attributes: `roles` by part; `attached`, their policies; `documents`, what those say.
    """

    def __init__(  # noqa: PLR0913 - what the roles are made of, by name
        self,
        name: str,
        scope: Scope,
        *,
        trust: Document,
        roles: Sequence[Role],
        given: Mapping[str, Any],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Take who may take the roles, the roles, and the values that their documents name (render.roles.Role)."""
        super().__init__(AWS_IDENTITY, name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.roles: dict[str, aws.iam.Role] = {}
        self.attached: list[aws.iam.RolePolicy] = []
        texts = {
            role.part: pulumi.Output.all(**{each: given[each] for each in role.given}).apply(partial(_text, role))
            for role in roles
        }
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


def _text(role: Role, found: Mapping[str, Any]) -> str:
    return policies.text(role.written(found))
