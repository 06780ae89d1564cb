"""A group of CloudWatch Logs: what is read of its streams, and written to them.

What is not there is empty: a container that never started wrote nothing, and the lines of old ones have expired.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_logs import CloudWatchLogsClient

_PAGE: Final = 1000
_STREAMS: Final = 50


@dataclass(frozen=True, kw_only=True)
class LogGroup:
    """One group, by its name."""

    client: CloudWatchLogsClient
    name: str

    def last(self, stream: str, *, lines: int) -> list[str]:
        """Return the last lines of a stream, at most 10,000."""
        found = self._ask(self.client.get_log_events, logStreamName=stream, limit=lines, startFromHead=False)
        return [event.get("message", "").rstrip() for event in found.get("events", [])]

    def whole(self, stream: str) -> Iterator[str]:
        """Give every line of a stream, oldest first."""
        more: dict[str, str] = {}
        while True:
            wanted = {"logStreamName": stream, "startFromHead": True, "limit": _PAGE, **more}
            found = self._ask(self.client.get_log_events, **wanted)
            yield from (event.get("message", "") for event in found.get("events", []))
            # The last page gives its own token back (CloudWatch Logs API reference, GetLogEvents).
            if not found.get("events") or found["nextForwardToken"] == more.get("nextToken"):
                return
            more = {"nextToken": found["nextForwardToken"]}

    def newest_streams(self, prefix: str) -> list[str]:
        """Return what follows `prefix` in the names of the streams that were written to last.

        Their order is brought up to date within the hour (CloudWatch Logs API reference, DescribeLogStreams).
        """
        found = self._ask(self.client.describe_log_streams, orderBy="LastEventTime", descending=True, limit=_STREAMS)
        names = [str(stream.get("logStreamName", "")) for stream in found.get("logStreams", [])]
        return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]

    def with_word(self, word: str, *, prefix: str, days: int) -> Iterator[str]:
        """Give the lines of the last days with a word in them, of streams whose names begin with `prefix`."""
        pages = self.client.get_paginator("filter_log_events").paginate(
            logGroupName=self.name,
            logStreamNamePrefix=prefix,
            startTime=int((time.time() - days * 86_400) * 1000),
            filterPattern=word,
        )
        try:
            for page in pages:
                yield from (event.get("message", "") for event in page["events"])
        except self.client.exceptions.ResourceNotFoundException:
            return

    def write(self, stream: str, line: str) -> None:
        """Write a line into a new stream. Raises botocore's errors."""
        self.client.create_log_stream(logGroupName=self.name, logStreamName=stream)
        self.client.put_log_events(
            logGroupName=self.name,
            logStreamName=stream,
            logEvents=[{"timestamp": int(time.time() * 1000), "message": line}],
        )

    def _ask(self, operation: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
        try:
            return dict(operation(logGroupName=self.name, **arguments))
        except self.client.exceptions.ResourceNotFoundException:
            return {}
