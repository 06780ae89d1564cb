"""Who has the traffic, by the service's own document, and how a backend is found again."""

from __future__ import annotations

from typing import Any

import pytest

from mlflow_backend.cloudrun import traffic
from mlflow_backend.cloudrun.locator import CloudRunLocator, locator_of
from mlflow_backend.cloudrun.oneshot import drawing
from mlflow_backend.locator import from_document
from tests.components.cloudrun.stacks import NAMING, VARIANTS, changed

LATEST = {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}
OLD = {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": "s-r0", "percent": 100}


@pytest.mark.parametrize(
    ("service", "serving"),
    [
        (None, None),
        ({}, None),
        ({"trafficStatuses": [OLD]}, "s-r0"),
        ({"trafficStatuses": [LATEST], "latestReadyRevision": "projects/p/revisions/s-r1"}, "s-r1"),
        ({"trafficStatuses": [LATEST]}, None),
        ({"trafficStatuses": [{**OLD, "percent": 50}, {**LATEST, "percent": 50}]}, None),
        ({"trafficStatuses": [OLD], "scaling": {"scalingMode": "MANUAL"}}, None),
        ({"trafficStatuses": [OLD], "scaling": {"scalingMode": "MANUAL", "manualInstanceCount": 1}}, "s-r0"),
    ],
)
def test_one_revision_serves_or_none(service: dict[str, Any] | None, serving: str | None) -> None:
    """What is asked for is not yet so; of two that share the users none is the one that was verified."""
    assert traffic.serving(service) == serving


@pytest.mark.parametrize(
    ("state", "ready", "failed"),
    [("CONDITION_SUCCEEDED", True, False), ("CONDITION_FAILED", False, True), ("CONDITION_PENDING", False, False)],
)
def test_a_service_says_how_it_is(state: str, *, ready: bool, failed: bool) -> None:
    """Its last condition is the sum of all; while it is being changed it says nothing yet."""
    service = {"terminalCondition": {"type": "Ready", "state": state, "message": "said"}}
    assert (traffic.is_ready(service), traffic.has_failed(service)) == (ready, failed)
    assert traffic.reasons(service) == (("Ready: said",) if failed else ())
    assert not traffic.is_ready({**service, "reconciling": True})


def test_another_condition_that_failed_is_no_failure() -> None:
    """A revision whose minimum of instances is not there yet is ready."""
    assert not traffic.has_failed({"conditions": [{"type": "MinInstancesProvisioned", "state": "CONDITION_FAILED"}]})


def test_tags_name_their_revisions() -> None:
    """The latest one's is the newest revision that became ready."""
    targets = [{**OLD, "tag": "r0"}, {**LATEST, "percent": 0, "tag": "r1"}, OLD]
    service = {"traffic": targets, "latestReadyRevision": "x/s-r1"}
    assert traffic.tags(service) == {"r0": "s-r0", "r1": "s-r1"}
    assert traffic.tags(None) == {}


HALVES = [{**OLD, "percent": 50}, {**OLD, "revision": "s-r1", "percent": 50, "tag": "r1"}]
NEW = {**LATEST, "percent": 0, "tag": "r2"}


@pytest.mark.parametrize(
    ("before", "ready", "after"),
    [
        ([LATEST], "s-r0", [OLD, NEW]),
        ([{**LATEST, "tag": "r0"}], "s-r0", [{**OLD, "tag": "r0"}, NEW]),
        ([OLD], "s-r1", [OLD, NEW]),
        ([OLD, NEW], "s-r1", [OLD, NEW]),
        (HALVES, "s-r1", [*HALVES, NEW]),
        ([], "", [{**LATEST, "tag": "r2"}]),
        ([{**LATEST, "tag": "r1"}], "", [{**LATEST, "tag": "r2"}]),
    ],
)
def test_a_candidate_takes_nothing_from_those_who_serve(
    before: list[dict[str, Any]], ready: str, after: list[dict[str, Any]]
) -> None:
    """Also if somebody has shared the traffic among several by hand; if nobody serves, it serves at once."""
    assert traffic.beside({"traffic": before, "latestReadyRevision": ready}, "r2") == after


def test_a_tag_of_an_older_revision_takes_nothing_either() -> None:
    """A tag that named another revision names this one afterwards."""
    service = {"traffic": [{**LATEST, "tag": "r0"}], "latestReadyRevision": "x/s-r1"}
    tagged = {**OLD, "percent": 0, "tag": "r0"}
    assert traffic.beside(service, "r0", "s-r0") == [{**OLD, "revision": "s-r1"}, tagged]
    assert traffic.without({"traffic": [OLD, tagged]}, {"r0"}) == [OLD]
    assert traffic.without({"traffic": [{**OLD, "tag": "r0"}]}, {"r0"}) == [OLD]


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_locator_is_read_again(variant: str) -> None:
    """Whoever has the store's address finds all parts by it, without Pulumi."""
    found = locator_of(changed(variant, {}), NAMING)
    assert from_document(found.document()) == found
    assert found.naming == NAMING
    assert found.address == found.store.address("")[: len(found.address)]


@pytest.mark.parametrize(
    ("variant", "references"),
    [
        ("basic", {"username": "gcp-secret:shop-gcp-mlflow-admin-user#latest"}),
        ("token", {"token": "gcp-secret:shop-gcp-mlflow-verification-api-key#latest"}),
        ("iam", {"identityToken": f"gcp-identity:{NAMING.email('verify')}#{NAMING.url()}"}),
        (
            "both",
            {
                "username": "gcp-secret:shop-gcp-mlflow-admin-user#latest",
                "gateToken": f"gcp-identity:{NAMING.email('verify')}#{NAMING.url()}",
                "gateHeader": "X-Serverless-Authorization",
            },
        ),
    ],
)
def test_verification_logs_in_as_users_do(variant: str, references: dict[str, str]) -> None:
    """References only: the locator is in Pulumi's state and in the store."""
    found: CloudRunLocator = locator_of(changed(variant, {}), NAMING)
    assert references.items() <= found.credentials.items()


def test_a_verification_inside_the_network_draws_its_token_there() -> None:
    """By the account that it runs as, which is an invoker; beside the server's own login in Google's second header."""
    internal = {"gcp": {"network": {"ingress": "internal"}}}
    drawn = "env:MLFLOW_BACKEND_PROBE_IDENTITY"
    alone, both = (locator_of(changed(each, internal), NAMING).credentials_inside for each in ("iam", "both"))
    assert alone == {"identityToken": drawn}
    assert {"gateToken": drawn, "gateHeader": "X-Serverless-Authorization"}.items() < both.items()
    statements = drawing("TOKEN", NAMING.url())
    assert NAMING.url() in statements
    compile(f"pass{statements}", "fetch", "exec")


def test_a_stopped_service_has_no_tag_either() -> None:
    """At a tag one instance would start, whoever asks there: an old server beside the one writer of a migration."""
    service = {"traffic": [OLD, {**OLD, "percent": 0, "revision": "s-r1", "tag": "r1"}]}
    found = traffic.stopped(service)
    assert found == {"scaling": {"scalingMode": "MANUAL", "manualInstanceCount": 0}, "traffic": [OLD]}
    assert traffic.stopped({**service, **found}) == {}


def test_tags_are_given_again_to_their_revisions() -> None:
    """Exactly those that are wanted; that of a first deployment's revision, which has no name yet, is left alone."""
    service = {"traffic": [{**OLD, "tag": "r0"}, {**OLD, "percent": 0, "revision": "s-r2", "tag": "r2"}]}
    assert traffic.tagged(service, {"r0": "s-r0", "r1": "s-r1", "r3": ""}) == [
        {**OLD, "tag": "r0"},
        {**OLD, "percent": 0, "revision": "s-r1", "tag": "r1"},
    ]


@pytest.mark.parametrize(("pinned", "serving", "tags"), [(None, "s-r2", {"r1", "r2"}), ("s-r1", "s-r1", {"r1"})])
def test_what_a_rollback_may_go_to_has_its_tag(pinned: str | None, serving: str, tags: set[str]) -> None:
    """Whatever a migration has taken away; a service that was deployed once keeps the latest's traffic."""
    service = {"traffic": [OLD]}
    found = traffic.declared(service, revision="s-r2", tag="r2", pinned=pinned, kept={"r1": "s-r1"})
    assert (found.serving, found.first, set(found.kept)) == (serving, None, tags)
    first = {"traffic": [LATEST], "latestCreatedRevision": "x/s-r2"}
    assert traffic.declared(first, revision="s-r2", tag="r2", pinned=None, kept={}).first == "r2"
    assert traffic.declared(None, revision="s-r2", tag="r2", pinned=None, kept={}).first == "r2"


@pytest.mark.parametrize("revision", ["00007-abc", "r0123456", "r0123456z", "x-r01234567"])
def test_a_foreign_revision_has_no_tag_of_ours(revision: str) -> None:
    """Google's own names would be no tag, because they do not begin with a letter."""
    assert NAMING.tag_of(NAMING.revision("0123456789abcdef")) == "r01234567"
    assert not NAMING.tag_of(f"{NAMING.service()}-{revision}")
