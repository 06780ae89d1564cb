"""The lines that containers wrote, as Cloud Logging has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.gcp.api import LOGGING

if TYPE_CHECKING:
    from mlflow_backend.gcp.api import Api

_PAGE: Final = 1000


def of_execution(api: Api, project: str, execution: str) -> list[str]:
    """Return all lines of a job's execution, oldest first."""
    label = 'labels."run.googleapis.com/execution_name"'
    return _lines(api, project, f'resource.type="cloud_run_job" AND {label}="{execution}"')


def of_service(api: Api, project: str, service: str, *, revision: str = "", newest: int = 0) -> list[str]:
    """Return the lines of a service, oldest first; of one revision if it is named, the `newest` ones if a number is."""
    filters = ['resource.type="cloud_run_revision"', f'resource.labels.service_name="{service}"']
    if revision:
        filters.append(f'resource.labels.revision_name="{revision}"')
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
        found += [str(each["textPayload"]) for each in page.get("entries", []) if "textPayload" in each]
        if newest and len(found) >= newest:
            return found[:newest][::-1]
        if "nextPageToken" not in page:
            return found[::-1] if newest else found
        body["pageToken"] = page["nextPageToken"]
