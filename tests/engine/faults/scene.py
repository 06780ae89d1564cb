"""The stage on which faults are played: one deployed stack, and what faults need besides.

A fault is a context manager: it takes the scene, yields the subject to verify, and fixes what it broke. Faults of a
front yield a subject behind the front; the control run goes through the same front without its hook.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import psycopg2

from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.local import credentials, ports, revisions
from mlflow_backend.local.naming import DATABASE
from mlflow_backend.local.platform import LocalPlatform
from mlflow_backend.verification import execution
from mlflow_backend.verify import runner
from mlflow_backend.verify.checks import CORE
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.request import VerifyRequest
from tests.engine.calls import eventually
from tests.engine.faults.front import Front

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mlflow_backend.verify.report import Report
    from mlflow_backend.verify.subjects import Subject
    from tests.engine.faults.front import Answer, Request
    from tests.engine.stack import LocalStack

RECOVERY_S = 60


@dataclass
class Scene:
    """A deployed stack with its subject, and certificates to serve it with."""

    stack: LocalStack
    certificates: Path
    others: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Further MLflow servers, on databases of their own, that faults lead requests to: by version."""
    passed: set[tuple[object, str]] = field(default_factory=set)
    """Controls of fronts that were green, each with its profile: what a front does leaves no trace in the stack."""

    @property
    def subject(self) -> Subject:
        """The stack as it describes itself for a verification on demand."""
        # The revision that was deployed, whether it runs or a fault has stopped it.
        active = revisions.active(self.stack.state)
        assert active is not None, "nothing was ever served"
        found = DeployedBackend(LocalPlatform(self.stack.state)).subject(str(active.number))
        return replace(found, report_path=None, live=execution.asking(found).live)

    @property
    def port(self) -> int:
        """The stack's public port."""
        return ports.known(self.stack.state)["front"]

    def sql(self, *statements: str) -> list[tuple[object, ...]]:
        """Run statements in MLflow's database, as its administrator; return the rows of the last, where it has some."""
        connection = psycopg2.connect(
            host="127.0.0.1",
            port=ports.known(self.stack.state)["database"],
            user="postgres",
            password=credentials.read(self.stack.state, credentials.DATABASE_ADMIN),
            dbname=DATABASE,
            connect_timeout=5,
        )
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()

    def recovered(self) -> None:
        """Wait until the stack passes again what a fault made it fail."""
        eventually(
            lambda: verify(self.subject, deadline_s=10, profile="core").verdict is Result.PASS,
            within_s=RECOVERY_S,
            what="the stack works again",
        )


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One row of the table: a mechanism, the check that must not pass, and the cause that must be named."""

    mechanism: str
    check: str
    code: str
    play: Callable[[Scene], AbstractContextManager[Subject]]
    control: Callable[[Scene], AbstractContextManager[Subject]]
    verdict: Result = Result.FAIL
    deadline_s: float = 20
    skipped_unless: Callable[[], str] = lambda: ""
    """Says why the fault cannot be played on this machine; empty if it can."""

    @property
    def profile(self) -> str:
        """The smallest profile that must find it."""
        return "core" if self.check in {check.name for check in CORE} | {"cleanup"} else "full"

    @property
    def name(self) -> str:
        """How the row is called in the tests' output."""
        return f"{self.mechanism} -> {self.check}: {self.code}".replace(" ", "_")


def verify(subject: Subject, *, deadline_s: float = 60, profile: str = "full") -> Report:
    """Verify as `make verify` does."""
    return runner.run(subject, VerifyRequest(profile=profile, deadline_s=deadline_s))


def prove(scene: Scene, fault: Fault) -> None:
    """Green without the fault; with it the named check is not green, for the named cause, inside the deadline."""
    shown = (fault.control, fault.profile)
    if shown not in scene.passed:
        with fault.control(scene) as subject:
            control = verify(subject, profile=fault.profile)
        assert control.verdict is Result.PASS, control.text()
        assert not [check for check in control.checks if check.result is Result.WARN], control.text()
    if fault.control is plain_front:
        scene.passed.add(shown)
    with fault.play(scene) as subject:
        report = verify(subject, profile=fault.profile, deadline_s=fault.deadline_s)
    assert report.verdict is fault.verdict, report.text()
    assert report.result_of(fault.check).code == fault.code, report.text()
    assert report.result_of(fault.check).next_step
    assert report.checks_ms + report.cleanup_ms <= fault.deadline_s * 1000


def repeating(wanted: str) -> Callable[[Scene], AbstractContextManager[Subject]]:
    """A front that sends a POST to this route twice, and passes the second answer on."""

    @contextmanager
    def play(scene: Scene) -> Iterator[Subject]:
        with Front(("127.0.0.1", scene.port)) as front:

            def twice(request: Request) -> Request:
                if request.method == "POST" and request.path.endswith(wanted):
                    front.send_on(request)
                return request

            front.before = twice
            yield replace(scene.subject, url=front.url)

    return play


@contextmanager
def healthy(scene: Scene) -> Iterator[Subject]:
    """The control of a fault of the backend itself: the stack as it is."""
    yield scene.subject


@contextmanager
def plain_front(scene: Scene) -> Iterator[Subject]:
    """The control of a fault of a front: the same front without its hooks."""
    with Front(("127.0.0.1", scene.port)) as front:
        yield replace(scene.subject, url=front.url)


def behind_front(
    before: Callable[[Request], Request | Answer] | None = None,
    after: Callable[[Request, Answer], Answer] | None = None,
    **changes: object,
) -> tuple[Callable[[Scene], AbstractContextManager[Subject]], Callable[[Scene], AbstractContextManager[Subject]]]:
    """A fault of a front and its control, the plain front. `changes` hold for the subject."""

    @contextmanager
    def play(scene: Scene) -> Iterator[Subject]:
        with Front(("127.0.0.1", scene.port)) as front:
            front.before = before or front.before
            front.after = after or front.after
            yield replace(scene.subject, url=front.url, **changes)  # type: ignore[arg-type]

    return play, plain_front
