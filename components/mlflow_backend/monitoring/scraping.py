"""The configuration of a Prometheus that watches one backend: whom it asks, how often, and by which rules. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.monitoring.rules import GROUP

if TYPE_CHECKING:
    from collections.abc import Sequence

RULES, TARGETS = "rules.json", "targets.json"
"""Files beside the configuration; Prometheus reads JSON, which is YAML too."""
_INTERVAL_S: Final = 15
# So soon it asks the server of a new revision.
_FOUND_S: Final = 5


def own_labels(stack: str) -> dict[str, str]:
    """Return the labels of a stack's series on this machine."""
    return {"job": GROUP, "stack": stack}


def configuration(*, interval_s: int = _INTERVAL_S) -> dict[str, Any]:
    """Return the configuration."""
    interval = f"{interval_s}s"
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": [RULES],
        "scrape_configs": [
            {
                "job_name": GROUP,
                "file_sd_configs": [{"files": [TARGETS], "refresh_interval": f"{min(_FOUND_S, interval_s)}s"}],
            }
        ],
    }


def targets(stack: str, servers: Sequence[str], *, whole: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return what is asked, as the file of targets has it: servers, and who has figures of the whole stack."""
    return [
        {"targets": list(servers), "labels": {"stack": stack}},
        {"targets": list(whole), "labels": {"stack": stack, "part": "stack"}},
    ]
