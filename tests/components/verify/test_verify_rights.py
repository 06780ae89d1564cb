"""The check of what weaker users may do: red if they may do more, and none of them is left."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.verify import runner
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.request import VerifyRequest
from mlflow_backend.verify.subjects import Subject
from tests.components.verify.fake_mlflow import MISSING, REST, Asked, Reply, as_json, error

if TYPE_CHECKING:
    from tests.components.verify.fake_full import FullMLflow

ADMINISTRATOR = "ann"
FORBIDDEN = error(403, "PERMISSION_DENIED")


class Users:
    """MLflow's users up to 3.10, who may do what they were given, and `more`."""

    def __init__(self, more: str = "", *, admin: bool = True) -> None:
        """`more`: a role and a call that is not refused, such as `reader runs/create`."""
        self.more, self.admin = more, admin
        self.given: dict[str, str] = {}
        self.made: list[str] = []

    def __call__(self, asked: Asked) -> Reply | None:
        """Answer what is about users, and refuse what the sender was not given."""
        if asked.path.startswith("/health"):
            return None
        if "authorization" not in asked.headers:
            return error(401, "UNAUTHENTICATED")
        name = base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")).decode().partition(":")[0]
        call = asked.path.removeprefix(REST)
        if call.startswith("users/") or "permissions" in call:
            return self._managed(asked, call)
        if name == ADMINISTRATOR:
            return None
        reads = call == "experiments/get" and self.given[name] == "READ"
        if reads or self.more == f"{name.split('-')[1]} {call}":
            return as_json({"experiment": {}})
        return FORBIDDEN

    def _managed(self, asked: Asked, call: str) -> Reply:
        if call == "users/get":
            name = asked.query["username"]
            if name != ADMINISTRATOR and name not in self.given:
                return MISSING
            permissions = [{"experiment_id": "1", "permission": self.given.get(name)}] if self.given.get(name) else []
            user = {"is_admin": self.admin, "experiment_permissions": permissions, "registered_model_permissions": []}
            return as_json({"user": user})
        name = asked.json["username"]
        match call:
            case "users/create":
                self.given[name] = ""
                self.made.append(name)
            case "users/delete":
                assert self.given.pop(name) == "", "MLflow deletes nobody who has a permission left"
            case "experiments/permissions/create":
                self.given[name] = asked.json["permission"]
            case "experiments/permissions/delete":
                self.given[name] = ""
        return as_json({})


@pytest.mark.parametrize(
    ("users", "result", "code", "made"),
    [
        (Users(), Result.PASS, "", 2),
        (Users("reader runs/create"), Result.FAIL, "rights-open", 2),
        (Users("nobody experiments/get"), Result.FAIL, "rights-open", 2),
        (Users("nobody runs/create"), Result.FAIL, "rights-open", 2),
        (Users(admin=False), Result.SKIP, "", 0),
    ],
)
def test_a_user_who_may_do_more_than_was_given_is_red(
    full_server: FullMLflow, monkeypatch: pytest.MonkeyPatch, users: Users, result: Result, code: str, made: int
) -> None:
    """Whatever the result, the users that were made for it are gone."""
    monkeypatch.setenv("PROBE_USER", ADMINISTRATOR)
    monkeypatch.setenv("PROBE_PASSWORD", "of-the-administrator")
    full_server.fault = users
    subject = Subject(url=full_server.url, credentials={"username": "env:PROBE_USER", "password": "env:PROBE_PASSWORD"})
    report = runner.run(subject, VerifyRequest(profile="full", deadline_s=60, only=("rights",)))
    found = report.result_of("rights")
    assert (found.result, found.code) == (result, code), found.sentence
    assert (len(users.made), users.given) == (made, {})


def test_without_users_of_mlflow_it_is_a_visible_skip(full_server: FullMLflow) -> None:
    """Keys and open servers have no readers among MLflow's users."""
    report = runner.run(Subject(url=full_server.url), VerifyRequest(profile="full", deadline_s=60, only=("rights",)))
    assert report.result_of("rights").result is Result.SKIP
