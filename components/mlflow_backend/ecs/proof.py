"""What ends an update: the platform's wait, re-encryption, verification, the ledger's entry and the hold, in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi

from mlflow_backend.aws.render.balancer import rollout_deadline
from mlflow_backend.ecs.provider import Rollout
from mlflow_backend.migrate.provider import Reencryption, warn_of_lost
from mlflow_backend.releases.provider import Hold, LedgerEntry, LedgerEntryArgs
from mlflow_backend.verification.provider import Verification, VerificationArgs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.ecs.holding import Held
    from mlflow_backend.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Served:
    """What an update says that it serves. `digest` is over the identity of everything that serving depends on.

    `keys` is the version of the encryption keys that the servers have.
    """

    url: pulumi.Output[str]
    release: pulumi.Output[dict[str, Any]]
    revision: pulumi.Output[str]
    locator: pulumi.Output[dict[str, str]]
    credentials: pulumi.Input[Mapping[str, str]]
    digest: pulumi.Output[str]
    keys: pulumi.Output[str]


def prove(  # noqa: PLR0913 - what is proved and how, by name
    name: str,
    *,
    settings: Settings,
    naming: Naming,
    held: Held | None,
    served: Served,
    report_path: str,
    service: pulumi.Resource,
    needs: Sequence[pulumi.Resource],
    parent: pulumi.Resource,
) -> Verification:
    """Register the five resources and return the verification. `needs` is what it runs in, besides the service."""
    rollout = Rollout(
        f"{name}-rollout",
        region=naming.region,
        cluster=naming.cluster(),
        service=naming.service(),
        revision=served.revision,
        locator=served.locator,
        deadline_s=rollout_deadline(settings.server.request_timeout),
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[service]),
    )
    reencryption = Reencryption(
        f"{name}-reencryption",
        locator=served.locator,
        mlflow_version=settings.server.mlflow_version,
        # A held revision may have other keys: what it reads is left as it is.
        keys="" if held else served.keys,
        # After the rollout: no server is left that has other keys, or would write with them.
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[rollout, *needs]),
    )
    warn_of_lost(reencryption, parent)
    verification = Verification(
        f"{name}-verification",
        VerificationArgs(
            url=served.url,
            release=served.release,
            serving_digest=served.digest,
            locator=served.locator,
            report_path=report_path,
            profile=settings.verify.profile,
            on_failure=settings.verify.on_failure,
            deadline=settings.verify.deadline,
            when=settings.verify.when,
            access=settings.access.mode != "none",
            credentials=served.credentials,
            jobs=settings.server.jobs,
            max_upload_mib=settings.server.max_artifact_mib or None,
            extra_checks=tuple(check.model_dump(by_alias=True, mode="json") for check in settings.verify.extra_checks),
        ),
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[reencryption]),
    )
    entry = LedgerEntry(
        f"{name}-ledger",
        LedgerEntryArgs(
            locator=served.locator,
            revision=served.revision,
            verified=verification.finished,
        ),
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[verification]),
    )
    # Last of all: an update that withholds a release does everything else, and then ends red.
    Hold(
        f"{name}-hold",
        withheld=held.withheld if held else "",
        accepted=settings.release.accept_pin and (held is None or held.manual),
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[entry]),
    )
    return verification
