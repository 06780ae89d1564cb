"""Behind the request filter, MLflow answers as it does without it: the same requests to both, on one database."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.matrices import rows
from tests.server.parity import REQUESTS
from tests.server.servers import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import urllib3

    from tests.server.services import Services

pytestmark = pytest.mark.engine

#: MLflow's checks for Flask and for FastAPI differ in Vary, in a charset and in what is exposed; these must not differ.
_COMPARED = (
    "access-control-allow-origin",
    "access-control-allow-methods",
    "location",
    "cache-control",
    "content-disposition",
)
#: Times of the moment, and what SQLAlchemy adds to an error.
_PASSING = re.compile(r"\d{13}|already exists\\. Error:.*", re.DOTALL)
#: Behind the request filter the server hands out no addresses of the store, and says so.
_ADDRESSES = re.compile(r'"((?:multipart|presigned)_\w+)": (?:true|false)')


def comparable(answer: urllib3.BaseHTTPResponse) -> tuple[Any, ...]:
    """Return what must be the same of two answers."""
    headers = answer.headers
    kind = headers.get("content-type", "").partition(";")[0]
    text = answer.data.decode(errors="replace")
    body = json.dumps(json.loads(text)) if kind == "application/json" and text else text
    allowed = {each.strip() for each in headers.get("allow", "").split(",")}
    return (
        answer.status,
        _ADDRESSES.sub(r"\1", _PASSING.sub("", body)),
        kind,
        allowed,
        [headers.get(name) for name in _COMPARED],
    )


@pytest.fixture(scope="module", params=rows(("3.4.0", "3.17.2"), shown=("3.17.2",)))
def pair(
    request: pytest.FixtureRequest, services: Services, package: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Server]]:
    """A server with the plugin and one without, on one database."""
    database = f"parity_{request.param.replace('.', '_')}"
    services.postgres.create(database)
    folder = tmp_path_factory.mktemp("parity")
    made = [
        Server(
            version=request.param, services=services, database=database, package=package, folder=folder, plugin=plugin
        )
        for plugin in (False, True)
    ]
    for server in made:
        server.start()
    yield made[0], made[1]
    for server in made:
        server.stop()
    services.postgres.drop(database)


@pytest.mark.parametrize(("method", "path", "document", "headers"), REQUESTS)
def test_the_answer_is_the_one_that_mlflow_gives(
    pair: tuple[Server, Server], method: str, path: str, document: Any, headers: dict[str, str]
) -> None:
    """Status, body and the headers that matter; so the Host check, CORS and errors too."""
    body = None if document is None else json.dumps(document).encode()
    plain, ours = (comparable(server.send(method, path, body=body, headers=headers)) for server in pair)
    if path == "/health":
        # The request filter answers it itself, as text: MLflow's type is HTML before 3.17.
        plain, ours = plain[:2], ours[:2]
    assert ours == plain
