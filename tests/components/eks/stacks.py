"""Stacks under test: the one that ships, and variants of it by the settings that differ."""

from __future__ import annotations

from typing import Any

import yaml

from mlflow_backend.settings import Settings
from tests.components.kubernetes.stacks import IMAGE, ROOT, merged

STACK = "eks"
ACCOUNT, REGION = "123456789012", "eu-west-1"
POSTGRES = f"registry.example.com/postgres@sha256:{'b' * 64}"
RECOVERY_KEY = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
VALKEY = f"registry.example.com/valkey@sha256:{'c' * 64}"

VARIANTS: dict[str, dict[str, Any]] = {
    "eks": {},
    "private": {
        "eks": {
            "cluster": {
                "endpoint": "private",
                "allowedCidrs": None,
                "administrators": [f"arn:aws:iam::{ACCOUNT}:role/platform", f"arn:aws:iam::{ACCOUNT}:user/ann"],
            },
            "addons": {"vpcCni": "v1.20.4-eksbuild.1"},
        },
        "network": {"publicUrl": "https://mlflow.example.com", "mode": "adopt", "existing": "vpc-0123"},
        "aws": {"network": {"privateSubnets": ["subnet-1", "subnet-2"]}},
        "kubernetes": {"architecture": "arm64", "ingress": {"className": "alb", "tlsSecret": "mlflow-tls"}},
        "backup": {"destination": "s3://elsewhere/team", "recoveryKey": RECOVERY_KEY},
    },
    "adopted": {
        "eks": {"cluster": {"existing": "team", "version": None, "allowedCidrs": None}},
        "network": {"mode": "adopt", "existing": "vpc-0123"},
        "database": {"mode": "adopt", "existing": "postgresql://db.example.com:6432/tracking"},
        "cache": {"mode": "adopt", "existing": "rediss://cache.example.com:6380"},
        "artifacts": {"mode": "adopt", "existing": "s3://team-bucket/ml/flow"},
        "aws": {
            "network": {"privateSubnets": ["subnet-1", "subnet-2"]},
            "database": {
                "instanceClass": None,
                "secret": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:team/db-AbCdEf",
                "securityGroup": "sg-0db",
            },
            "cache": {
                "secret": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:team/cache-AbCdEf",
                "securityGroup": "sg-0ca",
            },
        },
    },
    "within": {
        "eks": {"database": "cluster", "cache": "cluster"},
        "aws": {"database": None},
        "kubernetes": {"database": {"image": POSTGRES, "memory": 2048}, "cache": {"image": VALKEY}},
        "backup": {"protect": False},
    },
}
"""Variant -> what is merged over Pulumi.eks.yaml; None removes a key."""


def settings_of(variant: str = STACK, over: dict[str, Any] | None = None) -> Settings:
    """Return a variant's settings, with `over` merged into them."""
    text = yaml.safe_load((ROOT / "Pulumi.eks.yaml").read_text(encoding="utf-8"))
    shipped = {key.partition(":")[2]: value for key, value in text["config"].items()}
    shipped["server"]["image"] = IMAGE
    return Settings.model_validate(merged(merged(shipped, VARIANTS[variant]), over or {}))
