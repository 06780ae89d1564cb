"""The contract of every target: words, results, errors and exit codes shared by the program and the scripts.

It owns no behaviour of any target and imports no pulumi at run time, so that a script that only needs an exit code
starts quickly.
"""

from __future__ import annotations

import enum
import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import pulumi


class ExitCode(enum.IntEnum):
    """How every script of the project ends (docs: design, section 5)."""

    DONE = 0
    VERIFICATION_FAILED = 1
    USAGE = 2
    REFUSED = 3
    PLATFORM_FAILED = 4
    INCONCLUSIVE = 5
    CHANGES = 6


class BackendError(Exception):
    """What was found on which part, and what to do about it: the text is for people, and never holds a secret.

    Callers distinguish cases by `code`; docs/messages.md lists all. The text is one line of sentences: each text that
    is passed in may end with its full stop or without.
    """

    exit_code = ExitCode.PLATFORM_FAILED

    def __init__(self, finding: str, *, code: str, fix: str = "", part: str = "") -> None:
        """Keep the parts apart, so that a caller can add to one of them. `part` is the key or resource concerned."""
        found = f"{part}: {finding}" if part else finding
        super().__init__(" ".join(sentence(text) for text in (found, fix) if text))
        self.code, self.finding, self.fix, self.part = code, finding, fix, part


class Refused(BackendError):
    """A request that was understood and declined before anything was touched."""

    exit_code = ExitCode.REFUSED


class UsageError(Refused):
    """A request that means nothing, or asks for what does not exist: an option, a setting, a file."""

    exit_code = ExitCode.USAGE


class PlatformFailed(BackendError):
    """A platform, or a part of the backend, did not do what it was asked for."""


class VerificationFailed(BackendError):
    """What serves is not what the settings describe, or does not work."""

    exit_code = ExitCode.VERIFICATION_FAILED


def not_deployed(stack: str, where: str, finding: str) -> Refused:
    """Return the error for a stack that has no backend on its platform."""
    return Refused(
        f"Stack {stack} has no backend in {where}: {finding}",
        code="backend-not-found",
        fix=f"Log in to where it is, or deploy it first with `make up STACK={stack}`",
    )


def sentence(text: str) -> str:
    """Return a text with its full stop, unless it ends a sentence or begins a list."""
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."


@dataclass(frozen=True, kw_only=True)
class Release:
    """What a revision runs.

    `image_digest` names the image on the clouds, `environment_lock` the hash of the installed requirements on
    `local`; exactly one of them is set. `schema_head` is the Alembic revision that the MLflow version requires.
    `access` is the mode of access that the revision was started with, and `keyed` whether it is given the stack's own
    encryption keys, None if that is not known.
    """

    revision: str
    mlflow_version: str
    image_digest: str | None = None
    environment_lock: str | None = None
    schema_head: str | None = None
    access: str | None = None
    keyed: bool | None = None


# What MLflow's own clients read, for each kind of credentials by the keys of its references.
_CLIENT_VARIABLES = {
    "username": "MLFLOW_TRACKING_USERNAME",
    "password": "MLFLOW_TRACKING_PASSWORD",
    "apiKey": "MLFLOW_TRACKING_TOKEN",
}


def client_lines(
    tracking_url: str, credentials: Mapping[str, str] | None = None, *, sign_in: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Return the lines that a client needs, to paste into a shell and a Python session.

    `credentials` are references; one to a file is read by the shell, so that no line holds a value. `sign_in` are
    variables of what signs in and renews its token (`client/`).
    """
    read = {
        _CLIENT_VARIABLES[key]: reference.removeprefix("file:")
        for key, reference in (credentials or {}).items()
        if key in _CLIENT_VARIABLES and reference.startswith("file:")
    }
    return (
        f"export MLFLOW_TRACKING_URI={tracking_url}",
        *(f"export {name}=\"$(cat '{path}')\"" for name, path in read.items()),
        *(f"export {name}={value}" for name, value in (sign_in or {}).items()),
        f'mlflow.set_tracking_uri("{tracking_url}")',
    )


@dataclass(frozen=True, kw_only=True)
class BackendOutputs:
    """The stack outputs that every target gives.

    `verification` holds verdict, summary, table and report path; `locator` is the address by which every command finds
    the backend (`locator.at`).
    """

    tracking_url: pulumi.Input[str]
    release: pulumi.Input[Mapping[str, Any]]
    verification: pulumi.Input[Mapping[str, Any]]
    artifact_root: pulumi.Input[str]
    dashboard_url: pulumi.Input[str | None]
    client: pulumi.Input[Sequence[str]]
    locator: pulumi.Input[str]

    def exports(self) -> dict[str, pulumi.Input[Any]]:
        """Return the outputs by exported name; `__main__` passes each to `pulumi.export`."""
        return {
            "trackingUrl": self.tracking_url,
            "release": self.release,
            "verification": self.verification,
            "artifactRoot": self.artifact_root,
            "dashboardUrl": self.dashboard_url,
            "client": self.client,
            "locator": self.locator,
        }


RevisionState = Literal["serving", "starting", "stopped", "failed", "gone"]


@dataclass(frozen=True, kw_only=True)
class Revision:
    """One immutable unit of the platform; `id` is what `activate` and `--to` accept.

    `created_at` is in UTC, None if reading it would cost one API call per revision.
    """

    id: str
    release: Release
    state: RevisionState
    created_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class WaitOutcome:
    """How waiting for a revision ended; `reasons` are the platform's own words, oldest first, without secrets.

    `start_s` is the platform's own count of seconds from the start until it called the revision ready.
    """

    serving: bool
    reasons: tuple[str, ...] = ()
    start_s: float | None = None


class History(Protocol):
    """The five verbs by which every target's revisions are read and switched."""

    def revisions(self) -> Sequence[Revision]:
        """Return all revisions that the platform still holds, newest first."""

    def current(self) -> Revision | None:
        """Return the revision that the platform serves now; None when it serves none."""

    def activate(self, revision: str) -> None:
        """Make `revision` the one that is served. Raises Refused when the platform no longer holds it."""

    def wait(self, revision: str, *, deadline_s: float) -> WaitOutcome:
        """Wait until `revision` serves or has failed, at most `deadline_s` seconds."""

    def prune(self, *, retain: int, spared: frozenset[str]) -> Sequence[str]:
        """Drop all but the newest `retain` revisions; never the current one or those in `spared`. Return them."""


def next_step(error: OSError) -> str:
    """Return what to do if the system refuses access to a file."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "Free space on its disk, and repeat"
    if error.errno in {errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY}:
        return "Move away what has its name, and repeat"
    return "Make its folder writable for this user, and repeat"
