"""Whether quotas and limit ranges can hold a backend: tables of quantities, and of what does not fit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from mlflow_backend.kubernetes.rendered import at_once
from mlflow_backend.kubernetes.room import lacking, quantity
from tests.components.kubernetes.stacks import settings_of

SERVER = {"resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}}}
JOB = {"resources": {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}}}
RUNNING = [(3, SERVER), (1, JOB), (0, JOB)]


def quota(hard: dict[str, str], **spec: Any) -> dict[str, Any]:
    """A ResourceQuota."""
    return {"metadata": {"name": "team"}, "spec": {"hard": hard, **spec}}


def limits(kind: str = "Container", **item: dict[str, str]) -> dict[str, Any]:
    """A LimitRange."""
    return {"metadata": {"name": "bounds"}, "spec": {"limits": [{"type": kind, **item}]}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("1", "1"), ("0.5", "0.5"), ("250m", "0.25"), (2, "2"), ("100n", "1e-7"), ("1e3", "1000"), ("1k", "1000")),
        *(("1Ki", "1024"), ("512Mi", str(512 * 2**20)), ("2Gi", str(2**31)), ("3G", "3000000000")),
    ],
)
def test_quantities_are_read_as_kubernetes_reads_them(text: object, value: str) -> None:
    """A suffix that is read wrong is a thousand times too much."""
    assert quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "1 Gi", "Gi", "1Gib", "-1"])
def test_what_is_no_quantity_is_none(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match="not a quantity"):
        quantity(text)


@pytest.mark.parametrize(
    ("quotas", "ranges", "words"),
    [
        ([], [], ()),
        ([quota({"requests.cpu": "2", "memory": "3584Mi"})], [], ()),
        ([quota({"cpu": "1900m"})], [], ("cpu", "1900m", "2")),
        ([quota({"requests.memory": "3Gi"})], [], ("3Gi", "3584Mi")),
        ([quota({"pods": "1"})], [], ()),
        ([quota({"limits.cpu": "100"})], [], ("limits.cpu", "LimitRange")),
        ([quota({"limits.cpu": "100"})], [limits(default={"cpu": "1"})], ()),
        ([quota({"cpu": "1"}, scopes=["Terminating"])], [], ()),
        ([quota({"cpu": "1"}, scopeSelector={"matchExpressions": []})], [], ()),
        ([quota({"services.loadbalancers": "0", "persistentvolumeclaims": "0"})], [], ()),
        ([], [limits(max={"memory": "2Gi", "cpu": "1"}, min={"cpu": "500m"})], ()),
        ([], [limits(max={"memory": "1500Mi"})], ("bounds", "1500Mi", "2048Mi")),
        ([], [limits("Pod", min={"memory": "600Mi"})], ("600Mi", "512Mi")),
        ([], [limits("PersistentVolumeClaim", max={"storage": "1Gi", "memory": "1"})], ()),
    ],
    ids=[
        *("nothing", "just enough", "cpu", "memory", "pods", "a limit that no Job names", "and its default"),
        *("some pods only", "selected pods only", "other kinds", "within bounds", "over the most", "under the least"),
        "volumes",
    ],
)
def test_what_can_never_fit_is_named_with_both_sizes(
    quotas: list[dict[str, Any]], ranges: list[dict[str, Any]], words: tuple[str, ...]
) -> None:
    """Each would be a pod that is refused in the middle of an update."""
    found = list(lacking(quotas, ranges, RUNNING))
    assert len(found) == bool(words)
    assert all(word in found[0] for word in words)


def test_an_update_counts_one_server_more_a_job_and_the_stores_of_its_own() -> None:
    """What runs at other times has to fit by itself and is not added."""
    created, adopted = (at_once(settings_of(variant)) for variant in ("cluster", "adopted"))
    assert sorted(count for count, _ in created if count) == [1, 1, 1, settings_of().server.replicas + 1]
    assert sorted(count for count, _ in adopted if count) == [1, settings_of().server.replicas + 1]
