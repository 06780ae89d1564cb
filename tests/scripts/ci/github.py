"""GitHub's comments on pull requests, on loopback: what the scripts of the workflows are tried against."""

from __future__ import annotations

import json
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.loopback_http import Handler, LoopbackServer

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

        class Comments(Handler):
            def reply(self) -> None:
                status, found = getattr(self, self.command.lower())()
                outer.calls.append(f"{self.command} {urlsplit(self.path).path}")
                allowed = self.headers["Authorization"] == f"Bearer {TOKEN}"
                status = 401 if not allowed else outer.fail_with or status
                self.answer(status, json.dumps(found if status < 400 else {"message": "no"}).encode())

            def get(self) -> tuple[int, Any]:
                query = parse_qs(urlsplit(self.path).query)
                page, size = int(query["page"][0]), int(query["per_page"][0])
                return 200, outer.comments[(page - 1) * size : page * size]

            def post(self) -> tuple[int, Any]:
                return 201, outer.add(self.body(), BOT)

            def patch(self) -> tuple[int, Any]:
                (found,) = (c for c in outer.comments if str(c["id"]) == self.path.rsplit("/", 1)[1])
                found["body"] = self.body()
                return 200, found

            def body(self) -> str:
                text: str = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]
                return text

        self._server = LoopbackServer(Comments)
        self.api = self._server.url

    def add(self, body: str, author: str) -> dict[str, Any]:
        """Write a comment as `author`."""
        number = len(self.comments) + 1
        comment = {"id": number, "body": body, "user": {"login": author}, "html_url": f"{self.api}/comment/{number}"}
        self.comments.append(comment)
        return comment

    def __enter__(self) -> Self:
        """Return it: it answers from its making on."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, leaving no thread and no socket."""
        self._server.close()
