"""Fixes by the cluster's own words on pods that do not become ready. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.kubernetes.naming import SERVER

if TYPE_CHECKING:
    from collections.abc import Sequence

# Word of the cluster -> what to do; the more specific first. Whoever is refused for a quota is also `forbidden`, and a
# container that is killed for its memory also ends again and again. `own` are the part's settings.
_FIXES: Final[Sequence[tuple[str, str]]] = (
    ("exceeded quota", "Raise the namespace's quota: an update needs room for one server more, and for a Job"),
    ("is forbidden", "Let the cluster's admission policies take the pod: the words above name the field"),
    ("denied the request", "Let the cluster's admission webhook take the pod: the words above name the field"),
    ("InvalidImageName", "Correct {own}.image"),
    ("ErrImageNeverPull", "Load the image into the nodes"),
    ("ErrImagePull", "See that the nodes get {own}.image: digest, registry, kubernetes.server.imagePullSecret"),
    ("ImagePullBackOff", "See that the nodes get {own}.image: digest, registry, kubernetes.server.imagePullSecret"),
    ("exec format error", "Build {own}.image for the nodes' architecture, or set kubernetes.architecture to its own"),
    ("OOMKilled", "Raise {own}.memory"),
    ("CreateContainerConfigError", "Make the Secret or the key that is named above"),
    ("PersistentVolume", "See that kubernetes.database.storageClass gives volumes: kubectl describe pvc"),
    ("persistent volumes", "See that kubernetes.database.storageClass gives volumes: kubectl describe pvc"),
    ("Unschedulable", "Give the cluster a node with room for the pod, or lower kubernetes.{part}.cpuRequest"),
    ("CrashLoopBackOff", "Mend what the last lines of its log name: it ends while it starts"),
    ("probe failed", "See by the log what it waits for, or raise kubernetes.server.rolloutDeadline if it needs longer"),
)


def fix_of(words: Sequence[str], *, part: str = SERVER) -> str | None:
    """Return what to do about the most specific of the cluster's words on a part, None if none is known."""
    said, own = "\n".join(words), part if part == SERVER else f"kubernetes.{part}"
    return next((fix.format(own=own, part=part) for word, fix in _FIXES if word in said), None)
