"""Images as a registry keeps them: manifests, configurations and an index, with true digests. No layer has content."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.preflight.manifests import INDEXES, MANIFESTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.rig.contents import Contents

_LAYER: Final = b"the same layer in every image"


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image's own manifest or index, the manifests that an index names, and the blobs of all of them, by digest."""

    body: str
    kind: str
    manifests: Mapping[str, str]
    blobs: Mapping[str, bytes] = field(repr=False)

    @property
    def digest(self) -> str:
        """The digest that a reference to the image has."""
        return digest_of(self.body.encode())


@dataclass(frozen=True, kw_only=True)
class Published:
    """An image in the registry. `index` tells one for several platforms from a single one that says its own."""

    digest: str
    platforms: tuple[str, ...]
    index: bool
    contents: Contents


def build(
    tag: str, *, labels: Mapping[str, str], platforms: Sequence[str], index: bool, user: str = "10001:10001"
) -> Image:
    """Return an image of platforms, such as linux/amd64; without an index it is of the first alone."""
    blobs: dict[str, bytes] = {}
    bodies = [_manifest(blobs, tag, platform, labels, user) for platform in platforms]
    if not index:
        return Image(body=bodies[0], kind=MANIFESTS[0], manifests={}, blobs=blobs)
    entries = []
    for body, platform in zip(bodies, platforms, strict=True):
        system, _, architecture = platform.partition("/")
        described = {"digest": digest_of(body.encode()), "size": len(body), "mediaType": MANIFESTS[0]}
        entries.append({**described, "platform": {"os": system, "architecture": architecture}})
    document = json.dumps({"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": entries})
    named = {digest_of(body.encode()): body for body in bodies}
    return Image(body=document, kind=INDEXES[0], manifests=named, blobs=blobs)


def digest_of(content: bytes) -> str:
    """Return the digest of a manifest or blob."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _manifest(blobs: dict[str, bytes], tag: str, platform: str, labels: Mapping[str, str], user: str) -> str:
    system, _, architecture = platform.partition("/")
    configuration = json.dumps({
        "os": system, "architecture": architecture, "config": {"Labels": dict(labels), "User": user},
        "rootfs": {"type": "layers", "diff_ids": []}, "history": [{"comment": tag}],
    }).encode()  # fmt: skip

    def blob(kind: str, content: bytes) -> dict[str, Any]:
        digest = digest_of(content)
        blobs[digest] = content
        return {"mediaType": kind, "digest": digest, "size": len(content)}

    return json.dumps({
        "schemaVersion": 2, "mediaType": MANIFESTS[0],
        "config": blob("application/vnd.oci.image.config.v1+json", configuration),
        "layers": [blob("application/vnd.oci.image.layer.v1.tar+gzip", _LAYER)],
    })  # fmt: skip
