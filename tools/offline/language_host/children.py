"""Child processes of the language host: started so that Ctrl-C does not make them noisy, and ended with the host.

It does not know what they run.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.offline.language_host.commands import Command

TERMINATION_GRACE_S = 2.0
"""Seconds between SIGTERM and SIGKILL. The engine itself kills the host's whole process group after 5."""

# The engine ends a plugin by SIGINT to its whole process group. A Python program would answer with the traceback of a
# KeyboardInterrupt in the user's terminal, so children start with SIGINT ignored, which outlives the exec, and the
# host ends them with SIGTERM.
_QUIET = ("/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh")


class Children:
    """The processes that run now."""

    def __init__(self) -> None:
        """Begin with none."""
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._ending = False

    @contextlib.contextmanager
    def started(self, command: Command, *, piped: bool) -> Iterator[subprocess.Popen[bytes]]:
        """The running process; it is ended when the block is left. Unpiped output is the host's own.

        Raises:
            OSError: it cannot be started.
        """
        output = subprocess.PIPE if piped else None
        with self._lock:
            if self._ending:
                message = "the language host is stopping"
                raise OSError(message)
            process = subprocess.Popen(
                (*_QUIET, *command.argv),
                cwd=command.cwd,
                env=dict(command.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
            self._running.add(process)
        try:
            yield process
        finally:
            _end(process)
            with self._lock:
                self._running.discard(process)
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()

    def end_all(self) -> None:
        """End every child, and start no other."""
        with self._lock:
            self._ending = True
            running = list(self._running)
        for process in running:
            process.terminate()
        for process in running:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(TERMINATION_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def read_available(stream: IO[bytes]) -> Iterator[bytes]:
    """What the stream yields as it comes, until its end."""
    # `read1` returns as soon as there is anything: a policy pack's port has to pass on before the pack ends.
    while chunk := stream.read1(65536):  # type: ignore[attr-defined]
        yield chunk
