"""Images in Amazon ECR, read by its own API with the credentials of whoever deploys."""

from __future__ import annotations

import base64
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import urllib3

from mlflow_backend.aws.asking import Unanswered, asked
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.preflight.manifests import ACCEPTED, digest_of

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

    from mlflow_backend.aws.connection import Connection

_DEADLINE: Final = urllib3.Timeout(connect=5, read=15)
_DENIED: Final = frozenset({"AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException"})
_MISSING: Final = frozenset({"RepositoryNotFoundException", "LayersNotFoundException", "ImageNotFoundException"})


class EcrSource:
    """One ECR repository (manifests.Source)."""

    def __init__(self, client: ECRClient, *, account: str, repository: str) -> None:
        """Name the repository; nothing is asked yet."""
        self._client, self._account, self._repository = client, account, repository

    def manifest(self, asked: str) -> bytes:
        """Return a manifest."""
        wanted: Any = {"imageDigest": asked} if asked.startswith("sha256:") else {"imageTag": asked}
        answer = self._call("batch_get_image", imageIds=[wanted], acceptedMediaTypes=list(ACCEPTED))
        if not answer.get("images"):
            raise PlatformFailed(f"the repository {self._repository} has no such image", code="image-missing-by-name")
        return str(answer["images"][0]["imageManifest"]).encode()

    def blob(self, digest: str) -> bytes:
        """Return a blob. ECR gives an address for it that carries its own permission and is not shown."""
        url = self._call("get_download_url_for_layer", layerDigest=digest)["downloadUrl"]
        try:
            response = urllib3.request("GET", url, timeout=_DEADLINE, retries=2)
        except urllib3.exceptions.HTTPError as error:
            raise PlatformFailed(
                f"ECR's layer store cannot be reached ({type(error).__name__})", code="image-store-unreachable"
            ) from None
        if response.status != HTTPStatus.OK or digest_of(response.data) != digest:
            raise PlatformFailed(
                f"ECR's layer store answered {response.status} with another blob than asked for",
                code="image-blob-differs",
            )
        return response.data

    def _call(self, operation: str, **arguments: Any) -> Any:
        answer = asked(
            getattr(self._client, operation), registryId=self._account, repositoryName=self._repository, **arguments
        )
        if not isinstance(answer, Unanswered):
            return answer
        if answer.why in _MISSING:
            raise PlatformFailed(
                f"the repository {self._repository} has no such image ({answer.why})", code="image-missing-in-ecr"
            )
        code = "ecr-unreachable" if not answer.connected else "ecr-denied" if answer.why in _DENIED else "ecr-failed"
        raise PlatformFailed(answer.of("ECR"), code=code)


def ecr_password(connection: Connection) -> str:
    """Return what a builder logs in to ECR with, as the user AWS. It is a secret, good for half a day."""
    token = connection.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    return base64.b64decode(token).decode().partition(":")[2]
