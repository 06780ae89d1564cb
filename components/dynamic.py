"""What dynamic providers share: an error that is meant for people is told once, without grpc's traceback."""

from __future__ import annotations

import logging
from dataclasses import dataclass


def tell_once(error: type[Exception]) -> None:
    """Keep grpc from logging errors of this type.

    It logs a provider's exception with its traceback, and the engine prints that below the message that it got.
    """
    # An equal filter is not added again.
    logging.getLogger("grpc._server").addFilter(_Without(error))


@dataclass(frozen=True)
class _Without(logging.Filter):
    error: type[Exception]

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], self.error))
