"""One question to AWS for a check: its answer, or why there is none, without anything secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_DENIED: Final = frozenset({
    "AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation",
    "UnrecognizedClientException", "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId",
})  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Unanswered:
    """A question without an answer. `why` is AWS's code, which holds no secret; its message may hold an ARN.

    `denied` is whether the question was not judged: not allowed, or AWS not reached. Otherwise AWS has answered that
    there is no such thing.
    """

    why: str
    denied: bool


def asked(operation: Callable[..., Any], **arguments: Any) -> Any:
    """Return the answer of a boto3 operation, or Unanswered."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as mlflow_backend.aws.clients

    try:
        return operation(**arguments)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        return Unanswered(why=code, denied=code in _DENIED)
    except BotoCoreError as error:
        # No credentials, no network: the question was not answered, which is neither yes nor no.
        return Unanswered(why=type(error).__name__, denied=True)
