"""The switch from one server revision to another without a dropped request.

The new server is started beside the old one and asked for its version. It is a candidate until one file is replaced:
then the proxy sends every following request to it, and the old one is stopped when the last of its requests is
answered.
"""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local import causes, credentials, guard, ports, processes, revisions
from mlflow_backend.local.locator import LocalLocator
from mlflow_backend.local.naming import tracking_url
from mlflow_backend.local.state import write
from mlflow_backend.local.supervisor import RUNS, Supervisor
from mlflow_backend.server.describe import READY
from mlflow_backend.verify.credentials import resolve
from mlflow_backend.verify.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.local.revisions import Record
    from mlflow_backend.local.state import StateDir

# A server needs 11 s on two idle cores, and MLflow gives up on an unreachable database after 107 s (measured).
START_TIMEOUT_S = 120.0
_PROBE_TIMEOUT_S = 5.0
_ANSWER_BYTES = 2000
_POLL_S = 0.05
_FIRST_USES = (
    "/api/2.0/mlflow/experiments/search?max_results=1",
    "/api/2.0/mlflow/registered-models/search?max_results=1",
)
# A request may have read the old address and not yet be connected: the old server is called idle only when it had
# no connection at several looks in a row.
_IDLE_LOOKS = 10


@dataclass(frozen=True, kw_only=True)
class LocalCandidate:
    """A new revision whose server runs beside the active one, behind the proxy's second port (target.Candidate)."""

    state: StateDir
    record: Record
    start_s: float
    """Seconds from its start until it was ready."""

    @property
    def revision(self) -> str:
        """Its number."""
        return str(self.record.number)

    @property
    def subject(self) -> Subject:
        """What is verified: it is called through the proxy, as users call the active one."""
        return subject(self.state, self.record, port="candidate")

    @property
    def runs(self) -> bool:
        """Whether its server runs."""
        status = Supervisor(self.state).status(self.record.program.name)
        return status is not None and status.state in RUNS

    def promote(self) -> None:
        """Send every following request to it, and end the server before it. Raises PlatformFailed if it has ended."""
        if not self.runs:
            self.discard()
            finding, part = "it was ended before the switch", self.record.program.name
            raise PlatformFailed(finding, code="candidate-ended", fix="Repeat the update", part=part)
        _promote(self.state, self.record)

    def discard(self) -> None:
        """End its server and forget the revision, which nobody ever met."""
        Supervisor(self.state).remove(self.record.program.name)
        forget_candidate(self.state)


def write_candidate(state: StateDir, record: Record) -> None:
    """Write a new revision. Whatever is killed from here on is found by its address, which is written first."""
    write(state.candidate, record.address)
    revisions.save(state, record)


def stage(state: StateDir, record: Record, *, start_timeout_s: float = START_TIMEOUT_S) -> LocalCandidate:
    """Start a new revision's server beside the active one.

    Raises PlatformFailed if the database is at another schema than its MLflow's, and if the server does not get ready;
    nothing of the revision is left then.
    """
    try:
        start_s = _start(state, record, start_timeout_s)
    except BaseException:
        Supervisor(state).remove(record.program.name)
        forget_candidate(state)
        raise
    return LocalCandidate(state=state, record=record, start_s=start_s)


def activate(state: StateDir, record: Record, *, start_timeout_s: float = START_TIMEOUT_S) -> None:
    """Make a revision that was served before the one that serves.

    Raises PlatformFailed if the database is at another schema than this MLflow's, and if the server does not get ready:
    the old one then still serves, and nothing of the new one runs.
    """
    previous = revisions.active(state)
    try:
        _start(state, record, start_timeout_s)
    except BaseException:
        if previous is None or previous.number != record.number:
            Supervisor(state).remove(record.program.name)
        raise
    _promote(state, record)


def clear_up(state: StateDir) -> None:
    """End what a killed update left beside the server that serves, and forget a candidate that it never promoted."""
    serving = revisions.active(state)
    retire_others(state, None if serving is None else serving.number)
    forget_candidate(state)


def forget_candidate(state: StateDir) -> None:
    """Drop the revision that the candidate's port leads to unless it was promoted, and the address."""
    candidate, active = revisions.candidate(state), revisions.active(state)
    if candidate is not None and candidate != active:
        revisions.drop(state, candidate.number)
    state.candidate.unlink(missing_ok=True)


def retire_others(state: StateDir, serving: int | None) -> None:
    """Stop every server program but the serving revision's; an update that was killed may have left some."""
    keep = None if serving is None else revisions.program_name(serving)
    supervisor = Supervisor(state)
    for name in supervisor.programs():
        if revisions.number_of(name) is not None and name != keep:
            supervisor.remove(name)


def subject(state: StateDir, record: Record, *, port: str = "front") -> Subject:
    """Return the subject of a verification of a revision; `port` names the proxy's that leads to it."""
    return Subject(
        url=tracking_url(ports.known(state)[port], record.path_prefix),
        expected_version=record.mlflow_version,
        expected_revision=str(record.number),
        locator=LocalLocator.of(state),
        stack=state.path.name,
        jobs=record.jobs,
        max_upload_mib=record.max_artifact_mib or None,
        credentials=credentials.references(state, record.access),
        access=record.access != "none",
        report_path=str(state.report),
    )


def answer(record: Record, path: str, *, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Return status and body that the revision's server gives for a path, (0, reason) if it gives none."""
    connection = http.client.HTTPConnection(ports.LOOPBACK, record.port, timeout=_PROBE_TIMEOUT_S)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read(_ANSWER_BYTES).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, type(error).__name__
    finally:
        connection.close()


def _start(state: StateDir, record: Record, timeout_s: float) -> float:
    """Start a revision's server; return the seconds until it was ready."""
    guard.refuse_other_schema(state, record)
    started = time.monotonic()
    Supervisor(state).apply(record.program)
    _wait(Supervisor(state), state, record, timeout_s)
    return time.monotonic() - started


def _promote(state: StateDir, record: Record) -> None:
    previous = revisions.active(state)
    write(state.active, record.address)
    state.candidate.unlink(missing_ok=True)
    if previous is not None and previous.number != record.number:
        _drain(state, previous)
    retire_others(state, record.number)


def _wait(supervisor: Supervisor, state: StateDir, record: Record, timeout_s: float) -> None:
    headers = resolve(credentials.references(state, record.access)).headers
    try:
        supervisor.wait(
            record.program.name,
            lambda: answer(record, READY)[0] == http.client.OK,
            timeout_s=timeout_s,
            hopeless=causes.is_hopeless,
        )
    except PlatformFailed as failure:
        raise causes.explain_start(_with_words(record, headers, failure), record.mlflow_version) from None
    # MLflow 3.0 to 3.5 runs Alembic in each store's first use, and two at once break each other (KeyError 'script',
    # measured on 3.4.0): so both stores are used once, one after the other, before clients come.
    for path in _FIRST_USES:
        answer(record, path, headers=headers)
    status, version = answer(record, "/version", headers=headers)
    # Where the credentials are refused (401), verification says so, with its cause.
    if status == http.client.OK and version != record.mlflow_version:
        finding = f"127.0.0.1:{record.port} answers as MLflow {version}, {record.mlflow_version} was started"
        raise PlatformFailed(
            finding,
            code="server-port-taken",
            fix="End the process that holds the port and repeat",
            part=record.program.name,
        )
    if not processes.listens(processes.marked(str(state.path), record.program.name), record.port):
        finding = f"127.0.0.1:{record.port} answers, but no process of this revision listens on it"
        raise PlatformFailed(
            finding,
            code="server-port-of-another",
            fix="End the process that holds the port and repeat",
            part=record.program.name,
        )


def _with_words(record: Record, headers: Mapping[str, str], failure: PlatformFailed) -> PlatformFailed:
    """Return the failure with the server's own words, if it answers and says why it is not ready."""
    status, body = answer(record, READY, headers=headers)
    if status == 0:
        return failure
    try:
        detail = json.loads(body).get("detail")
    except (ValueError, AttributeError):
        detail = None
    return PlatformFailed(
        f"{detail or f'{READY} answers {status}'}\n{failure.finding}",
        code="server-unhealthy",
        fix=failure.fix,
        part=failure.part,
    )


def _drain(state: StateDir, old: Record) -> None:
    """Wait until the old server has answered its last request, at most as long as it may take to end."""
    family = processes.marked(str(state.path), old.program.name)
    deadline = time.monotonic() + old.program.stop_timeout_s
    idle = 0
    while idle < _IDLE_LOOKS and time.monotonic() < deadline:
        idle = 0 if processes.connections(family, old.port) else idle + 1
        time.sleep(_POLL_S)
