"""ECR with true digests and readable configurations, and what runs when a task names one of its images."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from moto.core.responses import ActionResult
from moto.ecr.models import Image as StoredImage
from moto.ecr.responses import ECRResponse

from mlflow_backend.preflight.manifests import INDEXES, MANIFESTS
from tests.rig.aws.server import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.rig.aws.server import MotoServer
    from tests.rig.patches import Patches

REPOSITORY: Final = "mlflow-backend"
REGISTRY: Final = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What an image holds: an environment, and what is bound into place. Read only, as image layers are."""

    environment: Mapping[str, str]
    binds: Mapping[Path, str] = field(default_factory=dict)
    command: Sequence[str] = ()
    cwd: str = "/tmp"  # noqa: S108 - the image's own working directory


@dataclass(frozen=True, kw_only=True)
class Published:
    """An image in the registry. `index` tells one for several platforms from a single one that says its own."""

    digest: str
    platforms: tuple[str, ...]
    index: bool
    contents: Contents


class Images:
    """The registry's images with what they hold."""

    def __init__(self, patches: Patches, server: MotoServer) -> None:
        """Fix ECR."""
        self._server, self._published = server, dict[str, Published]()
        patches.put(StoredImage, "_create_digest", _create_digest)

        def download_url(response: ECRResponse) -> ActionResult:
            digest = response._get_param("layerDigest")
            return ActionResult({"downloadUrl": server.blob_url(digest), "layerDigest": digest})

        patches.put(ECRResponse, "get_download_url_for_layer", download_url)

    def publish(
        self,
        tag: str,
        contents: Contents,
        *,
        labels: Mapping[str, str],
        platforms: Sequence[str] = ("linux/amd64",),
        index: bool = True,
        user: str = "10001:10001",
        repository: str = REPOSITORY,
    ) -> str:
        """Push an image, and return its name by digest."""
        ecr = self._server.client("ecr")
        if repository not in {each["repositoryName"] for each in ecr.describe_repositories()["repositories"]}:
            ecr.create_repository(repositoryName=repository)
        manifests = [self._manifest(tag, platform, labels, user) for platform in platforms]
        body = manifests[0] if not index else self._index(ecr, repository, manifests, platforms)
        kind = INDEXES[0] if index else MANIFESTS[0]
        ecr.put_image(repositoryName=repository, imageManifest=body, imageManifestMediaType=kind, imageTag=tag)
        digest = _digest(body.encode())
        self._published[f"{repository}@{digest}"] = Published(
            digest=digest, platforms=tuple(platforms), index=index, contents=contents
        )
        return f"{REGISTRY}/{repository}@{digest}"

    def find(self, reference: str) -> Published | None:
        """Return what a task's image name stands for; None if the registry has no such image."""
        registry, _, path = reference.partition("/")
        if registry != REGISTRY:
            return None
        repository, at, digest = path.partition("@")
        if not at:
            repository, _, tag = path.partition(":")
            answer = self._server.client("ecr").batch_get_image(repositoryName=repository, imageIds=[{"imageTag": tag}])
            digest = answer["images"][0]["imageId"]["imageDigest"] if answer["images"] else ""
        return self._published.get(f"{repository}@{digest}")

    def _manifest(self, tag: str, platform: str, labels: Mapping[str, str], user: str) -> str:
        system, _, architecture = platform.partition("/")
        configuration = json.dumps({
            "os": system, "architecture": architecture, "config": {"Labels": dict(labels), "User": user},
            "rootfs": {"type": "layers", "diff_ids": []}, "history": [{"comment": tag}],
        }).encode()  # fmt: skip
        return json.dumps({
            "schemaVersion": 2, "mediaType": MANIFESTS[0],
            "config": self._blob("application/vnd.oci.image.config.v1+json", configuration),
            "layers": [self._blob("application/vnd.oci.image.layer.v1.tar+gzip", b"the same layer in every image")],
        })  # fmt: skip

    def _index(self, ecr: Any, repository: str, manifests: Sequence[str], platforms: Sequence[str]) -> str:
        entries = []
        for body, platform in zip(manifests, platforms, strict=True):
            ecr.put_image(repositoryName=repository, imageManifest=body, imageManifestMediaType=MANIFESTS[0])
            system, _, architecture = platform.partition("/")
            described = {"digest": _digest(body.encode()), "size": len(body), "mediaType": MANIFESTS[0]}
            entries.append({**described, "platform": {"os": system, "architecture": architecture}})
        return json.dumps({"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": entries})

    def _blob(self, kind: str, content: bytes) -> dict[str, Any]:
        digest = _digest(content)
        self._server.blobs[f"/{digest}"] = content
        return {"mediaType": kind, "digest": digest, "size": len(content)}


def _create_digest(image: StoredImage) -> None:
    image._image_digest = _digest(image.image_manifest.encode())


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
