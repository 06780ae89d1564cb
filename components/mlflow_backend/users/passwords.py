"""The passwords of the settings' users, by their references."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import Refused
from mlflow_backend.server import password_problem
from mlflow_backend.verify import credentials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.settings.users import User

_OF_THIS_MACHINE: Final = ("env:", "file:")


def password_of(name: str, reference: str, readers: credentials.Readers | None = None) -> str:
    """Return a user's password by its reference. Raises Refused for one that MLflow would not take."""
    value = credentials.read_reference(f"access.users.{name}.password", reference, readers)
    if finding := password_problem("the password", value):
        raise Refused(
            finding, code="users-password-refused", fix="Set another one", part=f"access.users.{name}.password"
        )
    return value


def refuse_missing(users: Mapping[str, User]) -> None:
    """Raise Refused for a password that this machine should have and has not; a platform's own are not looked at."""
    for name, user in users.items():
        if user.password.startswith(_OF_THIS_MACHINE):
            password_of(name, user.password)
