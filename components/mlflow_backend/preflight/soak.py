"""Check that a release was verified elsewhere for long enough: by image digest, in the other stack's ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.findings import Finding, failed, passed, skipped

if TYPE_CHECKING:
    from mlflow_backend.releases.ledger import Ledger

CHECK: Final = "image soaked"
PROPERTY: Final = "release.soakHours"


def check(ledger: Ledger, *, digest: str, source: str, hours: int, now: datetime | None = None) -> Finding:
    """Say whether the image with `digest` passed a verification on the stack `source` at least `hours` ago.

    The first pass counts: verified again an hour ago, it has soaked all the same. A ledger that cannot be read is
    skipped, visibly, because it may be another team's.
    """
    try:
        releases = ledger.read().releases
    except PlatformFailed as error:
        return skipped(CHECK, PROPERTY, f"the ledger of the stack {source} could not be read: {error}")
    passes = [record.at for record in releases if record.release and record.release.image_digest == digest]
    if not passes:
        return failed(
            CHECK,
            PROPERTY,
            f"this image was never verified on the stack {source}.",
            f"Deploy it there first, and wait {hours} hours.",
        )
    since, soaked = min(passes), (now or datetime.now(UTC)) - min(passes)
    if soaked < timedelta(hours=hours):
        left = timedelta(hours=hours) - soaked
        return failed(
            CHECK,
            PROPERTY,
            f"this image was first verified on the stack {source} at {since:%Y-%m-%d %H:%M} UTC, less than {hours} "
            "hours ago.",
            f"Wait {left.total_seconds() / 3600:.1f} hours more, or lower release.soakHours.",
        )
    return passed(CHECK, PROPERTY, f"verified on the stack {source} since {since:%Y-%m-%d %H:%M} UTC.")
