"""A revision that is verified at the address of its tag, where no user meets it (target.Candidate)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlflow_backend.cloudrun import traffic
from mlflow_backend.cloudrun.history import release_of
from mlflow_backend.cloudrun.render.service import Traffic, targets
from mlflow_backend.verify.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.cloudrun.platform import CloudRunPlatform


@dataclass(frozen=True, kw_only=True)
class StagedRevision:
    """A revision with a tag and without traffic.

    `promoted` and `discarded` are the traffic after the one and the other, as run.v2 spells it.
    """

    platform: CloudRunPlatform
    revision: str
    version: str
    tag: str
    promoted: Sequence[Mapping[str, Any]]
    discarded: Sequence[Mapping[str, Any]] = field(repr=False)

    @classmethod
    def tagged(cls, platform: CloudRunPlatform, revision: Mapping[str, Any]) -> StagedRevision:
        """Give a revision that is there its tag, if it has none."""
        release, naming = release_of(revision), platform.naming
        tag = release.revision.removeprefix(f"{naming.service()}-")
        before = platform.run.service() or {}
        kept, serving = traffic.tags(before), traffic.routed(before)
        with_tag = {**kept, tag: release.revision}
        found = cls(
            platform=platform,
            revision=release.revision,
            version=release.mlflow_version,
            tag=tag,
            promoted=targets(Traffic(serving=release.revision, kept=with_tag)),
            discarded=before.get("traffic", []),
        )
        if tag not in kept:
            platform.run.change(lambda _: {"traffic": targets(Traffic(serving=serving, kept=with_tag))})
        return found

    @property
    def subject(self) -> Subject:
        """What is verified: the tag's own address, with the users' kind of credentials."""
        locator = self.platform.locator
        return Subject(
            url=f"https://{self.platform.naming.host(self.tag)}",
            expected_version=self.version,
            expected_revision=self.revision,
            locator=locator,
            stack=locator.stack,
            credentials=locator.credentials,
            access=locator.access != "none",
        )

    def promote(self) -> None:
        """Give it all of the traffic."""
        self.platform.run.change(lambda _: {"traffic": list(self.promoted)})

    def discard(self) -> None:
        """Take its tag away; the traffic never moved."""
        self.platform.run.change(lambda _: {"traffic": list(self.discarded)})
