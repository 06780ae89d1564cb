"""The `LanguageRuntime` service itself, and the process that serves it.

What a program needs is decided in `commands`, and processes are kept in `children`; this module answers the engine.
"""

from __future__ import annotations

import argparse
import os
import platform
import select
import signal
import sys
from concurrent import futures
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from tools.offline.language_host import commands, plugins
from tools.offline.language_host.children import Children

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from google.protobuf.message import Message

WORKERS = 32
"""Calls answered at once. A run and each policy pack hold one for as long as they last."""

_LOOKS_FOR_ENGINE_S = 2.0
"""Seconds between two looks for the engine."""


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Answers one engine, whose address is `engine`.

    What is not served here (code generation, packaging, installing) is answered UNIMPLEMENTED by the base class, which
    the engine reports as such.
    """

    def __init__(self, *, engine: str, executor: Path, environment: Mapping[str, str], children: Children) -> None:
        """Serve with the executor at `executor`, in `environment`."""
        self._engine = engine
        self._executor = executor
        self._environment = environment
        self._children = children

    def Handshake(self, request: Message, context: grpc.ServicerContext) -> Message:  # noqa: ARG002, N802
        """Agree to talk; the engine's address is known from the command line."""
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Message, context: grpc.ServicerContext) -> Message:  # noqa: ARG002, N802
        """The SDK's version, as which the engine shows this host."""
        return plugin_pb2.PluginInfo(version=metadata.version("pulumi"))

    def About(self, request: Message, context: grpc.ServicerContext) -> Message:  # noqa: ARG002, N802
        """The interpreter, for `pulumi about`."""
        return language_pb2.AboutResponse(executable=sys.executable, version=platform.python_version())

    def GetRequiredPackages(self, request: Message, context: grpc.ServicerContext) -> Message:  # noqa: ARG002, N802
        """None ahead of the run: the engine then looks for a plugin when the first resource asks for it.

        So an SDK that is installed but not used by this stack's target costs no download.
        """
        return language_pb2.GetRequiredPackagesResponse()

    def GetRequiredPlugins(self, request: Message, context: grpc.ServicerContext) -> Message:  # noqa: ARG002, N802
        """None, as for packages."""
        return language_pb2.GetRequiredPluginsResponse()

    def RuntimeOptionsPrompts(self, request: Message, context: grpc.ServicerContext) -> Message:  # noqa: ARG002, N802
        """Nothing to ask in `pulumi new`."""
        return language_pb2.RuntimeOptionsResponse()

    def GetProgramDependencies(self, request: Message, context: grpc.ServicerContext) -> Message:  # noqa: ARG002, N802
        """The packages beside this host, which runs in the program's environment, for `pulumi about`."""
        found = [(installed.name, installed.version) for installed in metadata.distributions()]
        dependencies = [language_pb2.DependencyInfo(name=name, version=version) for name, version in sorted(found)]
        return language_pb2.GetProgramDependenciesResponse(dependencies=dependencies)

    def Cancel(self, request: Message, context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: ARG002, N802
        """End what runs; the engine sends its signal next."""
        self._children.end_all()
        return empty_pb2.Empty()

    def Run(self, request: language_pb2.RunRequest, context: grpc.ServicerContext) -> Message:  # noqa: ARG002, N802
        """Run the program once, in an interpreter of its own, and wait for its end.

        A program that the executor has already reported on is answered with `bail`: the engine fails the update and
        adds no second message.
        """
        try:
            command = commands.program_command(
                request, engine=self._engine, executor=self._executor, base=self._environment
            )
            with self._children.started(command, piped=False) as process:
                code = process.wait()
        except (commands.UnsuitableInterpreterError, OSError) as error:
            return language_pb2.RunResponse(error=f"the program cannot be started: {error}")
        if code == 0:
            return language_pb2.RunResponse()
        if code == commands.ENDED_AFTER_MESSAGE:
            return language_pb2.RunResponse(bail=True)
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return language_pb2.RunResponse(error=f"the program {how}")

    def RunPlugin(  # noqa: N802
        self, request: language_pb2.RunPluginRequest, context: grpc.ServicerContext
    ) -> Iterator[Message]:
        """Run a plugin or a policy pack, streaming its output, until it ends or the engine lets go of the call."""
        try:
            yield from plugins.run(request, context, self._children)
        except (commands.UnsuitableInterpreterError, OSError) as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{request.info.program_directory}: {error}")


def _asked_to_stop() -> int:
    """Return the end of a pipe that can be read as soon as SIGINT or SIGTERM has come.

    The interpreter writes to it when the signal is caught. A handler in Python would run only after the waiting call
    has come back, and never if the signal came just before that call; one that sets an Event can lock itself out.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    return reading


def _wait(stopped: int, engine: int) -> None:
    """Return when `stopped` can be read, or when the engine, whose process is the parent, is gone without a signal."""
    while not select.select([stopped], [], [], _LOOKS_FOR_ENGINE_S)[0]:
        if os.getppid() != engine:
            return


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGINT or SIGTERM, or the end of the engine. Its flags for tracing and logging are not used."""
    parser = argparse.ArgumentParser(prog="pulumi-language-python")
    parser.add_argument("--executor", type=Path, required=True)
    parser.add_argument("engine")
    options, _ = parser.parse_known_args(arguments)
    engine = os.getppid()
    stopped = _asked_to_stop()
    children = Children()
    host = LanguageHost(
        engine=options.engine, executor=options.executor, environment=dict(os.environ), children=children
    )
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=WORKERS), options=_GRPC_CHANNEL_OPTIONS)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    _wait(stopped, engine)
    children.end_all()
    server.stop(0)
    return 0
