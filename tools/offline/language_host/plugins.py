"""A plugin's or policy pack's life: started, its output passed on as it comes, ended with the engine's call."""

from __future__ import annotations

import queue
import threading
from dataclasses import replace
from typing import IO, TYPE_CHECKING

from pulumi.runtime.proto import language_pb2

from tools.offline.language_host import commands
from tools.offline.language_host.children import read_available
from tools.offline.language_host.policy_proxy import PolicyProxy

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    import grpc
    from google.protobuf.message import Message

    from tools.offline.language_host.children import Children

_ENDED = None
"""What a pump puts into the queue when its stream has ended."""


def run(request: language_pb2.RunPluginRequest, context: grpc.ServicerContext, children: Children) -> Iterator[Message]:
    """The responses of one `RunPlugin` call: output chunks, then the exit code.

    Raises:
        UnsuitableInterpreterError: the plugin names an environment that is not there.
        OSError: it cannot be started.
    """
    command = commands.plugin_command(request)
    if request.kind != "analyzer":
        yield from _stream(command, context, children, None)
        return
    with PolicyProxy() as proxy:
        yield language_pb2.RunPluginResponse(stdout=f"{proxy.port}\n".encode())
        described = proxy.await_configuration(while_true=context.is_active)
        environment = {**command.environment, **commands.policy_environment(described)}
        if context.is_active():
            yield from _stream(replace(command, environment=environment), context, children, proxy)


def _stream(
    command: commands.Command, context: grpc.ServicerContext, children: Children, proxy: PolicyProxy | None
) -> Iterator[Message]:
    chunks: queue.Queue[Message | None] = queue.Queue()
    with children.started(command, piped=True) as process:
        # The engine stops a plugin by letting go of the call; a callback that comes too late is refused.
        if not context.add_callback(process.terminate):
            return
        pumps = [
            threading.Thread(target=_pump_out, args=(process, chunks, proxy), daemon=True),
            threading.Thread(target=_pump_error, args=(process, chunks), daemon=True),
        ]
        for pump in pumps:
            pump.start()
        ended = 0
        while ended < len(pumps):
            chunk = chunks.get()
            if chunk is _ENDED:
                ended += 1
            else:
                yield chunk
        yield language_pb2.RunPluginResponse(exitcode=process.wait())


def _pump_out(process: subprocess.Popen[bytes], chunks: queue.Queue[Message | None], proxy: PolicyProxy | None) -> None:
    stream = _opened(process.stdout)
    if proxy is not None:
        _attach(proxy, stream.readline())
    for chunk in read_available(stream):
        chunks.put(language_pb2.RunPluginResponse(stdout=chunk))
    chunks.put(_ENDED)


def _pump_error(process: subprocess.Popen[bytes], chunks: queue.Queue[Message | None]) -> None:
    for chunk in read_available(_opened(process.stderr)):
        chunks.put(language_pb2.RunPluginResponse(stderr=chunk))
    chunks.put(_ENDED)


def _attach(proxy: PolicyProxy, line: bytes) -> None:
    try:
        proxy.pack_started(int(line))
    except ValueError:
        proxy.pack_failed("it printed no port before it ended" if not line else "its first line is not a port")


def _opened(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        message = "the process was started without pipes"
        raise ValueError(message)
    return stream
