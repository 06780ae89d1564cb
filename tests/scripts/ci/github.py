"""GitHub's comments on pull requests, on loopback: what the scripts of the workflows are tried against."""

from __future__ import annotations

import http.server
import json
import threading
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from types import TracebackType

TOKEN = "ghs_planted0token1never2shown"
BOT = "github-actions[bot]"


class GitHub:
    """Holds the comments of one pull request, 7, of the repository team/backend."""

    def __init__(self) -> None:
        """Listen on a free port; `comments` may be filled before the first call."""
        self.comments: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.fail_with: int | None = None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                page, size = int(query["page"][0]), int(query["per_page"][0])
                self.answer(200, outer.comments[(page - 1) * size : page * size])

            def do_POST(self) -> None:
                self.answer(201, outer.add(self.body(), BOT))

            def do_PATCH(self) -> None:
                (found,) = (c for c in outer.comments if str(c["id"]) == self.path.rsplit("/", 1)[1])
                found["body"] = self.body()
                self.answer(200, found)

            def body(self) -> str:
                text: str = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]
                return text

            def answer(self, status: int, document: Any) -> None:
                outer.calls.append(f"{self.command} {urlsplit(self.path).path}")
                allowed = self.headers["Authorization"] == f"Bearer {TOKEN}"
                status = 401 if not allowed else outer.fail_with or status
                data = json.dumps(document if status < 400 else {"message": "no"}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.api = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def add(self, body: str, author: str) -> dict[str, Any]:
        """Write a comment as `author`."""
        number = len(self.comments) + 1
        comment = {"id": number, "body": body, "user": {"login": author}, "html_url": f"{self.api}/comment/{number}"}
        self.comments.append(comment)
        return comment

    def __enter__(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, leaving no thread and no socket."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
