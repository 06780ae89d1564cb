"""The S3 server of a local stack: rclone over plain files, with one bucket.

`--vfs-cache-mode off` is what makes a PUT durable before it is answered: the other modes lost 20 MB on kill -9
(measured, docs/facts.md).
"""

from __future__ import annotations

import http.client
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local import credentials, ports
from mlflow_backend.local.naming import ARTIFACT_ROOT, BUCKET, REGION
from mlflow_backend.local.render import Program
from mlflow_backend.local.service import Service
from mlflow_backend.local.tools import installed
from mlflow_backend.server import SecretTemplate

if TYPE_CHECKING:
    from collections.abc import Iterable

_TIMEOUT_S = 5
_LARGE_BYTES, _LARGE_TIMEOUT_S = 1 << 20, 60
_UNREACHABLE = "unreachable"
_DONE = {"PUT": "written", "DELETE": "deleted"}


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
        """Return whether the S3 server answers, be it with a refusal."""
        return self._refusal() != _UNREACHABLE

    def settle(self) -> None:
        """Make the bucket, through the server: a folder made behind its back is not seen for minutes.

        Raises PlatformFailed if it refuses.
        """
        if self._refusal() == "NoSuchBucket":
            status, answer = self._ask("PUT", f"/{BUCKET}")
            if status != http.client.OK:
                finding = f"bucket {BUCKET} cannot be made: {_code(answer) or status}"
                raise PlatformFailed(
                    finding,
                    code="artifact-store-not-answering",
                    fix=f"Read {self.state.logs / f'{self.name}.log'}",
                    part=self.name,
                )

    def complaint(self) -> str | None:
        """Say why the operator's key cannot list the bucket.

        It is not the server's key: whether that one works is for verification to say, through the server.
        """
        refusal = self._refusal()
        return None if refusal is None else f"listing bucket {BUCKET} as its operator: {refusal}"

    def _refusal(self) -> str | None:
        status, answer = self._ask("GET", f"/{BUCKET}?list-type=2&max-keys=1")
        if status == http.client.OK:
            return None
        return _UNREACHABLE if status == 0 else _code(answer) or "refused"

    def put(self, name: str, pieces: Iterable[bytes], *, size_bytes: int) -> None:
        """Write one object of so many bytes below the artifacts. Raises PlatformFailed if the S3 server refuses."""
        self._change("PUT", name, pieces, size_bytes=size_bytes)

    def delete(self, name: str) -> None:
        """Delete one object below the artifacts. Raises PlatformFailed if the S3 server refuses."""
        self._change("DELETE", name)

    def _change(self, method: str, name: str, body: Iterable[bytes] = (), *, size_bytes: int = 0) -> None:
        path = quote(f"/{ARTIFACT_ROOT.removeprefix('s3://')}/{name}")
        status, answer = self._ask(method, path, body, size_bytes=size_bytes)
        if status not in {http.client.OK, http.client.NO_CONTENT}:
            finding = f"{path} cannot be {_DONE[method]}: {_code(answer) or status or _UNREACHABLE}"
            raise PlatformFailed(
                finding,
                code="artifact-store-failed",
                fix=f"Read {self.state.logs / f'{self.name}.log'}, and repeat",
                part=self.name,
            )

    def _ask(self, method: str, path: str, body: Iterable[bytes] = (), *, size_bytes: int = 0) -> tuple[int, str]:
        """Return status and body of a request signed with the operator's key, (0, "") if nothing answers.

        Signed by botocore and sent by http.client: a boto3 client takes 0.3 s to import and make, and sends what is
        larger than 8 MiB in parts, which the S3 server keeps in memory until the last one.
        """
        # An update without changes does not ask, and would wait for these too.
        from botocore.auth import S3SigV4Auth  # noqa: PLC0415
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415
        from botocore.credentials import Credentials  # noqa: PLC0415

        key = Credentials(
            credentials.read(self.state, credentials.STORE_OPERATOR_ACCESS),
            credentials.read(self.state, credentials.STORE_OPERATOR_SECRET),
        )
        request = AWSRequest(method=method, url=f"http://{ports.LOOPBACK}:{self.port}{path}")
        # A body is read once, and not before its headers are sent.
        request.context["client_config"] = Config(s3={"payload_signing_enabled": False})
        S3SigV4Auth(key, "s3", REGION).add_auth(request)
        headers = {**dict(request.headers.items()), "Content-Length": str(size_bytes)}
        timeout_s = _TIMEOUT_S if size_bytes < _LARGE_BYTES else _LARGE_TIMEOUT_S
        connection = http.client.HTTPConnection(ports.LOOPBACK, self.port, timeout=timeout_s)
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()


def _code(answer: str) -> str | None:
    """Return the code in an S3 error's XML, such as NoSuchBucket."""
    found = re.search(r"<Code>([^<]+)</Code>", answer)
    return found[1] if found else None
