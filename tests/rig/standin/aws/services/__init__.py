"""The translations of each service, one module a service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.rig.standin.aws.services import (
    cloudwatch,
    ec2,
    ec2_groups,
    ec2_templates,
    ecs,
    eks,
    elasticache,
    elbv2,
    iam,
    kms,
    rds,
    route53,
    s3,
    scaling,
    scheduler,
    secretsmanager,
    sns,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rig.standin.aws.resource import Translation

_MODULES = (
    cloudwatch, ec2, ec2_groups, ec2_templates, ecs, eks, elasticache, elbv2, iam, kms, rds, route53, s3, scaling,
    scheduler, secretsmanager, sns,
)  # fmt: skip

TRANSLATIONS: Mapping[str, Translation] = {each.token: each for module in _MODULES for each in module.RESOURCES}
