"""A release server on loopback, instead of a vendor's host."""

from __future__ import annotations

from tests.loopback_http import Handler, LoopbackServer
from tools.bootstrap import release


class Vendor:
    """A release server on loopback."""

    def __init__(self) -> None:
        """Serve nothing yet."""
        self.served: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.short_by = 0
        vendor = self

        class Served(Handler):
            def reply(self) -> None:
                vendor.asked.append(self.path)
                body = vendor.served.get(self.path.lstrip("/"))
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                whole = body or b""
                self.wfile.write(whole[: len(whole) - vendor.short_by] if self.path.endswith(".gz") else whole)

        self._server = LoopbackServer(Served)
        self.url, self.close = f"{self._server.url}/", self._server.close

    @property
    def environment(self) -> dict[str, str]:
        """Points the set-up at this server."""
        return {release.BASE_URL_VARIABLE: self.url}
