"""The IAM roles of a backend's pods, one for each service account that asks anything of AWS. Pure."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mlflow_backend.aws.render import policies
from mlflow_backend.aws.render.roles import Role
from mlflow_backend.kubernetes.naming import SERVER, TASKS, VERIFY

if TYPE_CHECKING:
    from mlflow_backend.aws.naming import Naming


def roles(naming: Naming) -> tuple[Role, ...]:
    """Return the roles by their account: the server's, the database tool's, and the verification's."""
    return tuple(
        Role(part=part, given=("store",), document=partial(document, naming))
        for part, document in (
            (SERVER, policies.server),
            (TASKS, policies.database_tasks),
            (VERIFY, policies.verify_task),
        )
    )
