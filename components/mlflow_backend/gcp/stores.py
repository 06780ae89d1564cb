"""The stores of a backend on Google Cloud: bucket, database and cache, each made or adopted."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pulumi
import pulumi_gcp as gcp

from mlflow_backend.gcp.render import arguments, cache, database, storage
from mlflow_backend.gcp.scope import arguments as named
from mlflow_backend.tokens import GCP_CACHE, GCP_DATABASE, GCP_STORAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.gcp.scope import Scope


class Storage(pulumi.ComponentResource):
    """The bucket. Attributes: `store`, where in it the backend is; `bucket`, None for an adopted one."""

    def __init__(self, name: str, scope: Scope, *, opts: pulumi.ResourceOptions | None = None) -> None:
        """Take the backend that it is for."""
        super().__init__(GCP_STORAGE, name, None, opts)
        self.store = storage.store(scope.settings, scope.naming)
        self.bucket: gcp.storage.Bucket | None = None
        if scope.settings.artifacts.existing is None:
            self.bucket = gcp.storage.Bucket(
                f"{name}-bucket",
                **named(arguments.bucket(storage.bucket(scope.settings, scope.naming, protect=scope.protect))),
                # An unprotected backend is destroyable with what is in it.
                force_destroy=not scope.protect,
                opts=pulumi.ResourceOptions(parent=self, protect=scope.protect),
            )
        self.register_outputs({"bucket": self.store.bucket})


class Database(pulumi.ComponentResource):
    """The Postgres. Attributes: `host`, its private address; `instance`, None for an adopted one; `identity`.

    Another identity is another database.
    """

    def __init__(
        self,
        name: str,
        scope: Scope,
        *,
        network: str,
        after: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Take the network that it has its address in, and what that needs first."""
        super().__init__(GCP_DATABASE, name, None, opts)
        existing = scope.settings.database.existing
        self.instance: gcp.sql.DatabaseInstance | None = None
        if existing is not None:
            self.host = pulumi.Output.from_input(str(urlsplit(existing).hostname))
            self.identity = pulumi.Output.from_input(existing)
        else:
            body = database.instance(scope.settings, scope.naming, network=network)
            self.instance = gcp.sql.DatabaseInstance(
                f"{name}-instance",
                **named(arguments.database(body)),
                # The provider's own guard; the instance has Google's too.
                deletion_protection=scope.protect,
                opts=pulumi.ResourceOptions(
                    parent=self,
                    protect=scope.protect,
                    depends_on=list(after),
                    # Storage that grew by itself must not be shrunk, which would be another instance.
                    ignore_changes=["settings.diskSize"] if scope.settings.gcp.database.max_storage else [],
                ),
            )
            self.host = self.instance.private_ip_address
            self.identity = self.instance.connection_name
        self.register_outputs({"host": self.host})


class Cache(pulumi.ComponentResource):
    """The Redis. Attributes: `host` and `port`; `instance`, None for an adopted one."""

    def __init__(
        self,
        name: str,
        scope: Scope,
        *,
        network: str,
        after: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Take the network that it has its address in, and what that needs first."""
        super().__init__(GCP_CACHE, name, None, opts)
        existing = scope.settings.cache.existing
        self.instance: gcp.redis.Instance | None = None
        if existing is not None:
            url = urlsplit(existing)
            self.host = pulumi.Output.from_input(str(url.hostname))
            self.port = pulumi.Output.from_input(url.port or cache.CACHE_PORT)
        else:
            self.instance = gcp.redis.Instance(
                f"{name}-instance",
                **named(cache.instance(scope.settings, scope.naming, network=network)),
                name=scope.naming.cache(),
                region=scope.naming.region,
                opts=pulumi.ResourceOptions(parent=self, protect=scope.protect, depends_on=list(after)),
            )
            self.host, self.port = self.instance.host, self.instance.port
        self.register_outputs({"host": self.host, "port": self.port})
