"""Questions to AWS: each one's answer, or why there is none, without anything secret. Every call has a deadline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend.aws.connection import Connection

_DENIED: Final = frozenset({
    "AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation",
    "UnrecognizedClientException", "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId",
})  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Unanswered:
    """A question without an answer. `why` is AWS's code, which holds no secret; its message may hold an ARN.

    `denied` is whether the question was not decided: not allowed, or AWS not reached. Otherwise AWS has answered that
    there is no such thing. `connected` is whether AWS answered at all; if not, `why` is the kind of error.
    """

    why: str
    denied: bool
    connected: bool = True

    def of(self, service: str) -> str:
        """Return why `service` did not answer, as a clause."""
        return f"{service} answered {self.why}" if self.connected else f"{service} cannot be asked ({self.why})"


def asked(operation: Callable[..., Any], *positional: Any, **arguments: Any) -> Any:
    """Return the answer of a boto3 operation, or of a function that asks several, or Unanswered."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as mlflow_backend.aws.clients

    try:
        return operation(*positional, **arguments)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        return Unanswered(why=code, denied=code in _DENIED)
    except BotoCoreError as error:
        # No credentials, no network: the question was not answered, which is neither yes nor no.
        return Unanswered(why=type(error).__name__, denied=True, connected=False)


class Account:
    """The account that a connection leads to, with one client for each service that is asked."""

    def __init__(self, connection: Connection) -> None:
        """Nothing is asked yet."""
        self.connection = connection
        self._clients: dict[str, Any] = {}

    @property
    def region(self) -> str:
        """The region that is asked."""
        return self.connection.region

    def ask(self, service: str, operation: str, **arguments: Any) -> Any:
        """Return the answer of one operation, or Unanswered."""
        return asked(getattr(self.client(service), operation), **arguments)

    def every(self, service: str, operation: str, key: str, **arguments: Any) -> Any:
        """Return what all pages of an operation list under `key`, or Unanswered."""

        def pages() -> list[Any]:
            paginator = self.client(service).get_paginator(operation)
            return [each for page in paginator.paginate(**arguments) for each in page[key]]

        return asked(pages)

    def client(self, service: str) -> Any:
        """Return the client of a service."""
        if service not in self._clients:
            self._clients[service] = self.connection.client(service)
        return self._clients[service]
