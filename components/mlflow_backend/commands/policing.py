"""The policy pack as Pulumi's commands are given it: one pack, at the levels that a stack has chosen.

`make preview`, `make up` and the deploy job all ask here, so that all of them apply the same policies.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlflow_backend import policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.settings.policy import PolicyLevel, PolicyName

PACK: Final = Path(policy.__file__).parent
_DEFINITION: Final = "PulumiPolicy.yaml"


def options(levels: Mapping[PolicyName, PolicyLevel], folder: Path) -> tuple[str, ...]:
    """Return the options that put `pulumi preview` and `pulumi up` under the pack.

    `levels` are those of `policy.levels`. They and the pack are written into `folder`, which has to live as long as the
    command. The pack's definition names the Python environment of this command: Pulumi would take another from PATH.
    """
    chosen, pack = folder / "levels.json", folder / PACK.name
    chosen.write_text(json.dumps(dict(levels)), encoding="utf-8")
    pack.mkdir(exist_ok=True)
    shutil.copy(PACK / "__main__.py", pack)
    definition = (PACK / _DEFINITION).read_text(encoding="utf-8")
    own = f"  options:\n    virtualenv: {json.dumps(sys.prefix)}\n"
    (pack / _DEFINITION).write_text(definition + own, encoding="utf-8")
    return ("--policy-pack", str(pack), "--policy-pack-config", str(chosen))
