"""A revision that is verified at the address of its tag, where no user meets it (target.Candidate)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import urllib3

from mlflow_backend.cloudrun import traffic
from mlflow_backend.cloudrun.history import release_of
from mlflow_backend.cloudrun.render.containers import LONGEST_START_S
from mlflow_backend.cloudrun.render.service import Traffic, targets
from mlflow_backend.verify.credentials import resolve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.cloudrun.platform import CloudRunPlatform
    from mlflow_backend.verify.subjects import Subject

# What Google's proxy answers while an instance starts, or could not be started yet; a tag's address that was made just
# now is not found for a moment.
_NOT_YET: Final = frozenset({404, 429, 500, 503})


@dataclass(frozen=True, kw_only=True)
class StagedRevision:
    """A revision with a tag and without traffic; `promoted` is the traffic with which it serves, in run.v2's terms."""

    platform: CloudRunPlatform
    revision: str
    version: str
    tag: str
    promoted: Sequence[Mapping[str, Any]]

    @classmethod
    def tagged(cls, platform: CloudRunPlatform, revision: Mapping[str, Any]) -> StagedRevision:
        """Give a revision that is there its tag, if it has none."""
        release, naming = release_of(revision), platform.naming
        tag = naming.tag_of(release.revision)
        kept = traffic.tags(platform.run.service())
        found = cls(
            platform=platform,
            revision=release.revision,
            version=release.mlflow_version,
            tag=tag,
            promoted=targets(Traffic(serving=release.revision, kept={**kept, tag: release.revision})),
        )
        if kept.get(tag) != release.revision:
            platform.run.change(lambda service: {"traffic": traffic.beside(service, tag, release.revision)})
        return found

    @property
    def subject(self) -> Subject:
        """What is verified: the tag's own address, with the users' kind of credentials."""
        return self.platform.subject_at(f"https://{self.platform.naming.host(self.tag)}", self.revision, self.version)

    def warmed(self) -> StagedRevision:
        """Return it as soon as an instance answers, or as one had all the time that it may take to start.

        A revision without traffic has none, and the first request to it waits longer than a verification does. One that
        is called from within the network only is not waited for. Raises what its login's secrets meet; the tag is then
        taken away.
        """
        if self.platform.inside() is None:
            try:
                self._wait()
            except BaseException:
                self.discard()
                raise
        return self

    def _wait(self) -> None:
        subject, pace = self.subject, self.platform.run.pace
        found = resolve(subject.credentials, self.platform.secrets())
        headers = {**found.gate, **found.headers}
        ends, pauses = pace.clock() + LONGEST_START_S, pace.growing()
        while pace.clock() < ends:
            try:
                answer = urllib3.request(
                    "GET", f"{subject.url}/health", headers=headers, timeout=ends - pace.clock(), retries=False
                )
            except urllib3.exceptions.HTTPError:
                pass
            else:
                if answer.status not in _NOT_YET:
                    return
            pace.pause(next(pauses))

    def promote(self) -> None:
        """Give it all of the traffic."""
        self.platform.run.change(lambda _: {"traffic": list(self.promoted)})

    def discard(self) -> None:
        """Take its tag away; the traffic never moved.

        Also a tag that it had before: of a killed command's nobody knows whose it was, and one that fails needs none.
        """
        self.platform.run.change(lambda service: {"traffic": traffic.without(service, {self.tag})})
