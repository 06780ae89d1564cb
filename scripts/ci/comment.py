"""One comment of ours on a pull request for each stack, created once and updated after that.

It is found again by a hidden marker, and only among the comments of the account that writes them: anybody may write a
comment that holds the marker.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import urllib3

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE = urllib3.Timeout(connect=10, read=30)
LONGEST = 65536
"""Characters of a comment; GitHub answers 422 'Body is too long (maximum is 65536 characters)' to a longer one."""
PAGE = 100
CUT = "\n\n_Cut here: the whole report is in the summary of the workflow's run._\n"


class GitHubError(Exception):
    """GitHub did not do what it was asked; `str()` names the call and the answer."""


@dataclass(frozen=True, kw_only=True)
class PullRequest:
    """Where comments go. `api` is GitHub's REST address; `token` may write comments there and is never shown."""

    api: str
    repository: str
    number: int
    token: str
    author: str = "github-actions[bot]"


def marker(stack: str) -> str:
    """Return the line by which the comment on `stack` is found again."""
    return f"<!-- mlflow-backend preview: {re.sub(r'[^A-Za-z0-9._-]', '', stack)} -->"


def upsert(pull: PullRequest, stack: str, markdown: str) -> str:
    """Write the comment on a stack, or update the one that is there; its address. Raises GitHubError."""
    line = marker(stack)
    body = shortened(f"{line}\n{markdown}")
    http = urllib3.PoolManager(timeout=DEADLINE, retries=False)
    for comment in _comments(http, pull):
        ours = (comment.get("user") or {}).get("login") == pull.author
        if ours and str(comment.get("body", "")).startswith(line):
            if comment["body"] == body:
                return str(comment["html_url"])
            path = f"/repos/{pull.repository}/issues/comments/{comment['id']}"
            return str(_call(http, pull, "PATCH", path, {"body": body})["html_url"])
    path = f"/repos/{pull.repository}/issues/{pull.number}/comments"
    return str(_call(http, pull, "POST", path, {"body": body})["html_url"])


def shortened(body: str) -> str:
    """Return `body`, cut at the end of a line if it is longer than a comment may be."""
    if len(body) <= LONGEST:
        return body
    kept = body[: LONGEST - len(CUT)]
    return kept[: kept.rfind("\n")] + CUT


def _comments(http: urllib3.PoolManager, pull: PullRequest) -> Iterator[dict[str, Any]]:
    page = 1
    while True:
        path = f"/repos/{pull.repository}/issues/{pull.number}/comments?per_page={PAGE}&page={page}"
        found = _call(http, pull, "GET", path)
        yield from found
        if len(found) < PAGE:
            return
        page += 1


def _call(http: urllib3.PoolManager, pull: PullRequest, method: str, path: str, content: Any = None) -> Any:
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {pull.token}",
        "User-Agent": "mlflow-backend",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    body = None if content is None else json.dumps(content).encode()
    try:
        answer = http.request(method, pull.api.rstrip("/") + path, body=body, headers=headers)
    except urllib3.exceptions.HTTPError as error:
        message = f"{method} {path}: {type(error).__name__}, GitHub was not reached"
        raise GitHubError(message) from error
    if answer.status not in {200, 201}:
        said = answer.data.decode(errors="replace")[:200]
        message = f"{method} {path}: GitHub answered {answer.status}: {said}"
        raise GitHubError(message)
    return json.loads(answer.data)
