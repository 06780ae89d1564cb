"""Logins of the tests: a store of users in memory, and forms of `Authorization` that are no login."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import Any


def encoded(text: str | bytes) -> str:
    """Return a Basic header of any text."""
    content = text if isinstance(text, bytes) else text.encode()
    return "Basic " + base64.b64encode(content).decode()


#: Forms of `Authorization` that are no login.
FORMS = [
    "", " ", "Basic", "Basic ", "Basic =", "Basic ====", "Basic !!!!", "Basic YQ", "Basic YQ==", "Basic YTpi YTpi",
    "Basic\tYTpi", "BasicYTpi", "Basic:YTpi", "Basic YTpi,Basic YTpi", "Basic " + "A" * 60_000, "A" * 60_000,
    encoded("no-colon"), encoded(":"), encoded(":empty-name"), encoded(b"\xff\xfe:\xff"), encoded("ann\0:x"),
    encoded("ann:x\0"), encoded("ann\n:x"), encoded("a\u2028:x"), encoded("ünï:ünï".encode("latin-1")),
    encoded("ann:\x7f"), encoded("ann:\ud7ff\ufffe"), "Basic \xe9", "Bearer", "Bearer x",
    "bearer YTpi", 'Digest username="a"', "Negotiate YTpi", "NTLM x", "AWS4-HMAC-SHA256 Credential=x", "null",
    "undefined", "{}", '"Basic YTpi"', "Basic  ",
]  # fmt: skip


class Store:
    """MLflow's user store, as far as basic auth uses it; `hashed` counts what would cost 180 ms."""

    def __init__(self) -> None:
        self.passwords, self.hashed = {"ann": "one", "root": "two"}, 0

    def authenticate_user(self, username: str, password: str) -> bool:
        """Return whether the password is right, and count a hash."""
        if username not in self.passwords:
            return False
        self.hashed += 1
        return self.passwords[username] == password

    def get_user(self, username: str) -> Any:
        """Return a user; `root` administers."""
        if username not in self.passwords:
            error = KeyError(username)
            error.error_code = "RESOURCE_DOES_NOT_EXIST"  # type: ignore[attr-defined]
            raise error
        return SimpleNamespace(username=username, is_admin=username == "root")

    def create_user(self, username: str, password: str) -> None:
        """Add a user."""
        self.passwords[username] = password

    def update_user(self, username: str, password: str) -> None:
        """Change a password."""
        self.passwords[username] = password

    def delete_user(self, username: str) -> None:
        """Remove a user."""
        del self.passwords[username]
