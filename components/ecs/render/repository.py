"""The ECR repository's lifecycle. Pure.

A rollback needs the old image, and the ledger names images by digest, which a lifecycle policy cannot do: it knows
tags and ages only. So tags are immutable, every image of a release has one, and only images without a tag, or with
a tag that says that they are of a pull request, ever expire.
"""

from __future__ import annotations

import json
from typing import Any, Final

TRANSIENT_PREFIXES: Final = ("pr-", "build-")
UNTAGGED_DAYS: Final = 14
TRANSIENT_DAYS: Final = 30


def lifecycle() -> str:
    """Return the lifecycle policy as ECR takes it."""
    rules = [
        _rule(1, f"Images without a tag after {UNTAGGED_DAYS} days", UNTAGGED_DAYS, tagStatus="untagged"),
        *(
            _rule(
                2 + number,
                f"Images of pull requests and builds ({prefix}) after {TRANSIENT_DAYS} days",
                TRANSIENT_DAYS,
                tagStatus="tagged",
                tagPrefixList=[prefix],
            )
            for number, prefix in enumerate(TRANSIENT_PREFIXES)
        ),
    ]
    return json.dumps({"rules": rules}, sort_keys=True, separators=(",", ":"))


def _rule(priority: int, description: str, days: int, **selection: Any) -> dict[str, Any]:
    return {
        "rulePriority": priority,
        "description": description,
        "selection": {**selection, "countType": "sinceImagePushed", "countUnit": "days", "countNumber": days},
        "action": {"type": "expire"},
    }
