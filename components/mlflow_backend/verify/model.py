"""The values of verification: results, findings, and what one exchange with a server showed."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Result(StrEnum):
    """What a check came to. `inconclusive` means that the probe itself could not run.

    `warn`: MLflow works, and something that people chose or did will surprise some of its users; it turns no verdict.
    """

    PASS = "pass"  # noqa: S105 - a result, not a password
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"
    INCONCLUSIVE = "inconclusive"


class Certainty(StrEnum):
    """How sure a cause is: `known` if nothing else explains what came back, `likely` if it is the usual reason."""

    KNOWN = "known"
    LIKELY = "likely"


class Part(StrEnum):
    """The part of a backend that a check shows to work: a failure's cause is looked for there first."""

    SERVER = "server"
    DATABASE = "database"
    ARTIFACTS = "artifacts"
    CACHE = "cache"
    ACCESS = "access"
    UI = "ui"
    PLATFORM = "platform"


class Trouble(StrEnum):
    """Why an exchange brought no complete HTTP answer."""

    REFUSED = "refused"
    NAME_UNKNOWN = "name-unknown"
    NO_ROUTE = "no-route"
    CONNECT_TIMEOUT = "connect-timeout"
    READ_TIMEOUT = "read-timeout"
    CLOSED = "closed"
    TRUNCATED = "truncated"
    NOT_HTTP = "not-http"
    ENCODING = "encoding"
    TLS_EXPIRED = "tls-expired"
    TLS_SELF_SIGNED = "tls-self-signed"
    TLS_UNTRUSTED = "tls-untrusted"
    TLS_WRONG_NAME = "tls-wrong-name"
    TLS_BROKEN = "tls-broken"
    REDIRECT_LOOP = "redirect-loop"
    TOO_LARGE = "too-large"
    DEADLINE = "deadline"


@dataclass(frozen=True)
class Request:
    """One request below the base URL; `path` starts with a slash.

    `endpoint`: the path without identifiers, as the latency table shows it. `anonymous`: without credentials.
    `patient`: a large transfer, which may take all the time that is left. `alone`: on a connection of its own.
    """

    method: str
    path: str
    _: KW_ONLY
    endpoint: str = ""
    query: Mapping[str, str] | None = None
    json: Mapping[str, Any] | None = None
    body: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    anonymous: bool = False
    patient: bool = False
    alone: bool = False

    @property
    def called(self) -> str:
        """The method and the endpoint."""
        return f"{self.method} {self.endpoint or self.path}"


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request and what came back. `status` is None exactly when `trouble` is set.

    Header names are lower case. `body` is the whole answer; only excerpts of it ever leave the process.
    """

    method: str
    path: str
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    trouble: Trouble | None = None
    detail: str = ""
    elapsed_ms: float = 0.0
    timeout_s: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether a complete answer with a 2xx status came."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - HTTP's class of success

    @property
    def called(self) -> str:
        """The request as a sentence names it, e.g. `POST /api/2.0/mlflow/runs/create`."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found: a result, one sentence and, when it is not green, the likely cause and the next step.

    `code` names the cause for machines, e.g. `database-away`; codes are the vocabulary of `causes`.
    """

    result: Result
    sentence: str
    code: str = ""
    cause: str = ""
    next_step: str = ""
    certainty: Certainty = Certainty.LIKELY

    @property
    def stated_cause(self) -> str:
        """The cause as people read it: a guess says that it is one."""
        if not self.cause or self.certainty is Certainty.KNOWN:
            return self.cause
        return f"Likely: {self.cause}"


def passed(sentence: str) -> Finding:
    """Make a green finding."""
    return Finding(result=Result.PASS, sentence=sentence)


def skipped(sentence: str) -> Finding:
    """Make a finding for a check that does not apply here; the sentence says why."""
    return Finding(result=Result.SKIP, sentence=sentence)


def failed(sentence: str, *, code: str, cause: str, next_step: str, certainty: Certainty = Certainty.LIKELY) -> Finding:
    """Make a red finding with its cause, how sure that is, and the next step."""
    return Finding(
        result=Result.FAIL, sentence=sentence, code=code, cause=cause, next_step=next_step, certainty=certainty
    )


def warned(sentence: str, *, code: str, cause: str, next_step: str) -> Finding:
    """Make a finding that turns no verdict and that people should read; its cause is what was seen."""
    return Finding(
        result=Result.WARN,
        sentence=sentence,
        code=code,
        cause=cause,
        next_step=next_step,
        certainty=Certainty.KNOWN,
    )


def inconclusive(sentence: str, *, code: str, cause: str, next_step: str) -> Finding:
    """Make the finding of a check that could not be run for a reason on the probe's side, which the probe knows."""
    return Finding(
        result=Result.INCONCLUSIVE,
        sentence=sentence,
        code=code,
        cause=cause,
        next_step=next_step,
        certainty=Certainty.KNOWN,
    )


@dataclass(eq=False)
class Unexpected(Exception):
    """An answer from which a check cannot go on; `causes.explain` turns the exchange into a finding.

    `otherwise` is the finding if no rule knows why; the other fields are those of `FailureContext`.
    """

    exchange: Exchange
    _: KW_ONLY
    fresh: bool = False
    large: bool = False
    also: Exchange | None = None
    missing: Exchange | None = None
    otherwise: Finding | None = None

    def __str__(self) -> str:
        """Name the request."""
        return self.exchange.called
