"""A new release as a revision with a tag and without traffic: verified there, then given all of it.

The revision is made here and not by Pulumi's resource of the service, which gives traffic to a revision that is there
and finds everything as it declares it. A first deployment has no users, and is verified as a whole.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.cloudrun import traffic
from mlflow_backend.cloudrun.staged import StagedRevision
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.gcp.api import RUN
from mlflow_backend.locator import from_document
from mlflow_backend.releases import update
from mlflow_backend.releases.targets import open_releases
from mlflow_backend.rollout import serves_on
from mlflow_backend.verification import execution

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.cloudrun.platform import CloudRunPlatform

INPUTS: Final = ("revision", "pinned")
"""What makes it another candidate; how it is verified does not."""


def changed(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether there is another release, or a tag that a killed update left behind or took away."""
    if any(olds.get(key) != news.get(key) for key in INPUTS):
        return True
    platform: CloudRunPlatform = open_releases(from_document(news["locator"])).platform
    return traffic.tags(platform.run.service()).keys() != _tags(news).keys()


def verify(props: Mapping[str, Any]) -> None:
    """Verify the release apart from users, and give it the traffic; nothing of it if an older one is to be served.

    Tags that a killed update left are taken away, and those that a migration took are given again. Raises
    CandidateFailed and PlatformFailed; the traffic never moved.
    """
    releases = open_releases(from_document(props["locator"]))
    platform: CloudRunPlatform = releases.platform
    service = platform.run.service()
    if service is None:
        return
    serves = props["pinned"] or traffic.routed(service) == props["revision"]
    _set_tags(platform, {tag: each for tag, each in _tags(props).items() if serves or each != props["revision"]})
    if serves:
        return
    # A migration ended every instance, of those with a tag only too. An old server does not start on the new schema.
    platform.resume_servers()
    try:
        candidate = _start(platform, props).warmed()
        verify = partial(
            execution.run_apart,
            extra=props["verification"],
            running=lambda: candidate.revision,
            within=platform.inside(),
        )
        update.serve(candidate, verify=verify)
    except update.CandidateFailed as failure:
        now = serves_on(releases, props)
        raise update.CandidateFailed(failure.revision, failure.report, now=now) from None


def _start(platform: CloudRunPlatform, props: Mapping[str, Any]) -> StagedRevision:
    """Make the revision with its tag, unless it is there; PlatformFailed if it does not become ready."""
    name, run = str(props["revision"]), platform.run
    found = run.api.get(RUN, f"{run.path}/revisions/{name}")
    if found is None:
        template = json.loads(props["template"])
        try:
            run.change(lambda service: {"template": template, "traffic": traffic.beside(service, props["tag"])})
        except PlatformFailed as failure:
            raise _not_starting(platform, props, failure) from None
        found = run.revision(name)
    if traffic.has_failed(found):
        raise _not_starting(platform, props, None)
    return replace(StagedRevision.tagged(platform, found), promoted=json.loads(props["traffic"]))


def _not_starting(platform: CloudRunPlatform, props: Mapping[str, Any], failure: PlatformFailed | None) -> Exception:
    """Take the tag away, and return why the revision does not start, in Google's words."""
    run, name = platform.run, str(props["revision"])
    run.change(lambda service: {"traffic": traffic.without(service, {props["tag"]})})
    there = run.api.get(RUN, f"{run.path}/revisions/{name}") is not None
    words = [failure.finding] if failure is not None else []
    words += platform.last_words(name) if there else []
    lines = "\n".join(f"  - {word}" for word in dict.fromkeys(words))
    said = serves_on(open_releases(platform.locator), props)
    return PlatformFailed(
        f"The new release does not start, so no user met it. {said}\n{lines}",
        code="revision-not-starting",
        fix="Mend the cause, and repeat: the same release is tried again as another revision",
    )


def _set_tags(platform: CloudRunPlatform, wanted: Mapping[str, str]) -> None:
    """Let the service have exactly these tags; a revision without one and without traffic has no instance."""

    def changed(service: Mapping[str, Any]) -> dict[str, Any]:
        same = traffic.tags(service).keys() == wanted.keys()
        return {} if same else {"traffic": traffic.tagged(service, wanted)}

    platform.run.change(changed)


def _tags(props: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags that the update ends with; the revision of a first deployment's is not named."""
    return {str(each["tag"]): str(each.get("revision", "")) for each in json.loads(props["traffic"]) if each.get("tag")}
