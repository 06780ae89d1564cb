"""The published verdict beside the artifacts, for dashboards and for jobs that must not train without tracking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import Refused
from mlflow_backend.verify.artifacts import ROUTE
from mlflow_backend.verify.causes import describe
from mlflow_backend.verify.client import Client, Deadline, Transport
from mlflow_backend.verify.credentials import resolve
from mlflow_backend.verify.model import Request

if TYPE_CHECKING:
    from mlflow_backend.verify.report import Report
    from mlflow_backend.verify.subjects import Subject

NAME: Final = "verification.json"
DEADLINE_S: Final = 30.0


def publish(subject: Subject, report: Report) -> str:
    """Upload the report through the server, to the root of its artifacts. Returns what went wrong, or an empty text."""
    try:
        credentials = resolve(subject.credentials, subject.live.secrets)
    except Refused as error:
        return str(error)
    transport = Transport(ca_file=subject.ca_file, insecure=subject.insecure)
    client = Client(subject.url, credentials, transport, request_timeout_s=DEADLINE_S)
    headers = {"Content-Type": "application/json"}
    exchange = client.send(
        Request("PUT", f"{ROUTE}/{NAME}", body=report.json().encode(), headers=headers), deadline=Deadline(DEADLINE_S)
    )
    client.close()
    return "" if exchange.ok else f"{NAME} was not published: {describe(exchange)}"
