"""The subject of a verification: a URL, what is declared about it, and how to learn what the platform runs.

A subject names credentials by reference. What else than the URL may be asked (`Live`) is no part of its document:
whoever runs the checks says it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping  # noqa: TC003 - `codec` reads the declared types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mlflow_backend.contract import UsageError
from mlflow_backend.locator import Locator  # noqa: TC001 - `codec` reads the declared types
from mlflow_backend.verify.extra import ExtraCheck  # noqa: TC001 - as above

if TYPE_CHECKING:
    from mlflow_backend.schema import Heads


@dataclass(frozen=True, kw_only=True)
class Live:
    """What can be asked besides the URL, from where the checks run; None for what cannot.

    `running` gives the revision that the platform runs, empty if none; `heads` the schema heads of the live database,
    None if it is not reached. `secrets` reads references by their scheme, and gives a value or an empty text, and what
    is wrong. `no_heads` says why the database is not asked.
    """

    running: Callable[[], str] | None = None
    heads: Callable[[], Heads | None] | None = None
    secrets: Mapping[str, Callable[[str], tuple[str, str]]] = field(default_factory=dict)
    no_heads: str = "no platform is named that could be asked for the database's schema"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One backend under verification.

    `expected_version` and `expected_revision` are the platform's current release; None leaves the comparison out,
    visibly. `locator` says where the platform's own answer comes from. `credentials` are references, never values.
    `access` is whether the backend must refuse anonymous calls (None: whether credentials are named).
    `hosts` and `origins` are all that the running server admits; if they are known, others are refused.
    `proxied_artifacts` says that artifacts must go through the server. `identity` is what the ledger has recorded of
    database and store, `identity_problem` why that could not be read. `plain_http` says that the backend's own front
    speaks plain HTTP, so that TLS before it is somebody else's. `proxied` is whether callers come through the backend's
    own front; a candidate may be called at its own address. `live` is no part of the document.
    """

    url: str
    expected_version: str | None = None
    expected_revision: str | None = None
    locator: Locator | None = None
    credentials: Mapping[str, str] = field(default_factory=dict)
    access: bool | None = None
    jobs: bool = False
    proxied_artifacts: bool = True
    max_upload_mib: int | None = None
    ca_file: str | None = None
    insecure: bool = False
    report_path: str | None = None
    extra_checks: tuple[ExtraCheck, ...] = ()
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    identity: Mapping[str, str] = field(default_factory=dict)
    identity_problem: str = ""
    plain_http: bool = True
    proxied: bool = True
    stack: str = "STACK"
    live: Live = field(default_factory=Live, compare=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageError(
                "url: not an http or https URL with a host. Write it as clients use it, e.g. http://127.0.0.1:5000",
                code="url-malformed",
            )
        if parts.username is not None or parts.password is not None:
            raise UsageError(
                "url: holds credentials. Take them out and name them by reference (file:PATH or env:NAME)",
                code="url-with-credentials",
            )
        if parts.query or parts.fragment:
            raise UsageError("url: holds a query or a fragment. Give the tracking URL alone", code="url-with-query")

    @property
    def host(self) -> str:
        """The Host header that clients send: name and port as in the URL."""
        return urlsplit(self.url).netloc

    @property
    def guarded(self) -> bool:
        """Whether anonymous calls must be refused."""
        return bool(self.credentials) if self.access is None else self.access
