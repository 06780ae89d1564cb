"""The secrets of a backend by name, and how one value in Secrets Manager is named. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlflow_backend.report.quantities import MONTH, Billing, one
from mlflow_backend.server import keys
from mlflow_backend.server.login import VERIFICATION_KEY
from mlflow_backend.tokens import AWS_API_KEYS, AWS_SERVER_SECRETS

if TYPE_CHECKING:
    from collections.abc import Mapping

IN_FORCE: Final = "IN_FORCE"
"""The staging label of the version that the last update took over. Secrets Manager keeps what has a label."""

DATABASE_PASSWORD: Final = "database-password"  # noqa: S105 - the name of a secret
CACHE_TOKEN: Final = "cache-token"  # noqa: S105 - the name of a secret
SERVER_SECRETS: Final = (
    DATABASE_PASSWORD, "flask-secret-key", "admin-user", "admin-password", VERIFICATION_KEY, *keys.NAMES,
)  # fmt: skip
"""What the server's own secret holds, each a JSON key; the names are those of mlflow_backend/server."""


@dataclass(frozen=True, kw_only=True)
class SecretSource:
    """One value in Secrets Manager: a key of the JSON document that one version of a secret holds.

    The version makes a new one another release; without it running servers would keep the old value. If a `stage` is
    named, servers follow that staging label, and the version stands in a label of theirs only: a revision that is gone
    back to must log in with what is in force then, not with what was when it was registered.
    """

    arn: str
    key: str
    version: str = ""
    stage: str = ""


_SECRET: Final = Billing(
    counted=one("secret", "Secrets Manager secret", "secret", MONTH), by_use=("requests to Secrets Manager",)
)
BILLING: Final[Mapping[str, Billing]] = {
    "aws:secretsmanager/secret:Secret": _SECRET,
    AWS_SERVER_SECRETS: _SECRET,
    AWS_API_KEYS: _SECRET,
}
