"""The rollout resource: an update whose revision ECS gave up on fails, with ECS's own reasons (pulumi-aws#4487)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from components.ecs import rollout
from components.ecs.provider import RolloutProvider
from components.ecs.rollout import RolloutFailed
from tests.components.ecs.test_ecs_history import BROKEN, OLD, STARTING, Aws, deployment, service

if TYPE_CHECKING:
    from collections.abc import Callable

PROPS: dict[str, Any] = {
    "region": "eu-west-1", "cluster": "backend", "service": "server", "revision": "42", "locator": {}, "deadline": 600,
}  # fmt: skip


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Aws]:
    """Let ECS answer what a test says, at once."""

    def answer(*answers: dict[str, Any]) -> Aws:
        aws = Aws()
        aws.ecs.answers("DescribeServices", *answers)
        aws.ecs.answers("DescribeTaskDefinition", {"taskDefinition": {}})
        monkeypatch.setattr(rollout, "_history", lambda _: aws.history)
        brought_back = SimpleNamespace(up=lambda: aws.ecs.asked.append(("brought back", {})))
        monkeypatch.setattr(rollout, "open_releases", lambda _: SimpleNamespace(scale=brought_back))
        return aws

    return answer


def test_an_update_ends_when_its_revision_serves(answering: Callable[..., Aws]) -> None:
    """Green means that ECS runs what this update asked for."""
    aws = answering(service(STARTING, OLD), service(deployment(42)))
    created = RolloutProvider().create(PROPS)
    assert created.id == "42"
    assert created.outs == PROPS
    assert aws.ecs.asked[0][0] == "brought back", "what a migration drained is there again before it is waited for"


def test_a_silent_rollback_fails_the_update(answering: Callable[..., Aws]) -> None:
    """The service is stable, at the old revision: Terraform's wait is content with that, this one is not."""
    answering(service(STARTING, OLD), service(deployment(41), BROKEN))
    with pytest.raises(RolloutFailed, match="Revision 42 does not serve") as caught:
        RolloutProvider().create(PROPS)
    assert "circuit breaker: tasks failed to start." in str(caught.value)


@pytest.mark.parametrize(
    ("change", "replaces"),
    [({}, []), ({"revision": "43"}, ["revision"]), ({"deadline": 5}, []), ({"service": "x"}, ["service"])],
)
def test_another_revision_is_waited_for_anew(change: dict[str, Any], replaces: list[str]) -> None:
    """As a replacement, deleted first: a failed update in place would keep the old green entry."""
    diff = RolloutProvider().diff("42", PROPS, {**PROPS, **change})
    assert diff.changes is bool(replaces)
    assert diff.replaces == replaces
    assert diff.delete_before_replace is True


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (service(deployment(42)), True),
        (service(deployment(41)), False),
        ({"services": []}, False),
    ],
)
def test_a_refresh_drops_what_no_longer_serves(
    *, answering: Callable[..., Aws], answer: dict[str, Any], kept: bool
) -> None:
    """Somebody rolled back by hand, or deleted the service: the next update waits again."""
    answering(answer)
    assert bool(RolloutProvider().read("42", PROPS).id) is kept
