"""The dynamic resource: it works in `check`, so that a bad image fails the preview, and keeps its frozen names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pulumi.output import UNKNOWN

from mlflow_backend.preflight import resource
from mlflow_backend.preflight.provider import PreflightProvider
from mlflow_backend.preflight.registry import Login
from tests.components.preflight.inputs import inputs

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow_backend.aws.connection import Connection
    from tests.components.preflight.images import Store


def test_a_good_image_is_pinned_among_the_inputs(store: Store) -> None:
    """A preview shows inputs: the digest, the heads and every finding stand there."""
    digest = store.image("good")
    checked = PreflightProvider().check({}, inputs(store, "good"))
    assert checked.failures == []
    assert checked.inputs["pinnedImage"] == f"{store.host}/mlflow@{digest}"
    assert checked.inputs["imageHeads"]["tracking"] == "dc11669786a5"
    assert {finding["outcome"] for finding in checked.inputs["findings"]} == {"pass"}


def test_a_bad_image_fails_the_preview(store: Store) -> None:
    """A failure has the property, the finding and the fix."""
    store.image("arm", architecture="arm64")
    (failure,) = PreflightProvider().check({}, inputs(store, "arm")).failures
    assert failure.property == "server.image"
    assert "exec format error" in failure.reason
    assert "--platform linux/amd64" in failure.reason


@pytest.mark.parametrize("image", ["mlflow", "r.io/a", ""])
def test_the_name_of_no_image_fails_the_preview(store: Store, image: str) -> None:
    """An unknown input asks nobody."""
    (failure,) = PreflightProvider().check({}, inputs(store, "x", image=image)).failures
    assert failure.property == "server.image"


def test_what_is_not_known_yet_is_skipped_visibly(store: Store) -> None:
    """An unknown input is neither looked at nor passed."""
    checked = PreflightProvider().check({}, inputs(store, "x", reader=UNKNOWN))
    assert checked.failures == []
    (finding,) = checked.inputs["findings"]
    assert finding["outcome"] == "skip"
    assert "reader" in finding["message"]


def test_a_login_is_read_from_the_secret_that_tasks_pull_with(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One secret with two keys, as ECS takes it, read with the account that deploys."""
    asked = []

    def value(arn: str, name: str, connection: Connection) -> str:
        asked.append((arn, name, connection.role))
        return f"the-{name}"

    monkeypatch.setattr("mlflow_backend.aws.secret_values.value", value)
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:team/registry-AbCdEf"
    login = resource._login(f"secretsmanager:{arn}", {"region": "eu-west-1", "role": "a-role"})
    assert login == Login(user="the-username", password="the-password")
    assert asked == [(arn, "username", "a-role"), (arn, "password", "a-role")]


def test_a_login_is_named_by_reference(store: Store, tmp_path: Path) -> None:
    """A reference that cannot be read fails; neither it nor a value is guessed."""
    store.image("private")
    secret = tmp_path / "login"
    secret.write_text("user:hunter2\n")
    checked = PreflightProvider().check({}, inputs(store, "private", registryLogin=f"file:{secret}"))
    assert checked.failures == []
    assert "hunter2" not in str(checked.inputs)
    for reference in (f"file:{tmp_path / 'none'}", "hunter2"):
        (failure,) = PreflightProvider().check({}, inputs(store, "private", registryLogin=reference)).failures
        assert "hunter2" not in failure.reason
    secret.write_text("hunter2")
    (failure,) = PreflightProvider().check({}, inputs(store, "private", registryLogin=f"file:{secret}")).failures
    assert "USER:PASSWORD" in failure.reason
    assert "hunter2" not in failure.reason


def test_only_a_real_change_is_one(store: Store) -> None:
    """A finding that reads otherwise deploys nothing; a tag that moved does."""
    store.image("same")
    first = PreflightProvider().check({}, inputs(store, "same")).inputs
    again = PreflightProvider().check({}, inputs(store, "same")).inputs
    assert PreflightProvider().diff("x", first, again).changes is False
    assert PreflightProvider().diff("x", first, {**again, "findings": []}).changes is False
    store.image("same", user="10002")
    moved = PreflightProvider().check({}, inputs(store, "same")).inputs
    assert PreflightProvider().diff("x", first, moved).changes is True
    assert resource.changed(first, moved) == ["pinnedImage"]


def test_creating_and_updating_keep_what_was_found() -> None:
    """Without `update` an input change would wipe the outputs."""
    assert PreflightProvider().create({"a": 1}).outs == {"a": 1}
    assert PreflightProvider().update("x", {}, {"a": 2}).outs == {"a": 2}
