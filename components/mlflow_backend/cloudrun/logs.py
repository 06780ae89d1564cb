"""The lines that containers wrote, as Cloud Logging has them.

A line that is a JSON object is kept by its fields and not as a text ('Structured logging'): each of the front's is one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.cloudrun import traffic
from mlflow_backend.gcp.api import LOGGING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow_backend.gcp.api import Api

_PAGE: Final = 1000


def of_execution(api: Api, project: str, execution: Mapping[str, Any]) -> list[str]:
    """Return all lines of a job's execution, oldest first.

    Without a time all of the project's lines are searched, for which one call does not have the time (entries.list).
    """
    label = 'labels."run.googleapis.com/execution_name"'
    filters = [
        'resource.type="cloud_run_job"',
        f'{label}="{traffic.short(execution["name"])}"',
        f'timestamp>="{execution["createTime"]}"',
    ]
    return _lines(api, project, " AND ".join(filters))


def of_service(
    api: Api, project: str, service: str, *, revision: Mapping[str, Any] | None = None, newest: int = 0
) -> list[str]:
    """Return the lines of a service, oldest first; of one revision if it is given, the `newest` ones if a number is."""
    filters = ['resource.type="cloud_run_revision"', f'resource.labels.service_name="{service}"']
    if revision is not None:
        filters += [
            f'resource.labels.revision_name="{traffic.short(revision["name"])}"',
            f'timestamp>="{revision["createTime"]}"',
        ]
    return _lines(api, project, " AND ".join(filters), newest=newest)


def _lines(api: Api, project: str, words: str, *, newest: int = 0) -> list[str]:
    body: dict[str, Any] = {
        "resourceNames": [f"projects/{project}"],
        "filter": words,
        "orderBy": "timestamp desc" if newest else "timestamp asc",
        "pageSize": min(newest or _PAGE, _PAGE),
    }
    found: list[str] = []
    while True:
        page = api.call("POST", LOGGING, "v2/entries:list", body)
        found += [line for each in page.get("entries", []) for line in _line(each)]
        if newest and len(found) >= newest:
            return found[:newest][::-1]
        if "nextPageToken" not in page:
            return found[::-1] if newest else found
        body["pageToken"] = page["nextPageToken"]


def _line(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was written; nothing of an entry of Google's own about a request."""
    if "textPayload" in entry:
        yield str(entry["textPayload"])
    elif "jsonPayload" in entry:
        yield json.dumps(entry["jsonPayload"])
