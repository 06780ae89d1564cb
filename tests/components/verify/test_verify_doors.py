"""The checks that each host and each origin is let in, and no other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.codec import from_document, to_document
from mlflow_backend.contract import Refused, Release
from mlflow_backend.local.locator import LocalLocator
from mlflow_backend.local.platform import LocalPlatform
from mlflow_backend.local.state import StateDir
from mlflow_backend.server import AllowedCallers
from mlflow_backend.target import Described
from mlflow_backend.verification import execution
from mlflow_backend.verify import runner
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.request import VerifyRequest
from mlflow_backend.verify.serving import FOREIGN
from mlflow_backend.verify.subjects import Subject
from tests.components.verify.fake_mlflow import Asked, FakeMLflow, Reply, error

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow_backend.verify.report import CheckReport

HOSTS = ("a.example", "a.example:8443", "[fd00::2]:1")
ORIGINS = ("https://a.example", "http://app.example:3000")


def checked(server: FakeMLflow, name: str, **more: Any) -> CheckReport:
    """Verify and return one check."""
    return runner.run(Subject(url=server.url, **more), VerifyRequest(deadline_s=30, only=(name,))).result_of(name)


def letting_in(server: FakeMLflow, *names: str) -> None:
    """Refuse every host and origin but these, as MLflow does; the server's own host is one."""

    def fault(asked: Asked) -> Reply | None:
        if asked.path in {"/health", "/version"}:
            return None
        own = asked.headers["host"] == server.url.removeprefix("http://")
        if not own and asked.headers["host"] not in names:
            return error(403, "", "Invalid Host header - possible DNS rebinding attack detected")
        if asked.headers.get("origin", names[0]) not in names:
            return error(403, "", "Cross-origin request blocked")
        return None

    server.fault = fault


def test_each_host_is_tried_and_a_foreign_one_is_refused(server: FakeMLflow) -> None:
    """The requests name each host once."""
    letting_in(server, *HOSTS)
    assert checked(server, "host", hosts=HOSTS).result is Result.PASS
    assert {*HOSTS, FOREIGN} <= {asked.headers["host"] for asked in server.asked}


@pytest.mark.parametrize("refused", HOSTS)
def test_a_host_that_is_refused_is_red_by_its_name(server: FakeMLflow, refused: str) -> None:
    """The settings name it, and users who call it get nothing."""
    letting_in(server, *(host for host in HOSTS if host != refused))
    found = checked(server, "host", hosts=HOSTS)
    assert (found.result, found.code) == (Result.FAIL, "host-refused")
    assert refused in found.sentence


def test_a_server_that_answers_to_any_host_is_red(server: FakeMLflow) -> None:
    """A front that rewrites Host takes the protection away."""
    assert checked(server, "host", hosts=HOSTS).code == "host-open"


def test_where_nobody_says_which_hosts_there_are_only_the_public_one_is_tried(server: FakeMLflow) -> None:
    """Any MLflow server can be verified, one that lets everybody in too."""
    assert checked(server, "host").result is Result.PASS
    assert checked(server, "origin").result is Result.PASS
    assert FOREIGN not in {asked.headers["host"] for asked in server.asked}


def test_each_origin_is_tried_and_a_foreign_one_is_refused(server: FakeMLflow) -> None:
    """A browser's pages from there may write, others may not."""
    letting_in(server, *ORIGINS)
    assert checked(server, "origin", origins=ORIGINS).result is Result.PASS
    assert {*ORIGINS, f"https://{FOREIGN}"} <= {asked.headers.get("origin") for asked in server.asked}


@pytest.mark.parametrize("refused", ORIGINS)
def test_an_origin_that_is_refused_is_red(server: FakeMLflow, refused: str) -> None:
    """The settings name it."""
    letting_in(server, *(origin for origin in ORIGINS if origin != refused))
    assert checked(server, "origin", origins=ORIGINS).result is Result.FAIL


def test_a_server_that_any_page_may_write_to_is_red(server: FakeMLflow) -> None:
    """A front that takes the Origin away takes the protection away."""
    assert checked(server, "origin", origins=ORIGINS).code == "origin-open"


def test_hosts_and_origins_go_into_a_network_with_the_subject() -> None:
    """The job that verifies inside a network gets them."""
    subject = Subject(url="http://a", hosts=HOSTS, origins=ORIGINS)
    assert from_document(Subject, json.loads(json.dumps(to_document(subject)))) == subject


@pytest.mark.parametrize(("gone", "hosts"), [(False, HOSTS), (True, ())])
def test_whom_a_server_lets_in_is_asked_of_the_revision_that_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, gone: bool, hosts: tuple[str, ...]
) -> None:
    """The server's own command says it; of a revision that is gone nobody knows."""

    def describe(_self: object, revision: str) -> Described:
        if gone:
            raise Refused("gone", code="of-a-test")
        release = Release(revision=revision, mlflow_version="3.17.2")
        return Described(release=release, identity="a", callers=AllowedCallers(hosts=HOSTS))

    monkeypatch.setattr(LocalPlatform, "describe", describe)
    state = StateDir(tmp_path / "stack")
    subject = Subject(url="http://a", locator=LocalLocator.of(state), expected_revision="1")
    assert execution.asking(subject).hosts == hosts
