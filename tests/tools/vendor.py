"""A release server on loopback, instead of a vendor's host."""

from __future__ import annotations

import http.server
import threading

from tools.bootstrap import release


class Vendor:
    """A release server on loopback."""

    def __init__(self) -> None:
        """Serve nothing yet."""
        self.served: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.short_by = 0
        vendor = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                vendor.asked.append(self.path)
                body = vendor.served.get(self.path.lstrip("/"))
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                whole = body or b""
                self.wfile.write(whole[: len(whole) - vendor.short_by] if self.path.endswith(".gz") else whole)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server.server_port}/"

    @property
    def environment(self) -> dict[str, str]:
        """Points the set-up at this server."""
        return {release.BASE_URL_VARIABLE: self.url}

    def close(self) -> None:
        """End serving."""
        self.server.shutdown()
        self.server.server_close()
