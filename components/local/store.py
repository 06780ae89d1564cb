"""The S3 server of a local stack: rclone over plain files, with one bucket.

`--vfs-cache-mode off` is what makes a PUT durable before it is answered: the other modes lost 20 MB on kill -9
(measured, docs/facts.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from components.local import credentials, ports
from components.local.render import Program
from components.local.service import Service
from components.local.tools import installed
from components.local.wishes import BUCKET, REGION
from components.server import SecretTemplate

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_TIMEOUT_S = 5
_UNREACHABLE = "unreachable"


class Store(Service):
    """The S3 server of one stack."""

    name = "store"

    def program(self) -> Program:
        """Return the supervised rclone. Its keys go by environment, so that none stands in argv."""
        options = ("--addr", f"{ports.LOOPBACK}:{self.port}", "--vfs-cache-mode", "off", "--config", "/dev/null")
        accepted = credentials.STORE_ACCEPTED
        return Program(
            name=self.name,
            argv=(str(installed("rclone")), "serve", "s3", *options, str(self.state.store)),
            secret_environment={"RCLONE_AUTH_KEY": SecretTemplate(text=f"{{{accepted}}}")},
            secret_versions={accepted: credentials.versions(self.state)[accepted]},
        )

    def prepare(self) -> None:
        """Make the folder that holds the buckets."""
        self.state.store.mkdir(mode=0o700, parents=True, exist_ok=True)

    def answers(self) -> bool:
        """Tell whether the S3 server answers, be it with a refusal."""
        return self._refusal() != _UNREACHABLE

    def settle(self) -> None:
        """Make the bucket, through the server: a folder made behind its back is not seen for minutes."""
        if self._refusal() == "NoSuchBucket":
            self._client().create_bucket(Bucket=BUCKET)

    def complaint(self) -> str | None:
        """Say why the operator's key cannot list the bucket.

        It is not the server's key: whether that one works is for verification to say, through the server.
        """
        refusal = self._refusal()
        return None if refusal is None else f"listing bucket {BUCKET} as its operator: {refusal}"

    def _refusal(self) -> str | None:
        try:
            self._client().list_objects_v2(Bucket=BUCKET, MaxKeys=1)
        except ClientError as error:
            return str(error.response["Error"].get("Code", "refused"))
        except BotoCoreError:
            return _UNREACHABLE
        return None

    def _client(self) -> S3Client:
        return boto3.client(
            "s3",
            endpoint_url=f"http://{ports.LOOPBACK}:{self.port}",
            region_name=REGION,
            aws_access_key_id=credentials.read(self.state, credentials.STORE_OPERATOR_ACCESS),
            aws_secret_access_key=credentials.read(self.state, credentials.STORE_OPERATOR_SECRET),
            config=Config(retries={"max_attempts": 0}, connect_timeout=_TIMEOUT_S, read_timeout=_TIMEOUT_S),
        )
