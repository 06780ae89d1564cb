"""What an update of a stack on ECS serves: what the settings describe, or what the ledger holds it to.

Read by the program at every update, by plain calls to S3 and before any resource: no bucket yet is no hold, a bucket
that cannot be read is a refusal, for a pin may stand in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_backend.aws.render import storage
from mlflow_backend.aws.store import S3Store
from mlflow_backend.contract import Refused
from mlflow_backend.releases.holds import hold_of, refuse_disagreement
from mlflow_backend.releases.journal import refuse_unfinished, rollback_journal
from mlflow_backend.releases.ledger import Ledger
from mlflow_backend.schema_tables import required_heads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.releases.ledger import Contents
    from mlflow_backend.releases.records import VerifiedRelease
    from mlflow_backend.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Held:
    """The revision that is served instead of what the settings describe, and what it runs.

    `withheld` says which release waits and why; it is empty if the held revision is what the settings describe.
    """

    revision: str
    mlflow_version: str
    image_digest: str | None
    withheld: str
    manual: bool


def read(settings: Settings, naming: Naming, client: S3Client) -> Contents:
    """Return the stack's ledger, read once for all that an update asks of it.

    Raises Refused if a rollback was interrupted, PlatformFailed if the ledger cannot be read.
    """
    bucket = storage.store(settings, naming)
    store = S3Store(client, bucket=bucket.bucket, root=bucket.root)
    refuse_unfinished(rollback_journal(store))
    return Ledger(store, by="").read()


def held(settings: Settings, identity: str, contents: Contents) -> Held | None:
    """Return what the ledger holds the stack to, None if it is free.

    `identity` is that of the release which the settings describe (tasks.release_identity).
    Raises Refused if the settings ask for another pin, if the ledger's newest record is damaged, and where the
    held revision was never recorded.
    """
    state = contents.state
    refuse_disagreement(state, settings.release.pin)
    hold = hold_of(state, settings_hash=identity)
    if hold is None:
        return None
    release = next((each for each in _newest_first(contents) if each.revision == hold.revision), None)
    if release is None:
        raise Refused(
            f"The ledger holds this stack to revision {hold.revision}, which it has no record of: {hold.why}.",
            code="ecs-pinned-revision-unrecorded",
            fix="Lift it with `python -m scripts.rollback --stack STACK --unpin`.",
        )
    return Held(
        revision=hold.revision,
        mlflow_version=release.mlflow_version,
        image_digest=release.image_digest,
        withheld="" if release.settings_hash == identity else hold.why,
        manual=hold.manual,
    )


def migrates(settings: Settings, identity: str, contents: Contents) -> bool:
    """Return whether the schema changed between the last verified release and that of the settings.

    Read from the ledger, not from what the last migration did: that may be many updates ago, and the answer must be the
    same for a second update of the same release. True if no other release was verified, or its schema is not known.
    """
    before = next((each for each in _newest_first(contents) if each.settings_hash != identity), None)
    if before is None:
        return True
    return before.heads != required_heads(settings.server.mlflow_version, auth=before.heads.auth is not None)


def _newest_first(contents: Contents) -> Iterator[VerifiedRelease]:
    return (record.release for record in reversed(contents.releases) if record.release)
