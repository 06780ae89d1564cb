# ruff: noqa: N802 - the methods' names are the protocol's
"""Pulumi's provider protocol, for any stand-in: what the engine asks, in plain Python, answered by a `Cloud`.

It owns the protocol: secrets and unknowns, failures, a creation that got half-way, the end. It knows no cloud. A call
that no `Cloud` answers is refused; nothing succeeds by default.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import threading
import traceback
from concurrent import futures
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import grpc
from google.protobuf import any_pb2, empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from tests.rig.standin.sdk import Problem, UnknownToken
from tests.rig.standin.values import Unsupported, from_struct, to_struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# As many as the engine asks at once by default, and some for Cancel.
_THREADS: Final = 40
_KIND = provider_pb2.PropertyDiff.Kind


class Refused(Exception):
    """The stand-in, or the platform behind it, does not do this. The text holds no value of a property."""


class Gone(Exception):
    """The resource is not there any more."""


class HalfMade(Exception):
    """A resource was created, and a later step failed: it is kept in the state, and the next update goes on."""

    def __init__(self, id_: str, state: Mapping[str, Any], inputs: Mapping[str, Any], reason: str) -> None:
        """Take what is there, what was asked for, and why it is not finished."""
        super().__init__(reason)
        self.id, self.state, self.inputs, self.reason = id_, state, inputs, reason


@dataclass(frozen=True, kw_only=True)
class Resource:
    """Which resource a call is about. `inputs` are those of its last update, `state` what is known of it."""

    token: str
    name: str
    id: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Which properties differ, which of those only another resource can have, and whether that one comes after."""

    changed: tuple[str, ...] = ()
    replacing: tuple[str, ...] = ()
    delete_first: bool = False


class Cloud(Protocol):
    """What stands behind the protocol: one cloud, or a fake of one in a test."""

    version: str

    def check_settings(self, settings: Mapping[str, Any]) -> list[Problem]:
        """Return what is wrong with the provider's own settings."""

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Take the provider's own settings. Raises Refused."""

    def check(self, resource: Resource, news: Mapping[str, Any], seed: bytes) -> tuple[dict[str, Any], list[Problem]]:
        """Return the inputs, completed, and what is wrong with them."""

    def diff(self, resource: Resource, news: Mapping[str, Any]) -> Difference:
        """Compare what is with what is wanted."""

    def planned(self, resource: Resource, news: Mapping[str, Any]) -> dict[str, Any]:
        """Return the state that a creation or update would lead to, with unknowns; nothing is touched."""

    def create(self, resource: Resource, news: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Make it, and return its id and state. Raises Refused and HalfMade."""

    def read(self, resource: Resource) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Look at it, and return its id, state and inputs as they are now. Raises Refused and Gone."""

    def update(self, resource: Resource, news: Mapping[str, Any]) -> dict[str, Any]:
        """Change it, and return its state. Raises Refused."""

    def delete(self, resource: Resource) -> None:
        """Delete it; one that is gone already is deleted. Raises Refused."""

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
        """Answer a function. Raises Refused."""

    def cancel(self) -> None:
        """Let go of every wait."""


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """The engine's questions, passed on to a cloud."""

    def __init__(self, cloud: Cloud) -> None:
        """Serve one cloud."""
        self._cloud = cloud

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Say which special values are taken: none, as the bridged providers do; the engine unwraps secrets itself."""
        return provider_pb2.ProviderHandshakeResponse()

    def Attach(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Take an engine that this process was started beside."""
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Return the version, which is the SDK's."""
        return plugin_pb2.PluginInfo(version=self._cloud.version)

    def GetSchema(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Return a schema without content: a program in Python brings its SDK."""
        return provider_pb2.GetSchemaResponse(schema="{}")

    def GetMapping(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Return no mapping: nothing is converted."""
        return provider_pb2.GetMappingResponse()

    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Check the provider's settings."""
        with _answered(context):
            found = self._cloud.check_settings(from_struct(request.news))
            return provider_pb2.CheckResponse(inputs=request.news, failures=_failures(found))

    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Compare the provider's settings; none of them replaces every resource."""
        same = from_struct(request.olds) == from_struct(request.news)
        changes = provider_pb2.DiffResponse.DIFF_NONE if same else provider_pb2.DiffResponse.DIFF_SOME
        return provider_pb2.DiffResponse(changes=changes)

    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Take the provider's settings."""
        with _answered(context):
            self._cloud.configure(from_struct(request.args))
            return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Invoke(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Answer a function."""
        with _answered(context):
            result, found = self._cloud.invoke(request.tok, from_struct(request.args))
            return provider_pb2.InvokeResponse(**{"return": to_struct(result)}, failures=_failures(found))

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Check and complete a resource's inputs."""
        with _answered(context):
            resource = _resource(request, inputs=from_struct(request.olds))
            inputs, found = self._cloud.check(resource, from_struct(request.news), request.randomSeed)
            return provider_pb2.CheckResponse(inputs=to_struct(inputs), failures=_failures(found))

    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Compare a resource's state with its inputs."""
        with _answered(context):
            resource = _resource(
                request, id_=request.id, state=from_struct(request.olds), inputs=from_struct(request.old_inputs)
            )
            news = from_struct(request.news)
            found = self._cloud.diff(resource, news)
            response = provider_pb2.DiffResponse(
                changes=provider_pb2.DiffResponse.DIFF_SOME if found.changed else provider_pb2.DiffResponse.DIFF_NONE,
                diffs=found.changed,
                replaces=found.replacing,
                deleteBeforeReplace=found.delete_first,
                hasDetailedDiff=True,
            )
            for name in found.changed:
                response.detailedDiff[name].kind = _kind_of(name, resource.state, news, name in found.replacing)
            return response

    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Make a resource, or say what it would be."""
        with _answered(context):
            resource, news = _resource(request), from_struct(request.properties)
            if request.preview:
                return provider_pb2.CreateResponse(properties=to_struct(self._cloud.planned(resource, news)))
            id_, state = self._cloud.create(resource, news)
            return provider_pb2.CreateResponse(id=id_, properties=to_struct(state))

    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Look at a resource, for a refresh or an import; one that is gone has no id."""
        with _answered(context):
            resource = _resource(
                request, id_=request.id, state=from_struct(request.properties), inputs=from_struct(request.inputs)
            )
            try:
                id_, state, inputs = self._cloud.read(resource)
            except Gone:
                return provider_pb2.ReadResponse()
            return provider_pb2.ReadResponse(id=id_, properties=to_struct(state), inputs=to_struct(inputs))

    def Update(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Change a resource, or say what it would become."""
        with _answered(context):
            resource = _resource(
                request, id_=request.id, state=from_struct(request.olds), inputs=from_struct(request.old_inputs)
            )
            news = from_struct(request.news)
            answer = self._cloud.planned if request.preview else self._cloud.update
            return provider_pb2.UpdateResponse(properties=to_struct(answer(resource, news)))

    def Delete(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Delete a resource."""
        with _answered(context):
            with contextlib.suppress(Gone):
                self._cloud.delete(_resource(request, id_=request.id, state=from_struct(request.properties)))
            return empty_pb2.Empty()

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Let go of every wait; the calls under way then fail by themselves."""
        self._cloud.cancel()
        return empty_pb2.Empty()


def serve(cloud: Cloud, *, announce: Callable[[int], None]) -> None:
    """Serve a cloud on a free loopback port until the process is ended."""
    for each in (signal.SIGINT, signal.SIGTERM):
        # The engine waits for a plugin's end, and taking an SDK's thousand modules down costs Python most of a second.
        signal.signal(each, lambda *_: os._exit(0))
    # It lives for one update; the collector would only walk over what those modules define, again and again.
    gc.disable()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=_THREADS))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(cloud), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    announce(port)
    threading.Event().wait()


def _resource(
    request: Any, *, id_: str = "", state: Mapping[str, Any] | None = None, inputs: Mapping[str, Any] | None = None
) -> Resource:
    _, _, types, name = request.urn.split("::", 3)
    return Resource(token=types.rpartition("$")[2], name=name, id=id_, state=state or {}, inputs=inputs or {})


def _failures(found: list[Problem]) -> list[Any]:
    return [provider_pb2.CheckFailure(property=each.path, reason=f"{each.path}: {each.reason}") for each in found]


def _kind_of(name: str, state: Mapping[str, Any], news: Mapping[str, Any], replaces: bool) -> Any:  # noqa: FBT001
    if name not in state:
        return _KIND.ADD_REPLACE if replaces else _KIND.ADD
    if name not in news:
        return _KIND.DELETE_REPLACE if replaces else _KIND.DELETE
    return _KIND.UPDATE_REPLACE if replaces else _KIND.UPDATE


@contextlib.contextmanager
def _answered(context: grpc.ServicerContext) -> Iterator[None]:
    """Turn what a cloud raises into what the engine shows."""
    try:
        yield
    except HalfMade as half:
        _keep_half_made(context, half)
    except (Refused, UnknownToken, Unsupported) as error:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
    except Exception as error:  # noqa: BLE001 - a fault of the stand-in itself: shown where it is, without values
        places = "\n".join(f"  {at.filename}:{at.lineno} {at.name}" for at in traceback.extract_tb(error.__traceback__))
        context.abort(grpc.StatusCode.INTERNAL, f"the stand-in failed: {type(error).__name__}\n{places}")


def _keep_half_made(context: grpc.ServicerContext, half: HalfMade) -> None:
    """Answer with the resource itself in the details: so the engine keeps it, marked as unfinished."""
    packed = any_pb2.Any()
    packed.Pack(
        provider_pb2.ErrorResourceInitFailed(
            id=half.id, properties=to_struct(half.state), inputs=to_struct(half.inputs), reasons=[half.reason]
        )
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=half.reason, details=[packed])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, half.reason)
