"""Artifact Registry's Docker interface, read only, and what runs when a container names one of its images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.preflight.manifests import MANIFESTS
from tests.rig import oci
from tests.rig.gcp.discovery import Failed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.rig.contents import Contents
    from tests.rig.gcp.edge import Exchange
    from tests.rig.gcp.tokens import Tokens


class Registry:
    """The images of one project, by repository and digest. `host` is where they are pulled from."""

    def __init__(self, tokens: Tokens, *, project: str, region: str) -> None:
        self.host, self._project, self._tokens = f"{region}-docker.pkg.dev", project, tokens
        self._published: dict[str, oci.Published] = {}
        self._manifests: dict[str, tuple[str, str]] = {}
        self._blobs: dict[str, bytes] = {}
        self._tags: dict[str, str] = {}

    def publish(
        self,
        tag: str,
        contents: Contents,
        *,
        labels: Mapping[str, str],
        platforms: Sequence[str] = ("linux/amd64",),
        index: bool = True,
        repository: str = "mlflow/server",
    ) -> str:
        """Push an image, and return its name by digest."""
        image = oci.build(tag, labels=labels, platforms=platforms, index=index)
        self._blobs |= image.blobs
        self._manifests |= {digest: (body, MANIFESTS[0]) for digest, body in image.manifests.items()}
        self._manifests[image.digest] = (image.body, image.kind)
        name = f"{self.host}/{self._project}/{repository}"
        self._tags[f"{name}:{tag}"] = image.digest
        self._published[f"{name}@{image.digest}"] = oci.Published(
            digest=image.digest, platforms=tuple(platforms), index=index, contents=contents
        )
        return f"{name}@{image.digest}"

    def find(self, reference: str) -> oci.Published | None:
        """Return what an image's name stands for; None if the registry has no such image."""
        if "@" not in reference:
            reference = f"{reference.rpartition(':')[0]}@{self._tags.get(reference, '')}"
        return self._published.get(reference)

    def answer(self, exchange: Exchange) -> None:
        """Answer /v2/: manifests and blobs, to whoever has an access token. Raises Failed."""
        header = exchange.headers.get("Authorization", "")
        path = exchange.url.path
        if path == "/v2/token":
            # A login whose password is an access token (Artifact Registry, 'Configure authentication to Docker').
            exchange.say(200, {"token": self._tokens.access(self._tokens.basic(header)), "expires_in": 3600})
            return
        if not header:
            challenge = f'Bearer realm="https://{self.host}/v2/token",service="{self.host}"'
            exchange.say(401, {"errors": [{"code": "UNAUTHORIZED"}]}, WWW_Authenticate=challenge)
            return
        if header.startswith("Basic "):
            self._tokens.basic(header)
        else:
            self._tokens.caller(header)
        name, kind, reference = [*path.removeprefix("/v2/").rsplit("/", 2), "", ""][:3]
        if path == "/v2/":
            exchange.say(200, {})
        elif kind == "manifests":
            digest = reference if ":" in reference else self._tags.get(f"{self.host}/{name}:{reference}", "")
            if digest not in self._manifests:
                raise Failed(404, f"manifest unknown: {reference}")
            body, media = self._manifests[digest]
            exchange.say(200, body.encode(), Content_Type=media, Docker_Content_Digest=digest)
        elif kind == "blobs" and reference in self._blobs:
            exchange.say(200, self._blobs[reference])
        else:
            raise Failed(404, f"the registry has no {path}")
