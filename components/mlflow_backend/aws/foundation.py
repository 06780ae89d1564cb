"""The AWS provider of a backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi_aws as aws

from mlflow_backend.naming import tags

if TYPE_CHECKING:
    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.settings import Settings


def aws_provider(name: str, settings: Settings, naming: Naming) -> aws.Provider:
    """Return the provider of everything on AWS: bound to the settings' account and region, and to their tags."""
    return aws.Provider(
        name,
        region=naming.region,
        allowed_account_ids=[naming.account],
        default_tags={"tags": tags(project=naming.project, stack=naming.stack, own=settings.tags)},
    )
