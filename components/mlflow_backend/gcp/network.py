"""The network of a backend: its instances' subnet, and the range in which Google's own services have addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import pulumi_gcp as gcp

from mlflow_backend.gcp.render import arguments, network
from mlflow_backend.gcp.scope import arguments as named
from mlflow_backend.tokens import GCP_NETWORK

if TYPE_CHECKING:
    from mlflow_backend.gcp.scope import Scope

_SERVICES = "servicenetworking.googleapis.com"


class Network(pulumi.ComponentResource):
    """A network that is made, or an adopted one, which then has a subnet and private services access already.

    Attributes: `network` and `subnet`, by their resource names; `resources`, what is made.
    """

    def __init__(self, name: str, scope: Scope, *, opts: pulumi.ResourceOptions | None = None) -> None:
        """Take the backend that it is for."""
        super().__init__(GCP_NETWORK, name, None, opts)
        settings, naming = scope.settings, scope.naming
        self.resources: list[pulumi.Resource] = []
        if settings.network.mode == "adopt":
            self.network, self.subnet = str(settings.network.existing), str(settings.gcp.network.subnet)
        else:
            self.network = network.network_name(naming, naming.network())
            self.subnet = network.subnet_name(naming)
            self._create(name, scope)
        self.register_outputs({"network": self.network, "subnet": self.subnet})

    def _create(self, name: str, scope: Scope) -> None:
        settings, naming = scope.settings, scope.naming
        made = gcp.compute.Network(
            f"{name}-network",
            **named(arguments.network(network.network(naming))),
            opts=pulumi.ResourceOptions(parent=self),
        )
        subnet = gcp.compute.Subnetwork(
            f"{name}-instances",
            **named(network.subnet(settings, naming, network=self.network)),
            opts=self._after(made),
        )
        addresses = gcp.compute.GlobalAddress(
            f"{name}-services", **named(network.services_range(naming, network=self.network)), opts=self._after(made)
        )
        peering = gcp.servicenetworking.Connection(
            f"{name}-peering",
            network=self.network,
            service=_SERVICES,
            reserved_peering_ranges=[addresses.name],
            # Google keeps a deleted database for days, and refuses to delete the connection meanwhile, and with it the
            # network. Nothing is left by then that needs the peering: the stores go before it.
            deletion_policy="REMOVE_PEERING",
            opts=self._after(addresses),
        )
        self.resources = [made, subnet, addresses, peering]

    def _after(self, *needed: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=list(needed))
