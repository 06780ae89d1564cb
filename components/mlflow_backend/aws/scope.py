"""The settings, names and connection that every block of a backend on AWS is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

from mlflow_backend.aws.connection import Connection
from mlflow_backend.aws.naming import Naming
from mlflow_backend.aws.render.database import protected
from mlflow_backend.naming import tags

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pulumi_aws as aws

    from mlflow_backend.settings import Settings


_RECOVERY_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a server for data is: its subnets and its security group, and the KMS key that encrypts it."""

    subnets: Sequence[pulumi.Input[str]]
    security_group: pulumi.Input[str]
    key_arn: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class Scope:
    """The settings, the names and the account of one backend."""

    settings: Settings
    naming: Naming
    connection: Connection

    @classmethod
    def of(cls, name: str, settings: Settings, connection: Connection | None = None) -> Scope:
        """Return the scope of blocks that stand alone; physical names begin with project, stack and `name`."""
        naming = Naming.of(settings, project=pulumi.get_project(), stack=pulumi.get_stack(), name=name)
        return cls(settings=settings, naming=naming, connection=connection or Connection(naming.region))

    @property
    def tags(self) -> dict[str, str]:
        """The tags that every resource gets."""
        return tags(project=self.naming.project, stack=self.naming.stack, own=self.settings.tags)

    @property
    def protect(self) -> bool:
        """Whether what holds data may not be deleted."""
        return protected(self.settings)

    @property
    def recovery_days(self) -> int:
        """Days in which a deleted secret can be brought back."""
        return _RECOVERY_DAYS if self.protect else 0

    def provider(self, name: str) -> aws.Provider:
        """Return the provider of everything on AWS."""
        return self.connection.provider(name, account=self.naming.account, tags=self.tags)
