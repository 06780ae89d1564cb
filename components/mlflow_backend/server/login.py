"""The login that verifications use: one of the users' kind, whose parts are among the server's secrets. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.server.access import ADMIN_PASSWORD, ADMIN_USER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VERIFICATION_KEY: Final = "verification-api-key"

_SECRETS: Final[Mapping[str, Mapping[str, str]]] = {
    "basic": {"username": ADMIN_USER, "password": ADMIN_PASSWORD},
    "token": {"token": VERIFICATION_KEY},
}
"""Mode of access -> part of the login -> the secret that it is."""


def client_variables(access: str) -> dict[str, str]:
    """Return the secret of each variable in which MLflow's own clients look for the login."""
    return {f"MLFLOW_TRACKING_{part.upper()}": secret for part, secret in _SECRETS.get(access, {}).items()}


def variables(access: str) -> dict[str, str]:
    """Return the secret of each variable that a task within the backend's network has the login in."""
    return {_variable(part): secret for part, secret in _SECRETS.get(access, {}).items()}


def references(access: str, reference: Callable[[str], str]) -> dict[str, str]:
    """Return the login by its parts, as a reference to each secret."""
    return {part: reference(secret) for part, secret in _SECRETS.get(access, {}).items()}


def references_inside(access: str) -> dict[str, str]:
    """Return the login by its parts, as references to the variables of a task."""
    return {part: f"env:{_variable(part)}" for part in _SECRETS.get(access, {})}


def _variable(part: str) -> str:
    return f"MLFLOW_BACKEND_PROBE_{part.upper()}"
