"""The list of policies, in the order in which people read them. Pure; each is written beside its rule.

docs/policies.md is generated from it (`make pages`). A test holds the page and the names in
mlflow_backend/settings/policy.py to it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from mlflow_backend.policy import keeping, network, stores

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.policy.model import Policy

PACK: Final = "mlflow-backend"

POLICIES: Final = (
    stores.database_private,
    network.cache_private,
    stores.bucket_private,
    stores.encrypted_at_rest,
    stores.encrypted_in_transit,
    network.listener_tls,
    keeping.iam_without_wildcards,
    stores.deletion_protected,
    stores.backups_kept,
    keeping.images_by_digest,
    keeping.image_architecture,
    keeping.no_plain_secrets,
    network.ingress_closed,
    keeping.tagged,
    keeping.logs_expire,
    stores.stateful_protected,
)

BY_NAME: Final[Mapping[str, Policy]] = MappingProxyType({policy.name: policy for policy in POLICIES})
