"""The AWS provider of a backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi_aws as aws

from mlflow_backend.naming import tags

if TYPE_CHECKING:
    from mlflow_backend.ecs.render.place import Place
    from mlflow_backend.settings import Settings


def aws_provider(name: str, settings: Settings, place: Place) -> aws.Provider:
    """Return the provider of everything on AWS: bound to the settings' account and region, and to their tags."""
    return aws.Provider(
        name,
        region=place.region,
        allowed_account_ids=[place.account],
        default_tags={"tags": tags(project=place.project, stack=place.stack, own=settings.tags)},
    )
