"""What is said to do about the cluster's words, as Kubernetes 1.34 and containerd word them."""

from __future__ import annotations

import pytest

from mlflow_backend.kubernetes.fixes import fix_of

WORDS = (
    ("Failed to pull image: rpc error: ErrImagePull", "imagePullSecret"),
    ("Back-off pulling image: ImagePullBackOff", "imagePullSecret"),
    ("exec /usr/local/bin/mlflow: exec format error", "kubernetes.architecture"),
    ("server-1: OOMKilled, exit code 137", "server.memory"),
    ('pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3', "quota"),
    ("pods \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: no", "policies"),
    ('admission webhook "x" denied the request: no', "webhook"),
    ("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims", "storageClass"),
    ("Unschedulable: 0/1 nodes are available: 1 Insufficient memory", "node"),
    ('CreateContainerConfigError: secret "x" not found', "Secret"),
    ("CrashLoopBackOff: back-off 10s restarting failed container", "log"),
    ("Unhealthy: Startup probe failed: HTTP probe failed with statuscode: 503", "rolloutDeadline"),
)


@pytest.mark.parametrize(("said", "part"), WORDS)
def test_each_of_the_clusters_words_has_its_fix(said: str, part: str) -> None:
    """The fix names what somebody has to change."""
    assert part in str(fix_of([said]))


@pytest.mark.parametrize("cause", ["exec format error", "OOMKilled", "CreateContainerConfigError"])
def test_the_cause_is_mended_and_not_what_follows_from_it(cause: str) -> None:
    """A container that ends again and again, or whose probe fails, has often said why."""
    after = ["CrashLoopBackOff: back-off", "Startup probe failed"]
    assert fix_of([*after, cause]) == fix_of([cause]) != fix_of(after)


def test_unknown_words_have_no_fix() -> None:
    """A guess would send people to the wrong part."""
    assert fix_of(["FailedMount: something new"]) is None
