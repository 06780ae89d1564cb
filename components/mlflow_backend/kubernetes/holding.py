"""What an update of a stack on Kubernetes serves: what the settings describe, or what the ledger holds it to.

Read by the program at every update, by plain calls and before any resource: no store yet is no hold, one that cannot be
read is a refusal, because a pin may stand in it. A revision that the update is held to gives its own pod template: what
Pulumi then registers is what the cluster has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlflow_backend.kubernetes.history import release_of, template_of
from mlflow_backend.releases.holds import hold_of, refuse_disagreement
from mlflow_backend.releases.journal import refuse_unfinished, rollback_journal
from mlflow_backend.releases.ledger import Ledger

if TYPE_CHECKING:
    from mlflow_backend.contract import Release
    from mlflow_backend.kubernetes.platform import KubernetesPlatform


@dataclass(frozen=True, kw_only=True)
class Held:
    """The revision that is served instead of what the settings describe, its pod template, and why."""

    revision: str
    release: Release
    template: dict[str, Any]
    why: str
    manual: bool


def held(platform: KubernetesPlatform, identity: str, *, requested: str | None) -> Held | None:
    """Return what the ledger holds the stack to; None if it is free to serve the release of this identity.

    Raises Refused if the settings ask for another pin, if a rollback was interrupted, and if the revision is gone;
    PlatformFailed if ledger or cluster cannot be read.
    """
    refuse_unfinished(rollback_journal(platform.store))
    state = Ledger(platform.store, by="").state()
    refuse_disagreement(state, requested)
    hold = hold_of(state, settings_hash=identity)
    if hold is None:
        return None
    found = platform.revision(hold.revision)
    return Held(
        revision=hold.revision,
        release=release_of(found),
        template=template_of(found),
        why=hold.why,
        manual=hold.manual,
    )
