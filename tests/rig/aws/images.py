"""ECR with true digests and readable configurations, and what runs when a task names one of its images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moto.core.responses import ActionResult
from moto.ecr.models import Image as StoredImage
from moto.ecr.responses import ECRResponse

from mlflow_backend.preflight.manifests import MANIFESTS
from tests.rig import oci
from tests.rig.aws.server import ACCOUNT, REGION
from tests.rig.oci import Published

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.rig.aws.server import MotoServer
    from tests.rig.contents import Contents
    from tests.rig.patches import Patches

REPOSITORY: Final = "mlflow-backend"
REGISTRY: Final = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"


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
        image = oci.build(tag, labels=labels, platforms=platforms, index=index, user=user)
        self._server.blobs |= {f"/{digest}": content for digest, content in image.blobs.items()}
        for body in image.manifests.values():
            ecr.put_image(repositoryName=repository, imageManifest=body, imageManifestMediaType=MANIFESTS[0])
        ecr.put_image(
            repositoryName=repository, imageManifest=image.body, imageManifestMediaType=image.kind, imageTag=tag
        )
        self._published[f"{repository}@{image.digest}"] = Published(
            digest=image.digest, platforms=tuple(platforms), index=index, contents=contents
        )
        return f"{REGISTRY}/{repository}@{image.digest}"

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


def _create_digest(image: StoredImage) -> None:
    image._image_digest = oci.digest_of(image.image_manifest.encode())
