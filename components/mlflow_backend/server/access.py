"""Access to a server, as the plugin is configured: MLflow's own users, or API keys that it reads from a secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from mlflow_backend.server import keys

Mode = Literal["none", "basic", "token"]
ADMIN_USER: Final = "admin-user"
ADMIN_PASSWORD: Final = "admin-password"  # noqa: S105 - the name of a secret
# MLflow's own rule (_validate_password in mlflow/utils/validation.py): with less of its administrator's a server ends
# while it starts.
_LEAST_PASSWORD: Final = 12


@dataclass(frozen=True, kw_only=True)
class AccessControl:
    """Who may call a server. No secret is in it.

    `basic`: `admin_password` and `session_key` are names of secrets, `database` is the name of the users' database on
    the server of the tracking database. `token`: `keys` is where the plugin reads the salted hashes of the API keys
    (a path, the ARN of an AWS secret, or `projects/...`), `requests_per_minute` the limit of each key: 0 for none, None
    for the plugin's default, which holds wherever there is a cache.
    """

    mode: Mode = "none"
    admin_user: str = "admin"
    admin_password: str = ADMIN_PASSWORD
    session_key: str = "flask-secret-key"
    database: str = "mlflow_auth"
    keys: str = ""
    requests_per_minute: int | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for keys without a source, and for a limit that no key would have."""
        if self.mode == "token" and not self.keys:
            raise ValueError("access by API keys names where the plugin reads them")
        if self.mode != "token" and self.requests_per_minute:
            raise ValueError("only API keys have a limit of requests per minute")

    @property
    def counts(self) -> bool:
        """Whether the plugin counts in the cache: requests of API keys, or wrong passwords."""
        return self.mode == "basic" or (self.mode == "token" and self.requests_per_minute != 0)


def secret_problem(name: str, value: object) -> str | None:
    """Return what keeps a server from starting with this value of its secret `name`, None if nothing does.

    For values that people put there: all servers read the same one, so a bad one must not come into force. The text
    does not hold the value.
    """
    if name in keys.NAMES:
        return keys.value_problem(name, value)
    if not isinstance(value, str) or not value:
        return f"{name} is no text, or empty"
    return _text_problem(name, value)


def _text_problem(name: str, value: str) -> str | None:
    if not value.isprintable():
        return f"{name} holds a line break or another control character"
    if name == ADMIN_USER and ":" in value:
        return f"{name} holds a colon, which ends the user in HTTP's basic authentication"
    if name == ADMIN_PASSWORD:
        return password_problem(name, value)
    return _ascii_problem(name, value) if name == ADMIN_USER else None


def password_problem(name: str, value: str) -> str | None:
    """Return why MLflow would not take a user's password, None if it does; `name` stands for it in the text."""
    if len(value) < _LEAST_PASSWORD:
        return f"{name} has less than {_LEAST_PASSWORD} characters, and MLflow takes no shorter one"
    return _ascii_problem(name, value)


def _ascii_problem(name: str, value: str) -> str | None:
    # Of one user and password MLflow's clients send Latin-1, and its server reads UTF-8 here and ASCII there.
    if value.isascii():
        return None
    return f"{name} holds a character outside ASCII, with which MLflow lets nobody in everywhere"
