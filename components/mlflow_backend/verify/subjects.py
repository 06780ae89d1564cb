"""What is verified: a URL, what is declared about it, and how to learn what the platform runs.

A subject is kept as a document (`subject.json`, or the inputs of the Pulumi resource) that names credentials by
reference. This module also knows which target's history answers for a locator; it imports that target only when asked.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mlflow_backend.offered import stack_of
from mlflow_backend.verify.extra import ExtraCheck, ExtraCheckError

if TYPE_CHECKING:
    from mlflow_backend.schema import Heads

LOCATORS: Final[dict[str, tuple[str, str, Callable[[str], object]]]] = {
    "ecs": ("mlflow_backend.ecs.history", "address", str),
    "ecs-service": ("mlflow_backend.ecs.history", "address", str),
    "local": ("mlflow_backend.local.history", "state", Path),
    "told": ("mlflow_backend.verify.told", "revision", str),
}
"""Kind of locator -> module with `running_revision`, the key of the locator that it takes, and as what."""


class SubjectError(Exception):
    """The subject is not described in a way that can be verified. Names the key and the fix, never a credential."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One backend under verification.

    `expected_version` and `expected_revision` are what the platform was told to run; None leaves the comparison out,
    visibly. `locator` says where the platform's own answer comes from. `credentials` are references, never values.
    `access` is whether the backend must refuse anonymous calls (None: whether credentials are named).
    `hosts` and `origins` are all that the running server was told to let in; where they are known, others are refused.
    `proxied_artifacts` says that artifacts must go through the server. `identity` is what the ledger has recorded of
    database and store, `identity_problem` why that could not be read. `heads` asks the platform for the schema heads
    of the live database (None from it: not to be had from here); it is no part of the document.
    """

    url: str
    expected_version: str | None = None
    expected_revision: str | None = None
    locator: Mapping[str, str] = field(default_factory=dict)
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
    heads: Callable[[], Heads | None] | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SubjectError(
                "url: not an http or https URL with a host. Write it as clients use it, e.g. http://127.0.0.1:5000"
            )
        if parts.username is not None or parts.password is not None:
            raise SubjectError(
                "url: holds credentials. Take them out and name them by reference (file:PATH or env:NAME)"
            )
        if parts.query or parts.fragment:
            raise SubjectError("url: holds a query or a fragment. Give the tracking URL alone")
        for key, value in self.locator.items():
            if not isinstance(value, str):
                raise SubjectError(f"locator.{key}: not a text")

    @property
    def host(self) -> str:
        """The Host header that clients send: name and port as in the URL."""
        return urlsplit(self.url).netloc

    @property
    def stack(self) -> str:
        """The name of the deployed stack, as commands take it; the word STACK where none is known."""
        return stack_of(self.locator) if {"stack", "state"} & set(self.locator) else "STACK"

    @property
    def guarded(self) -> bool:
        """Whether anonymous calls must be refused."""
        return bool(self.credentials) if self.access is None else self.access

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Subject:
        """Read a subject from JSON-like data with the keys of `to_document`. Unknown keys are refused.

        Raises `SubjectError`.
        """
        unknown = set(document) - set(_KEYS)
        if unknown:
            raise SubjectError(f"{', '.join(sorted(unknown))}: unknown here. Known are: {', '.join(_KEYS)}")
        if not isinstance(document.get("url"), str):
            raise SubjectError("url: missing. Give the URL that clients use")
        fields = {_KEYS[key]: value for key, value in document.items() if value is not None}
        if "max_upload_mib" in fields:
            # Pulumi's numbers are floats.
            fields["max_upload_mib"] = int(fields["max_upload_mib"])
        fields |= {name: tuple(fields[name]) for name in ("hosts", "origins") if name in fields}
        try:
            fields["extra_checks"] = tuple(ExtraCheck.from_document(item) for item in fields.get("extra_checks", ()))
        except ExtraCheckError as error:
            raise SubjectError(str(error)) from None
        return cls(**fields)

    def to_document(self) -> dict[str, Any]:
        """The subject as JSON-like data; it holds no credential, only references."""
        return {
            key: _plain(value)
            for key, name in _KEYS.items()
            if (value := getattr(self, name)) not in (None, {}, (), "")
        }

    @classmethod
    def load(cls, path: Path) -> Subject:
        """Read a subject from a JSON file.

        Raises `SubjectError` when the file is missing or is not such a document.
        """
        again = "Deploy the stack again (make up) to write it anew"
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise SubjectError(f"{path}: {error.strerror}. Deploy the stack first (make up), or give a URL") from None
        except OSError as error:
            raise SubjectError(f"{path}: {error.strerror}. Move it away. {again}") from None
        except ValueError:
            raise SubjectError(f"{path}: not JSON. {again}") from None
        if not isinstance(document, dict):
            raise SubjectError(f"{path}: not a JSON object. {again}")
        try:
            return cls.from_document(document)
        except SubjectError as error:
            raise SubjectError(f"{path}: {error}. {again}") from None
        except (AttributeError, TypeError, ValueError):
            raise SubjectError(f"{path}: its keys are not those of a subject. {again}") from None

    def running_revision(self) -> Callable[[], str] | None:
        """How to ask the platform which revision runs now; None where no platform is named.

        Raises `SubjectError` for a kind of locator that is not known.
        """
        if not self.locator:
            return None
        kind = self.locator.get("kind", "")
        if kind not in LOCATORS:
            raise SubjectError(f"locator.kind: {kind or 'missing'}. Known are: {', '.join(LOCATORS)}")
        module, key, wanted = LOCATORS[kind]
        if key not in self.locator:
            raise SubjectError(f"locator.{key}: missing; the kind {kind} is found by it")

        def ask() -> str:
            history = importlib.import_module(module)
            return str(history.running_revision(wanted(self.locator[key])))

        return ask


_KEYS: Final[dict[str, str]] = {
    "url": "url",
    "expectedVersion": "expected_version",
    "expectedRevision": "expected_revision",
    "locator": "locator",
    "credentials": "credentials",
    "access": "access",
    "jobs": "jobs",
    "proxiedArtifacts": "proxied_artifacts",
    "maxUploadMib": "max_upload_mib",
    "caFile": "ca_file",
    "insecure": "insecure",
    "reportPath": "report_path",
    "extraChecks": "extra_checks",
    "hosts": "hosts",
    "origins": "origins",
    "identity": "identity",
    "identityProblem": "identity_problem",
}


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [item if isinstance(item, str) else item.to_document() for item in value]
    return dict(value) if isinstance(value, Mapping) else value
