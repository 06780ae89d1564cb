"""Stacks under test: one on Google Cloud, and variants of it by the settings that differ."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from mlflow_backend.cloudrun.render.service import Surroundings, Traffic, release_identity, service
from mlflow_backend.gcp.naming import Naming
from mlflow_backend.gcp.render import secrets
from mlflow_backend.settings import Settings
from mlflow_backend.settings.loading import refuse_broken

if TYPE_CHECKING:
    from mlflow_backend.gcp.render.secrets import SecretVersion

PROJECT, NUMBER, REGION = "team-project", "123456789012", "europe-west1"
IMAGE = f"europe-west1-docker.pkg.dev/{PROJECT}/mlflow/server@sha256:{'a' * 64}"
ADDED = f"projects/{PROJECT}/secrets"
STACK: dict[str, Any] = {
    "target": "cloudrun",
    "server": {"mlflowVersion": "3.17.2", "image": IMAGE, "cpu": 2048, "memory": 4096},
    "access": {"mode": "basic"},
    "gcp": {"project": PROJECT, "projectNumber": NUMBER, "region": REGION},
}
KEY = f"projects/{PROJECT}/locations/{REGION}/keyRings/r/cryptoKeys/k"
RECOVERY = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
"""age's own example of a public key."""
GROUP = ["group:ml@example.com"]
VARIANTS: dict[str, dict[str, Any]] = {
    "basic": {},
    "token": {"access": {"mode": "token", "requestsPerMinute": 600}},
    "iam": {"access": {"mode": "cloudIdentity"}, "gcp": {"access": {"identity": "iam", "principals": GROUP}}},
    "iap": {"access": {"mode": "cloudIdentity"}, "gcp": {"access": {"identity": "iap", "principals": GROUP}}},
    "both": {"gcp": {"access": {"identity": "iam", "principals": GROUP, "secondHeader": True}}},
    "jobs": {"server": {"jobs": True, "cpu": 4096, "memory": 8192}, "database": {"poolSize": 3, "maxOverflow": 2}},
    "cold": {"gcp": {"service": {"minInstances": 0}}},
    "backups": {"backup": {"destination": "gs://elsewhere/team", "recoveryKey": RECOVERY}},
    "scheduled": {"verify": {"schedule": "30 * * * *"}, "maintain": {"schedule": "0 3 * * 0", "keepDeletedDays": 7}},
    "many": {"scaling": {"maxReplicas": 3}, "database": {"maxConnections": 400}, "tags": {"Team": "A & B"}},
    "old": {"server": {"mlflowVersion": "2.9.2"}},
    "adopted": {
        "network": {"mode": "adopt", "existing": f"projects/{PROJECT}/global/networks/shared"},
        "database": {"mode": "adopt", "existing": "postgresql://10.1.0.3:5432/tracking"},
        "cache": {"mode": "adopt", "existing": "rediss://10.1.0.4:6378"},
        "artifacts": {"mode": "adopt", "existing": "gs://team-bucket/ml/flow"},
        "gcp": {
            "network": {"subnet": f"projects/{PROJECT}/regions/{REGION}/subnetworks/run"},
            "database": {"secret": f"{ADDED}/db/versions/3", "ca": f"{ADDED}/db-ca/versions/1"},
            "cache": {"secret": f"{ADDED}/cache/versions/2"},
        },
    },
}  # fmt: skip
NAMING = Naming(stack_project="shop", stack="gcp", project=PROJECT, number=NUMBER, region=REGION)


def changed(variant: str, changes: dict[str, Any]) -> Settings:
    """Return the settings of a variant with changes; None removes a key. Rules of every target hold."""
    document = copy.deepcopy(STACK)
    _merge(document, VARIANTS[variant])
    _merge(document, changes)
    settings = Settings.model_validate(document, by_alias=True, by_name=False)
    refuse_broken(settings)
    return settings


def versions(settings: Settings, version: str = "1") -> dict[str, SecretVersion]:
    """Return every secret of a stack at a version."""
    drawn = dict.fromkeys(secrets.names(settings), version)
    return secrets.secret_versions(settings, NAMING, drawn)


def surroundings(settings: Settings) -> Surroundings:
    """Return what Google has drawn."""
    return Surroundings(
        image=IMAGE,
        database="10.1.0.3",
        cache="10.1.0.4",
        cache_port=6378,
        network=f"projects/{PROJECT}/global/networks/n",
        subnet=f"projects/{PROJECT}/regions/{REGION}/subnetworks/s",
        secrets=versions(settings),
    )


def body_of(settings: Settings, traffic: Traffic | None = None) -> dict[str, Any]:
    """Return the body of a stack's service."""
    release = release_identity(settings, NAMING)
    return service(settings, NAMING, surroundings(settings), release=release, traffic=traffic or Traffic())


def _merge(document: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if value is None:
            document.pop(key, None)
        elif isinstance(value, dict) and isinstance(document.get(key), dict):
            _merge(document[key], value)
        else:
            document[key] = copy.deepcopy(value)
