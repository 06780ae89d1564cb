"""moto as a server in this process, by HTTPS and by HTTP, with IAM enforced from the first request on."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Mapping

    from tests.rig.authority import Authority
    from tests.rig.loopback import Block
    from tests.rig.patches import Patches

REGION = "eu-west-1"
ACCOUNT: str = DEFAULT_ACCOUNT_ID
_ADMINISTRATOR = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
_PORT = 443
_PLAIN_PORT = 80
_BLOBS = "/rig/blobs"


class Transport(threading.local):
    """What the request of the current thread came by; a policy's aws:SecureTransport asks for it."""

    secure = False


transport = Transport()


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Somebody's credentials."""

    key: str
    secret: str
    token: str = ""

    def variables(self) -> dict[str, str]:
        """Return them as AWS's own environment variables."""
        found = {"AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret}
        return {**found, "AWS_SESSION_TOKEN": self.token} if self.token else found


class _Quiet(MotoRequestHandler):
    protocol_version = "HTTP/1.1"
    # Without it each answer on a kept connection waits 40 ms for the other side's delayed acknowledgement.
    disable_nagle_algorithm = True

    def log(self, *_: Any, **__: Any) -> None:
        """Say nothing: a rig answers thousands of requests."""


class MotoServer:
    """All of AWS that there is. `endpoint_url` is TLS; `plain_url` is the same without."""

    def __init__(self, patches: Patches, block: Block, authority: Authority) -> None:
        """Start it, empty, with one administrator."""
        address = block.address()
        self.endpoint_url, self.plain_url = f"https://{address}", f"http://{address}"
        self._bundle = authority.bundle
        self.address = address
        self.blobs: dict[str, bytes] = {}
        # A session reads each service's model once, most of a client's cost. Making clients is not thread-safe.
        self._session, self._making = boto3.session.Session(), threading.Lock()
        moto_api_backend.reset()
        patches.callback(moto_api_backend.reset)
        self.administrator = _administrator()
        patches.put(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
        patches.put(ActionAuthenticatorMixin, "request_count", 0)
        logger = logging.getLogger("werkzeug")
        patches.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.ERROR)
        application = _marked(DomainDispatcherApplication(create_backend_app), self.blobs)
        _serve(patches, address, _PORT, application, authority.context(address))
        _serve(patches, address, _PLAIN_PORT, application, None)

    def blob_url(self, digest: str) -> str:
        """Return where a layer or configuration of an image is fetched from, as ECR gives it."""
        return f"{self.plain_url}{_BLOBS}/{digest}"

    def environment(self, caller: Caller | None = None) -> dict[str, str]:
        """Return what a process needs to call it, as the administrator unless somebody else is named."""
        return {
            **(caller or self.administrator).variables(),
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_CA_BUNDLE": str(self._bundle),
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str, caller: Caller | None = None, *, plain: bool = False) -> Any:
        """Return a boto3 client of one service."""
        who = caller or self.administrator
        make: Callable[..., Any] = self._session.client
        with self._making:
            return make(
                service,
                endpoint_url=self.plain_url if plain else self.endpoint_url,
                verify=str(self._bundle),
                region_name=REGION,
                aws_access_key_id=who.key,
                aws_secret_access_key=who.secret,
                aws_session_token=who.token or None,
                config=Config(connect_timeout=10, read_timeout=120, retries={"total_max_attempts": 1}),
            )


def _administrator() -> Caller:
    iam = iam_backends[ACCOUNT]["aws"]
    iam.create_user(REGION, "administrator")
    iam.put_user_policy("administrator", "all", json.dumps(_ADMINISTRATOR))
    key = iam.create_access_key("administrator")
    return Caller(key=key.access_key_id, secret=key.secret_access_key)


def _marked(application: Callable[..., Iterable[bytes]], blobs: Mapping[str, bytes]) -> Callable[..., Iterable[bytes]]:
    def marked(environ: Mapping[str, Any], start: Any) -> Iterable[bytes]:
        blob = blobs.get(environ["PATH_INFO"].removeprefix(_BLOBS))
        if blob is not None:
            start("200 OK", [("Content-Length", str(len(blob)))])
            return [blob]
        transport.secure = environ["wsgi.url_scheme"] == "https"
        return application(environ, start)

    return marked


def _serve(patches: Patches, address: str, port: int, application: Any, context: ssl.SSLContext | None) -> None:
    server = make_server(address, port, application, threaded=True, request_handler=_Quiet, ssl_context=context)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    patches.callback(server.server_close)
    patches.callback(thread.join)
    patches.callback(server.shutdown)
