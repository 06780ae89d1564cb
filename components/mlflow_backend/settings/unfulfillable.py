"""The refusal of settings that a target cannot fulfil: one error lists every finding, and none is ignored. Pure.

What several targets cannot fulfil for the same reason is found here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import Refused
from mlflow_backend.schedules import NEVER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mlflow_backend.settings.models import Settings

_STORES: Final[Mapping[str, str]] = {"s3": "S3", "gs": "Cloud Storage"}


def refuse_unfulfillable(target: str, findings: Iterable[str]) -> None:
    """Raise Refused if there is a finding; each is a clause that names the setting."""
    if found := "; ".join(findings):
        raise Refused(
            f"The target {target} cannot fulfil these settings: {found}.",
            code="settings-unfulfillable",
            fix="Remove or change them in Pulumi.<stack>.yaml.",
        )


def of_image(settings: Settings, *, takers: str) -> Iterator[str]:
    """Give that there is no image to run, which `takers`, such as tasks, do."""
    if settings.server.image is None:
        yield f"server.image is missing, and {takers} run an image (server/Dockerfile builds it)"


def of_backups(settings: Settings, *, scheme: str, takers: str) -> Iterator[str]:
    """Give what of `backup` cannot be fulfilled if `takers`, such as tasks, back up to buckets of a scheme alone."""
    wanted = settings.backup
    if wanted.destination is None:
        return
    if not wanted.destination.startswith(f"{scheme}://"):
        yield (
            f"backup.destination is not in {_STORES[scheme]}, and {takers} write to a bucket there only "
            f"({scheme}://BUCKET/PREFIX)"
        )
    if "drill_schedule" in wanted.model_fields_set and wanted.drill_schedule != NEVER:
        yield f"backup.drillSchedule is set, and {takers} never get the key that opens a backup: drill by hand, with it"
