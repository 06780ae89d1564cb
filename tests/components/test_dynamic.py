"""Errors of dynamic providers are told once."""

from __future__ import annotations

import logging

from components.dynamic import tell_once


class Told(Exception):
    """An error meant for people."""


def record_of(error: Exception) -> logging.LogRecord:
    """Return what grpc logs for an exception of a provider."""
    return logging.makeLogRecord({"name": "grpc._server", "exc_info": (type(error), error, None)})


def test_the_traceback_of_a_told_error_is_not_logged_and_others_are() -> None:
    """The engine prints a provider's log below its message: an unforeseen error keeps its traceback there."""
    logger = logging.getLogger("grpc._server")
    before = list(logger.filters)
    try:
        tell_once(Told)
        tell_once(Told)
        assert len(logger.filters) == len(before) + 1
        assert not logger.filter(record_of(Told()))
        assert logger.filter(record_of(ValueError()))
    finally:
        logger.filters[:] = before
