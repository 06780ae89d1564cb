"""What stands between callers and instances: who may call, which revision answers, and Cloud Run's own limits."""

from __future__ import annotations

import http.client
import random
import time
from typing import TYPE_CHECKING, Final

from tests.rig.gcp.discovery import Failed
from tests.rig.gcp.run.instance import CALLER
from tests.rig.gcp.tokens import ISSUER, LIFETIME_S, Wrong, unsigned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rig.gcp.edge import Exchange
    from tests.rig.gcp.policies import Policies
    from tests.rig.gcp.run.controller import Controller
    from tests.rig.gcp.run.instance import Instance
    from tests.rig.gcp.run.model import Revision, Service
    from tests.rig.gcp.run.services import Services
    from tests.rig.gcp.tokens import Tokens

HTTP1_LIMIT: Final = 32 << 20
_CHUNK: Final = 1 << 16
_HOP: Final = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade", "transfer-encoding"}
_SECOND: Final = "X-Serverless-Authorization"
_INVOKE: Final = "run.routes.invoke"
_IAP: Final = "iap.webServiceVersions.accessViaIAP"


class Traffic:
    """Passes requests on. `number` is the project's, whose IAP has a service agent."""

    def __init__(self, services: Services, controller: Controller, tokens: Tokens, policies: Policies) -> None:
        self._services, self._controller, self._tokens, self._policies = services, controller, tokens, policies

    def answer(self, exchange: Exchange) -> None:
        """Answer one request. Raises Failed."""
        found = self._services.of_host(exchange.host)
        if found is None:
            raise Failed(404, "The requested URL was not found on this server.")
        service, tag = found
        names = {CALLER: _caller(exchange), "X-Forwarded-Proto": "https"}
        names |= self._admit(service, exchange)
        revision = self._revision(service, tag)
        begun = time.monotonic()
        instance = self._controller.acquire(service, revision)
        try:
            _pass(exchange, instance, names, until=begun + revision.timeout_s)
        finally:
            self._controller.release(revision, instance)

    def _revision(self, service: Service, tag: str) -> Revision:
        if tag:
            name = service.tags().get(tag)
            if name is None:
                raise Failed(404, "The requested URL was not found on this server.")
            return service.revisions[name]
        shares = {name: share for name, share in service.shares().items() if share}
        if not shares:
            raise Failed(404, "The requested URL was not found on this server.")
        return service.revisions[random.choices(list(shares), list(shares.values()))[0]]  # noqa: S311 - a share of traffic

    def _admit(self, service: Service, exchange: Exchange) -> dict[str, str]:
        """Return the headers that change once the caller is known. Raises Failed for who may not call."""
        if service.body.get("iapEnabled"):
            return self._admit_by_iap(service, exchange)
        if service.body.get("invokerIamDisabled") or self._policies.allows("", _INVOKE, service.name):
            return {}
        header = _SECOND if exchange.headers.get(_SECOND) else "Authorization"
        token = exchange.headers.get(header, "").removeprefix("Bearer ")
        if not token:
            raise Failed(403, "The request was not authenticated.")
        try:
            claims = self._tokens.claims(token)
        except Wrong as wrong:
            raise Failed(401, f"The access token could not be verified: {wrong}") from None
        audiences = {f"https://{host}" for host in service.hosts()} | set(service.body.get("customAudiences", []))
        if claims["aud"].rstrip("/") not in audiences:
            raise Failed(401, "The access token could not be verified: its audience is another one")
        if not self._policies.allows(claims["email"], _INVOKE, service.name):
            raise Failed(403, "The caller does not have permission to invoke the service.")
        return {header: f"Bearer {unsigned(token)}"}

    def _admit_by_iap(self, service: Service, exchange: Exchange) -> dict[str, str]:
        second = exchange.headers.get("Proxy-Authorization", "")
        token = (second or exchange.headers.get("Authorization", "")).removeprefix("Bearer ")
        if not token:
            raise Failed(401, "Invalid IAP credentials: empty token")
        try:
            claims = self._tokens.claims(token, own=True)
        except Wrong as wrong:
            raise Failed(401, f"Invalid IAP credentials: {wrong}") from None
        # Google's own are for the proxy's OAuth client, which is Google's and nobody knows.
        if claims["iss"] == ISSUER or claims["aud"] not in _asked(exchange):
            raise Failed(401, "Invalid IAP credentials: the audience is another one")
        if claims["exp"] - claims["iat"] > LIFETIME_S:
            raise Failed(401, "Invalid IAP credentials: it lasts for more than an hour")
        if not self._policies.allows(claims["email"], _IAP, service.iap):
            raise Failed(403, "You don't have access")
        agent = f"service-{service.number}@gcp-sa-iap.iam.gserviceaccount.com"
        if not self._policies.allows(agent, _INVOKE, service.name):
            raise Failed(403, "IAP for Cloud Run app is not set up correctly")
        return {"X-Goog-Authenticated-User-Email": f"accounts.google.com:{claims['email']}"}


def _asked(exchange: Exchange) -> set[str]:
    """Return what a token may be for that is sent with a request: its URL, or every path of its host."""
    root = f"https://{exchange.host}"
    return {f"{root}/*", f"{root}{exchange.url.path}"}


def _caller(exchange: Exchange) -> str:
    said = exchange.headers.get("X-Forwarded-For", "")
    return f"{said}, {exchange.client_address[0]}" if said else exchange.client_address[0]


def _pass(exchange: Exchange, instance: Instance, names: dict[str, str], *, until: float) -> None:
    """Pass a request on and its answer back. Raises Failed, or ConnectionError if the answer has begun."""
    limited = instance.protocol == "http1"
    if limited:
        if int(exchange.headers.get("Content-Length", 0)) > HTTP1_LIMIT:
            raise _too_large()
        names["X-Forwarded-For"] = names.pop(CALLER)
    connection = http.client.HTTPConnection(*instance.upstream, timeout=max(0.1, until - time.monotonic()))
    begun = False
    try:
        _send(connection, exchange, names, limited=limited)
        answer = connection.getresponse()
        if limited and int(answer.headers.get("Content-Length", 0)) > HTTP1_LIMIT:
            raise Failed(500, "Response size was too large.", "INTERNAL")
        begun = True
        _back(exchange, answer)
    except (OSError, http.client.HTTPException) as error:
        if begun:
            raise ConnectionError from None
        if isinstance(error, TimeoutError):
            raise Failed(504, "upstream request timeout", "DEADLINE_EXCEEDED") from None
        raise Failed(503, "The request failed because the instance's connection broke.", "UNAVAILABLE") from None
    finally:
        connection.close()


def _send(connection: http.client.HTTPConnection, exchange: Exchange, names: dict[str, str], *, limited: bool) -> None:
    chunked = exchange.headers.get("Transfer-Encoding", "").lower() == "chunked"
    connection.putrequest(exchange.command, exchange.target, skip_host=True, skip_accept_encoding=True)
    replaced = {name.lower() for name in names} | _HOP
    for name, value in exchange.headers.items():
        if name.lower() not in replaced:
            connection.putheader(name, value)
    for name, value in names.items():
        connection.putheader(name, value)
    if chunked:
        connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders(_counted(exchange, limited=limited), encode_chunked=chunked)


def _too_large() -> Failed:
    return Failed(413, "The request was larger than 32 MiB, and the container speaks HTTP/1.", "TOO_LARGE")


def _counted(exchange: Exchange, *, limited: bool) -> Iterator[bytes]:
    size = 0
    for piece in exchange.pieces():
        size += len(piece)
        if limited and size > HTTP1_LIMIT:
            raise _too_large()
        yield piece


def _back(exchange: Exchange, answer: http.client.HTTPResponse) -> None:
    length = answer.headers.get("Content-Length")
    bodyless = exchange.command == "HEAD" or answer.status in {204, 304}
    exchange.send_response_only(answer.status)
    for name, value in answer.headers.items():
        if name.lower() not in _HOP:
            exchange.send_header(name, value)
    if length is None and not bodyless:
        exchange.send_header("Transfer-Encoding", "chunked")
    exchange.end_headers()
    while not bodyless and (piece := answer.read1(_CHUNK)):
        exchange.wfile.write(piece if length is not None else b"%x\r\n%s\r\n" % (len(piece), piece))
        exchange.wfile.flush()
    if length is None and not bodyless:
        exchange.wfile.write(b"0\r\n\r\n")
