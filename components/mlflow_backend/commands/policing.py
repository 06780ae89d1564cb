"""The policy pack as Pulumi's commands are given it: one pack, at the levels that a stack has chosen.

`make preview`, `make up` and the deploy job all ask here, so that none of them is held to less than another.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlflow_backend import policy

if TYPE_CHECKING:
    from mlflow_backend.settings import Settings

PACK: Final = Path(policy.__file__).parent


def options(settings: Settings, folder: Path) -> tuple[str, ...]:
    """Return the options that put `pulumi preview` and `pulumi up` under the pack.

    The levels are written into `folder`, which has to live as long as the command.
    """
    levels = folder / "levels.json"
    levels.write_text(json.dumps(dict(settings.policy.levels)), encoding="utf-8")
    return ("--policy-pack", str(PACK), "--policy-pack-config", str(levels))
