"""A plugin that answers for any provider in a preview: inputs are fine as they are, outputs are not known yet.

It proves nothing about AWS, and is not there for that: policies judge inputs, before any provider is asked. So creating
is refused, and nothing can be deployed with it. Started by the engine, as `pulumi-resource-aws` on PATH.
"""

from __future__ import annotations

import sys
from concurrent import futures
from typing import TYPE_CHECKING, Any

import grpc
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

if TYPE_CHECKING:
    from pathlib import Path

_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def install(folder: Path, python: Path, root: Path) -> None:
    """Put the plugin into `folder` under the name that the engine looks for."""
    launcher = folder / "pulumi-resource-aws"
    launcher.write_text(f"#!/bin/sh\ncd {root} && exec {python} -m tests.policy.echo\n", encoding="utf-8")
    launcher.chmod(0o755)


class Echo(provider_pb2_grpc.ResourceProviderServicer):
    """Each method is one of the engine's calls."""

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's names, here and below
        """Answer as any version."""
        return plugin_pb2.PluginInfo(version="7.0.0")

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Take values as they are."""
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=True, accept_outputs=True)

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Take any configuration."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Ask to be called in previews."""
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, acceptResources=True, acceptOutputs=True, supportsPreview=True
        )

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Take any inputs."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        """In a preview, answer that an ARN will come."""
        if not request.preview:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "this plugin only previews")
        request.properties["arn"] = _UNKNOWN
        return provider_pb2.CreateResponse(properties=request.properties)


def serve() -> None:
    """Serve until the engine ends this process."""
    server = grpc.server(futures.ThreadPoolExecutor(8))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Echo(), server)
    sys.stdout.write(f"{server.add_insecure_port('127.0.0.1:0')}\n")
    sys.stdout.flush()
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    serve()
