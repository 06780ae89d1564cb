"""What the roles of the backend's tasks may do, by part, once AWS has given the values that their documents name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pulumi

from mlflow_backend.ecs.render.roles import roles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.policies import Document
    from mlflow_backend.ecs.render.roles import Role
    from mlflow_backend.settings import Settings


def documents(settings: Settings, naming: Naming, given: Mapping[str, Any]) -> dict[str, pulumi.Output[Document]]:
    """Return each role's document; `given` are the values that render.roles.Role names."""
    return {
        role.part: pulumi.Output.all(**{name: given[name] for name in role.given}).apply(partial(_document, role))
        for role in roles(settings, naming)
    }


def _document(role: Role, found: dict[str, Any]) -> Document:
    return role.document(**found)
