"""Who may call a server, and how the plugin is told: MLflow's own users, or API keys that it reads from a secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mode = Literal["none", "basic", "token"]


@dataclass(frozen=True, kw_only=True)
class AccessControl:
    """Who may call a server. No secret is in it.

    `basic`: `admin_password` and `session_key` are names of secrets, `database` is the name of the users' database on
    the server of the tracking database. `token`: `keys` is where the plugin reads the salted hashes of the API keys
    (a path, the ARN of an AWS secret, or `projects/...`), `requests_per_minute` the limit of each key, 0 for none.
    """

    mode: Mode = "none"
    admin_user: str = "admin"
    admin_password: str = "admin-password"  # noqa: S105 - the name of a secret
    session_key: str = "flask-secret-key"
    database: str = "mlflow_auth"
    keys: str = ""
    requests_per_minute: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError for keys that nobody says the place of, and for a limit that no key would have."""
        if self.mode == "token" and not self.keys:
            raise ValueError("access by API keys names where the plugin reads them")
        if self.mode != "token" and self.requests_per_minute:
            raise ValueError("only API keys have a limit of requests per minute")
