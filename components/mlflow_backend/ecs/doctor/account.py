"""The AWS account that `doctor` asks, and the one place where its clients are made. Every call has a deadline."""

from __future__ import annotations

from typing import Any

from mlflow_backend.aws.connection import Connection
from mlflow_backend.preflight.asking import asked


class Account:
    """One region of the account that the credentials are for."""

    def __init__(self, region: str) -> None:
        """Nothing is asked yet."""
        self.region = region
        self._clients: dict[str, Any] = {}

    def ask(self, service: str, operation: str, **arguments: Any) -> Any:
        """Return the answer of one operation, or preflight's Unanswered."""
        return asked(getattr(self._client(service), operation), **arguments)

    def every(self, service: str, operation: str, key: str, **arguments: Any) -> Any:
        """Return what all pages of an operation list under `key`, or preflight's Unanswered."""

        def pages() -> list[Any]:
            paginator = self._client(service).get_paginator(operation)
            return [each for page in paginator.paginate(**arguments) for each in page[key]]

        return asked(pages)

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = Connection(self.region).client(service)
        return self._clients[service]
