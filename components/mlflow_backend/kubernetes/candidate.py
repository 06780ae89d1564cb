"""A new release as a Deployment of one replica with a Service of its own: verified before the servers are rolled.

It has the new release's own pod template, so what is verified is what users will meet. It is gone before they do: the
servers are then rolled by their Deployment.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.kubernetes.history import KubernetesHistory
from mlflow_backend.kubernetes.naming import CANDIDATE
from mlflow_backend.kubernetes.render.server import FIELD_MANAGER, VERSION
from mlflow_backend.locator import from_document
from mlflow_backend.releases import update
from mlflow_backend.releases.targets import open_releases
from mlflow_backend.rollout import serves_on
from mlflow_backend.server import allowed_callers
from mlflow_backend.verification import execution

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.kubernetes.platform import KubernetesPlatform
    from mlflow_backend.server import AllowedCallers
    from mlflow_backend.verify.subjects import Subject

INPUTS: Final = ("locator", "identity", "secrets")
"""What makes it another candidate; how it is verified does not."""


@dataclass(frozen=True, kw_only=True)
class KubernetesCandidate:
    """A candidate that runs (target.Candidate)."""

    platform: KubernetesPlatform
    revision: str
    version: str
    callers: AllowedCallers

    @property
    def subject(self) -> Subject:
        """What is verified: the candidate's own Service, which no proxy stands in front of."""
        url = f"http://{self.platform.naming.host(CANDIDATE)}"
        return replace(
            self.platform.subject_at(url, self.revision, self.version),
            proxied=False,
            hosts=self.callers.hosts,
            origins=self.callers.origins,
        )

    def promote(self) -> None:
        """Make way for the servers, which have its pod template."""
        self.discard()

    def discard(self) -> None:
        """Delete it."""
        discard(self.platform)


def changed(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Tell whether there is another release, or a candidate that a killed update left behind."""
    if any(olds.get(key) != news.get(key) for key in INPUTS):
        return True
    platform = open_releases(from_document(news["locator"])).platform
    return platform.api.get("Deployment", platform.naming.part(CANDIDATE)) is not None


def verify(props: Mapping[str, Any]) -> None:
    """Verify the release apart from users; nothing if nobody is served yet, or an older revision is to be.

    Raises CandidateFailed and PlatformFailed; the servers are as they were.
    """
    releases = open_releases(from_document(props["locator"]))
    platform: KubernetesPlatform = releases.platform
    discard(platform)
    if props["pinned"] or platform.serving() is None:
        return
    try:
        candidate = _start(platform, props)
        verify = partial(
            execution.run_apart,
            extra=props["verification"],
            running=lambda: candidate.revision,
            within=platform.verifier(),
        )
        update.serve(candidate, verify=verify)
    except update.CandidateFailed as failure:
        now = serves_on(releases, props)
        raise update.CandidateFailed(failure.revision, failure.report, now=now) from None


def discard(platform: KubernetesPlatform) -> None:
    """Delete the candidate, if there is one."""
    name = platform.naming.part(CANDIDATE)
    platform.api.delete("Deployment", name)
    platform.api.delete("Service", name)


def _start(platform: KubernetesPlatform, props: Mapping[str, Any]) -> KubernetesCandidate:
    api, deployment = platform.api, json.loads(props["deployment"])
    try:
        api.apply("Deployment", deployment, manager=FIELD_MANAGER)
        api.apply("Service", json.loads(props["service"]), manager=FIELD_MANAGER)
        history = KubernetesHistory(api=api, naming=platform.naming, component=CANDIDATE)
        revision = _revision(history)
        outcome = history.wait(revision, deadline_s=float(deployment["spec"]["progressDeadlineSeconds"]) + 30)
    except BaseException:
        discard(platform)
        raise
    if not outcome.serving:
        discard(platform)
        lines = "\n".join(f"  - {reason}" for reason in outcome.reasons)
        said = serves_on(open_releases(platform.locator), props)
        raise PlatformFailed(
            f"The new release does not start, so it was ended before any user met it. {said}\n{lines}",
            code="candidate-not-starting",
        )
    template = deployment["spec"]["template"]
    return KubernetesCandidate(
        platform=platform,
        revision=revision,
        version=template["metadata"]["annotations"][VERSION],
        callers=allowed_callers(template["spec"]["containers"][0]["command"]),
    )


def _revision(history: KubernetesHistory) -> str:
    """Return the candidate's revision, as soon as its controller has made one. Raises PlatformFailed."""
    ends = history.pace.clock() + 60
    while (found := history.wanted()) is None:
        if history.pace.clock() >= ends:
            raise PlatformFailed(
                "no ReplicaSet was made within a minute",
                code="candidate-not-made",
                fix="See that the cluster's controllers run",
                part=history.naming.part(CANDIDATE),
            )
        history.pace.pause(history.pace.poll_s)
    return found
