"""Stacks under test: the one that ships, and variants of it by the settings that differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mlflow_backend.kubernetes.refusals import naming_of
from mlflow_backend.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
DIGEST = f"sha256:{'a' * 64}"
IMAGE = f"registry.example.com/mlflow-backend@{DIGEST}"
STACK = "cluster"

VARIANTS: dict[str, dict[str, Any]] = {
    "cluster": {},
    "inside": {"network": None, "kubernetes": {"ingress": None}},
    "adopted": {
        "database": {"mode": "adopt", "existing": "postgresql://db.example.com:6432/tracking"},
        "cache": {"mode": "adopt", "existing": "rediss://cache.example.com:6380"},
        "kubernetes": {
            "database": {"image": None, "secret": "team-database", "ca": "team-ca"},
            "cache": {"image": None, "secret": "team-cache"},
            "secret": "team-mlflow",
        },
    },
    "rds": {
        "database": {"mode": "adopt", "existing": "postgresql://in.the.secret:5432/mlflow"},
        "kubernetes": {
            "database": {
                "image": None,
                "secret": "rds-login",
                "hostKey": "host",
                "administrator": "rds-administrator",
                "rds": True,
            },
        },
    },
    "own-s3": {
        "kubernetes": {
            "kubeconfig": "/etc/kube/config",
            "artifacts": {"endpoint": "http://s3.storage.svc:9000", "secret": "s3-keys"},
            "network": {"publishedTo": ["argo", "notebooks"]},
        },
        "backup": {"protect": False},
        "tags": {"team": "ml"},
    },
    "logins": {
        "kubernetes": {"network": {"publishedTo": ["argo", "notebooks"], "publishedLogins": {"argo": "trainer"}}},
        "access": {"mode": "basic", "users": {"trainer": {"password": "env:TRAINER_PASSWORD"}}},
    },
    "watched": {
        "kubernetes": {"monitoring": {"namespace": "monitoring", "labels": {"release": "prometheus"}}},
    },
    "backed-up": {
        "kubernetes": {
            "artifacts": {"endpoint": "http://s3.storage.svc:9000", "secret": "s3-keys"},
            "backup": {"endpoint": "https://s3.elsewhere.example.com:9443", "secret": "backup-keys"},
        },
        "backup": {
            "destination": "s3://elsewhere/team",
            "recoveryKey": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
            "schedule": "30 1 * * *",
        },
    },
    "prefix": {
        "network": {"publicUrl": "https://tools.example.com", "pathPrefix": "/mlflow"},
        "server": {"replicas": 1, "jobs": True, "cpu": None, "memory": None},
        "scaling": None,
    },
}
"""Variant -> what is merged over Pulumi.cluster.yaml; None removes a key."""


def merged(base: Any, over: Any) -> Any:
    """Return `base` with `over` merged into it; None removes a key."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    found = {key: merged(base.get(key, {}), value) for key, value in over.items() if value is not None}
    return {**{key: value for key, value in base.items() if key not in over}, **found}


def document_of(variant: str = STACK, over: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a variant's settings as its file would have them, with `over` merged into them."""
    text = yaml.safe_load((ROOT / "Pulumi.cluster.yaml").read_text(encoding="utf-8"))
    shipped = {key.partition(":")[2]: value for key, value in text["config"].items()}
    shipped["server"]["image"] = IMAGE
    return dict(merged(merged(shipped, VARIANTS[variant]), over or {}))


def settings_of(variant: str = STACK, over: dict[str, Any] | None = None) -> Settings:
    """Return a variant's settings."""
    return Settings.model_validate(document_of(variant, over))


def naming(settings: Settings) -> Any:
    """Return what the objects of a stack with these settings are called."""
    return naming_of(settings, project="mlflow-backend", stack=STACK)
