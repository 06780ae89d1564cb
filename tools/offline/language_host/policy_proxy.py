"""The proxy between the engine and a policy pack, until it is known for which stack the pack is asked.

The engine gives a pack its stack, project and config by a call (`ConfigureStack`); the Python SDK of policy packs
reads them from its environment, before it imports the pack. So the engine is given the address of this proxy, the pack
is started when that call, or the first other one, comes, and everything is passed on as the bytes that came.
"""

from __future__ import annotations

import queue
import threading
from concurrent import futures
from typing import TYPE_CHECKING

import grpc
from pulumi.runtime.proto import analyzer_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

_SERVICE = "/pulumirpc.Analyzer/"

START_DEADLINE_S = 60.0
"""Seconds that a pack has to print its port: importing the SDK takes under one, a pack may import more."""

CALL_DEADLINE_S = 3600.0
"""Seconds for one answer of a pack. The engine sets no deadline, which gRPC shows as more seconds than it accepts."""


class PolicyProxy:
    """A server that the engine talks to instead of the pack.

    `configured` is given the stack's description once, or None when the engine asks for the pack without a stack;
    `pack_started` has to be called with the pack's port after that, or `pack_failed`.
    """

    def __init__(self) -> None:
        """Serve on a free loopback port."""
        self._configured: queue.Queue[Mapping[str, object] | None] = queue.Queue()
        self._asked = threading.Event()
        self._lock = threading.Lock()
        self._pack: futures.Future[grpc.Channel] = futures.Future()
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
        self._server.add_generic_rpc_handlers((_Router(self._answer),))
        self.port: int = self._server.add_insecure_port("127.0.0.1:0")

    def __enter__(self) -> Self:
        """Begin to serve."""
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving; calls that wait are broken off."""
        self._server.stop(0)
        if self._pack.done() and self._pack.exception() is None:
            self._pack.result().close()

    def await_configuration(self, *, while_true: Callable[[], bool]) -> Mapping[str, object] | None:
        """The stack's description, None when the engine asked without one or `while_true` has turned false."""
        while while_true():
            try:
                return self._configured.get(timeout=0.1)
            except queue.Empty:
                continue
        return None

    def pack_started(self, port: int) -> None:
        """The pack listens: what waits is passed on."""
        self._pack.set_result(grpc.insecure_channel(f"127.0.0.1:{port}"))

    def pack_failed(self, reason: str) -> None:
        """The pack does not run: what waits is answered with the reason."""
        if not self._pack.done():
            self._pack.set_exception(RuntimeError(reason))

    def _announce(self, description: Mapping[str, object] | None) -> None:
        with self._lock:
            if not self._asked.is_set():
                self._asked.set()
                self._configured.put(description)

    def _answer(self, method: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        if method == "Handshake":
            return analyzer_pb2.AnalyzerHandshakeResponse().SerializeToString()
        self._announce(_description(request) if method == "ConfigureStack" else None)
        try:
            call = self._pack.result(START_DEADLINE_S).unary_unary(_SERVICE + method, None, None)
            answer: bytes = call(request, timeout=min(context.time_remaining(), CALL_DEADLINE_S))
        except (RuntimeError, futures.TimeoutError) as error:
            context.abort(grpc.StatusCode.UNAVAILABLE, f"the policy pack does not run: {error or 'no port in time'}")
        except grpc.RpcError as error:
            context.abort(error.code(), error.details() or "the policy pack gave no reason")
        return answer


class _Router(grpc.GenericRpcHandler):  # type: ignore[type-arg] # generic in the stubs only
    """Takes every method of the analyzer's service, without decoding what it carries."""

    def __init__(self, answer: Callable[[str, bytes, grpc.ServicerContext], bytes]) -> None:
        self._answer = answer

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        if not details.method.startswith(_SERVICE):
            return None
        method = details.method.removeprefix(_SERVICE)
        return grpc.unary_unary_rpc_method_handler(lambda request, context: self._answer(method, request, context))


def _description(request: bytes) -> Mapping[str, object]:
    decoded = analyzer_pb2.AnalyzerStackConfigureRequest.FromString(request)
    return {
        "organization": decoded.organization,
        "project": decoded.project,
        "stack": decoded.stack,
        "dry_run": decoded.dry_run,
        "config": dict(decoded.config),
    }
