"""The list of policies, in the order in which people read them. Pure; each is written beside its rule.

docs/policies.md is generated from it (`make pages`). A test holds the page and the names in
mlflow_backend/settings/policy.py to it.
"""

from __future__ import annotations

from typing import Final

from mlflow_backend.policy import network, stores, workloads

PACK: Final = "mlflow-backend"

POLICIES: Final = (
    stores.database_private,
    network.cache_private,
    stores.bucket_private,
    stores.encrypted_at_rest,
    stores.encrypted_in_transit,
    network.listener_tls,
    workloads.iam_without_wildcards,
    stores.deletion_protected,
    stores.backups_kept,
    workloads.images_by_digest,
    workloads.image_architecture,
    workloads.no_plain_secrets,
    network.ingress_closed,
    workloads.tagged,
    workloads.logs_expire,
    stores.stateful_protected,
)
