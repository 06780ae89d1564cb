"""What the images of a rig hold: a real MLflow server as server/Dockerfile puts it together, or a tiny one."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlflow_backend.local.tools import installed
from mlflow_backend.preflight.image import DRIVERS_LABEL, HEAD_LABELS, VERSION_LABEL
from mlflow_backend.schema_tables import required_heads
from tests.rig import tiny
from tests.rig.postgres import POSTGRES_BIN
from tests.server.environments import python

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.rig.authority import Authority

_CERTIFICATES: Final = "/opt/mlflow-backend/rds-ca-bundle.pem"
_BASE: Final = Path(getattr(sys, "_base_executable", sys.executable))
_IMAGE: Final = {"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "LANG": "C.UTF-8"}  # noqa: S108


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What an image holds: an environment, and what is bound into place. Read only, as image layers are."""

    environment: Mapping[str, str]
    binds: Mapping[Path, str] = field(default_factory=dict)
    command: Sequence[str] = ()
    cwd: str = "/tmp"  # noqa: S108 - the image's own working directory


def labels(version: str) -> dict[str, str]:
    """Return the labels that server/Dockerfile writes."""
    heads = required_heads(version, auth=True)
    found = {VERSION_LABEL: version, DRIVERS_LABEL: "psycopg2 boto3 google-cloud-storage redis"}
    if heads is not None:
        found |= {HEAD_LABELS["tracking"]: heads.tracking or "", HEAD_LABELS["auth"]: heads.auth or ""}
    return found


def mlflow(version: str, package: Path, authority: Authority) -> Contents:
    """Return a real server of one MLflow version; `package` is the installed server package (servers.install_package).

    The environment is the machine's own of that version, so it must not lie below /tmp, /opt or /var.
    """
    programs = python(version).parent
    return Contents(
        environment={
            **_IMAGE,
            "PATH": f"{programs}:/opt/mlflow-backend/postgres/bin:/usr/bin:/bin",
            "PYTHONPATH": "/opt/mlflow-backend/packages",
            "MLFLOW_BACKEND_METRICS_HOST": "0.0.0.0",  # noqa: S104 - as the image has it
        },
        binds={
            package: "/opt/mlflow-backend/packages",
            POSTGRES_BIN.parent: "/opt/mlflow-backend/postgres",
            # What the image has of RDS, the rig has of its own authority.
            authority.root: _CERTIFICATES,
        },
    )


def small(behaviour: str = "", *, version: str = "") -> Contents:
    """Return a server that starts at once, and what is wrong with it (tests/rig/tiny.py)."""
    site = next(path for path in sys.path if path.endswith("site-packages"))
    return Contents(
        environment={
            **_IMAGE,
            "PATH": "/opt/rig/bin:/usr/bin:/bin",
            "PYTHONPATH": "/opt/rig/packages",
            "RIG_BEHAVIOUR": behaviour,
            "RIG_VERSION": version,
        },
        binds={
            _launcher(): "/opt/rig/bin/mlflow",
            Path(tiny.__file__): "/opt/rig/tiny.py",
            _BASE: "/opt/rig/bin/python",
            Path(site): "/opt/rig/packages",
        },
    )


def behaving(held: Contents, behaviour: str) -> Contents:
    """Return the same image with a server in MLflow's place that starts at once; its database tool works."""
    path = f"/opt/rig/bin:{held.environment['PATH']}"
    return replace(
        held,
        environment={**held.environment, "PATH": path, "RIG_BEHAVIOUR": behaviour},
        binds={**held.binds, _launcher(): "/opt/rig/bin/mlflow", Path(tiny.__file__): "/opt/rig/tiny.py"},
    )


def fronted(contents: Contents) -> Contents:
    """Return what an image holds, and the front's program with it, as server/Dockerfile puts it on PATH."""
    path = f"/opt/rig/front:{contents.environment['PATH']}"
    return replace(
        contents,
        environment={**contents.environment, "PATH": path},
        binds={**contents.binds, installed("caddy"): "/opt/rig/front/caddy"},
    )


def _launcher() -> Path:
    """Return the shell script that is `mlflow` in a tiny image."""
    return Path(__file__).with_name("tiny-mlflow.sh")
