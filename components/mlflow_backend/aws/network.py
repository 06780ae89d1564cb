"""The network as one component: made, or adopted, and in both cases the security groups of this backend.

Owns the wiring. Subnets, ways out and every rule are decided in `render.network`.
"""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import pulumi
import pulumi_aws as aws

from mlflow_backend import ending
from mlflow_backend.aws.render import network as render
from mlflow_backend.aws.scope import Placement
from mlflow_backend.aws.zones import ZONES_ASKED, zone_name
from mlflow_backend.contract import Refused
from mlflow_backend.tokens import AWS_NETWORK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.aws.existing import ExistingCache, ExistingDatabase, ExistingNetwork
    from mlflow_backend.aws.render.network import Group, NetworkPlan, Rule
    from mlflow_backend.aws.scope import Scope

_ANYWHERE = "0.0.0.0/0"
_OWN_GROUPS: tuple[Group, ...] = ("balancer", "server", "tasks", "database", "cache", "endpoints")


class Network(pulumi.ComponentResource):
    """Where the backend's parts are, and who may talk to whom.

    Attributes: `vpc_id`; `balancer_subnets`, `task_subnets` and `data_subnets`; `tasks_are_public`; `groups`, the
    security groups' identifiers. They are annotated where they are set, not on the class: Pulumi evaluates a class's
    annotations while the program runs.
    """

    def __init__(  # noqa: PLR0913 - what is adopted, by name
        self,
        name: str,
        scope: Scope,
        *,
        existing: ExistingNetwork | None = None,
        database: ExistingDatabase | None = None,
        cache: ExistingCache | None = None,
        rules: Sequence[Rule] | None = None,
        subnet_tags: Mapping[bool, Mapping[str, str]] = MappingProxyType({}),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Take what is adopted; a network is made if none is.

        `rules` are those between groups, left out those of servers behind a load balancer. `subnet_tags` are given to
        created subnets, by whether they are public.
        """
        super().__init__(AWS_NETWORK, name, None, opts)
        settings = scope.settings
        self._name, self._settings, self._naming = name, settings, scope.naming
        self._adopted: dict[Group, pulumi.Input[str]] = {}
        if database is not None:
            self._adopted["database"] = database.security_group
        if cache is not None:
            self._adopted["cache"] = cache.security_group
        self._rules = render.rules(settings) if rules is None else tuple(rules)
        self._subnet_tags = subnet_tags
        self._child = pulumi.ResourceOptions(parent=self)
        self._s3_prefixes: pulumi.Output[str] | None = None
        self.vpc_id: pulumi.Output[str]
        self.balancer_subnets: Sequence[pulumi.Input[str]]
        self.task_subnets: Sequence[pulumi.Input[str]]
        self.data_subnets: Sequence[pulumi.Input[str]]
        self.tasks_are_public = False
        self._own: dict[Group, aws.ec2.SecurityGroup] = {}
        if existing is not None:
            self._adopt(existing)
        else:
            self._create(render.network_plan(settings))
        self.groups = self._make_groups()
        for rule in self._rules:
            self._make_rule(rule)
        self.register_outputs({"vpcId": self.vpc_id, "groups": dict(self.groups)})

    def placement(self, group: Literal["database", "cache"], key_arn: pulumi.Input[str]) -> Placement:
        """Return where the backend's database or cache is."""
        return Placement(subnets=self.data_subnets, security_group=self.groups[group], key_arn=key_arn)

    def _adopt(self, existing: ExistingNetwork) -> None:
        self.vpc_id = pulumi.Output.from_input(existing.vpc_id)
        self.task_subnets = self.data_subnets = list(existing.private_subnets)
        internal = self._settings.aws.network.internal
        self.balancer_subnets = list(existing.private_subnets if internal else existing.public_subnets)

    def _create(self, plan: NetworkPlan) -> None:
        vpc = aws.ec2.Vpc(
            f"{self._name}-vpc",
            cidr_block=plan.cidr,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags={"Name": self._naming.cluster()},
            opts=self._child,
        )
        self.vpc_id = vpc.id
        # The VPC's own group lets everything in it talk to everything else; emptied, it lets nothing.
        aws.ec2.DefaultSecurityGroup(
            f"{self._name}-default-group", vpc_id=vpc.id, ingress=[], egress=[], opts=self._child
        )
        subnets = self._make_subnets(plan, vpc)
        tables = self._make_routes(plan, vpc, subnets)
        self._make_endpoints(plan, vpc, tables, subnets)
        public = [subnets[each.suffix].id for each in plan.subnets if each.public]
        private = [subnets[each.suffix].id for each in plan.subnets if not each.public]
        self.balancer_subnets = private if self._settings.aws.network.internal else public
        self.task_subnets = public if plan.tasks_are_public else private
        self.data_subnets = private
        self.tasks_are_public = plan.tasks_are_public

    def _make_subnets(self, plan: NetworkPlan, vpc: aws.ec2.Vpc) -> dict[str, aws.ec2.Subnet]:
        zones = aws.get_availability_zones_output(
            state="available",
            filters=[{"name": name, "values": list(values)} for name, values in ZONES_ASKED.items()],
            opts=pulumi.InvokeOutputOptions(parent=self),
        ).names
        return {
            each.suffix: aws.ec2.Subnet(
                f"{self._name}-{each.suffix}",
                vpc_id=vpc.id,
                cidr_block=each.cidr,
                availability_zone=zones.apply(partial(self._zone, each.zone)),
                tags={"Name": f"{self._naming.cluster()}-{each.suffix}", **self._subnet_tags.get(each.public, {})},
                # AWS may list a new zone before the old ones; a subnet that holds a database must not follow.
                opts=pulumi.ResourceOptions(parent=self, ignore_changes=["availabilityZone"]),
            )
            for each in plan.subnets
        }

    def _zone(self, number: int, names: Sequence[str]) -> str:
        """Return a zone's name. Raises RunError for one that the region does not have."""
        try:
            zones = self._settings.aws.network.zones
            return zone_name(names, number, zones=zones, region=self._naming.region)
        except Refused as refusal:
            ending.record(refusal.exit_code, str(refusal))
            # A RunError is shown as its message alone, also from within an output.
            raise pulumi.RunError(str(refusal)) from None

    def _make_routes(
        self, plan: NetworkPlan, vpc: aws.ec2.Vpc, subnets: Mapping[str, aws.ec2.Subnet]
    ) -> list[pulumi.Output[str]]:
        internet = aws.ec2.InternetGateway(f"{self._name}-internet", vpc_id=vpc.id, opts=self._child)
        public = aws.ec2.RouteTable(f"{self._name}-public", vpc_id=vpc.id, opts=self._child)
        aws.ec2.Route(
            f"{self._name}-public-out",
            route_table_id=public.id,
            destination_cidr_block=_ANYWHERE,
            gateway_id=internet.id,
            opts=self._child,
        )
        gateways = [self._make_gateway(zone, subnets[f"public-{zone}"], internet) for zone in range(plan.gateways)]
        tables = [public.id]
        for each in plan.subnets:
            table = public
            if not each.public:
                table = aws.ec2.RouteTable(f"{self._name}-{each.suffix}", vpc_id=vpc.id, opts=self._child)
                tables.append(table.id)
                gateway = plan.gateway_of(each.zone)
                if gateway is not None:
                    aws.ec2.Route(
                        f"{self._name}-{each.suffix}-out",
                        route_table_id=table.id,
                        destination_cidr_block=_ANYWHERE,
                        nat_gateway_id=gateways[gateway].id,
                        opts=self._child,
                    )
            aws.ec2.RouteTableAssociation(
                f"{self._name}-{each.suffix}-routes",
                subnet_id=subnets[each.suffix].id,
                route_table_id=table.id,
                opts=self._child,
            )
        return tables

    def _make_gateway(self, zone: int, subnet: aws.ec2.Subnet, internet: aws.ec2.InternetGateway) -> aws.ec2.NatGateway:
        address = aws.ec2.Eip(f"{self._name}-nat-{zone}-address", domain="vpc", opts=self._child)
        return aws.ec2.NatGateway(
            f"{self._name}-nat-{zone}",
            allocation_id=address.id,
            subnet_id=subnet.id,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[internet]),
        )

    def _make_endpoints(
        self,
        plan: NetworkPlan,
        vpc: aws.ec2.Vpc,
        tables: list[pulumi.Output[str]],
        subnets: Mapping[str, aws.ec2.Subnet],
    ) -> None:
        # Costs nothing, and artifacts then cross no NAT gateway, which is paid by the gigabyte.
        gateway = aws.ec2.VpcEndpoint(
            f"{self._name}-s3",
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{self._naming.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=tables,
            opts=self._child,
        )
        self._s3_prefixes = gateway.prefix_list_id
        if not plan.endpoints:
            return
        group = self._group("endpoints", vpc.id)
        for service in plan.endpoints:
            aws.ec2.VpcEndpoint(
                f"{self._name}-{service.replace('.', '-')}",
                vpc_id=vpc.id,
                service_name=f"com.amazonaws.{self._naming.region}.{service}",
                vpc_endpoint_type="Interface",
                subnet_ids=[subnets[each.suffix].id for each in plan.subnets if not each.public],
                security_group_ids=[group],
                private_dns_enabled=True,
                opts=self._child,
            )

    def _make_groups(self) -> dict[Group, pulumi.Output[str]]:
        used = {rule.group for rule in self._rules}
        return {
            group: pulumi.Output.from_input(self._adopted[group]) if group in self._adopted else self._group(group)
            for group in _OWN_GROUPS
            if group in used
        }

    def _group(self, group: Group, vpc_id: pulumi.Input[str] | None = None) -> pulumi.Output[str]:
        if group not in self._own:
            self._own[group] = aws.ec2.SecurityGroup(
                f"{self._name}-{group}",
                name=self._naming.security_group(group),
                description=f"{group} of {self._naming.cluster()}",
                vpc_id=self.vpc_id if vpc_id is None else vpc_id,
                # Rules are resources of their own; given here, each would undo the other.
                opts=pulumi.ResourceOptions(parent=self, ignore_changes=["ingress", "egress"]),
            )
        return self._own[group].id

    def _make_rule(self, rule: Rule) -> None:
        peer = self.groups[rule.peer] if rule.peer else None
        prefixes = self._s3_prefixes if rule.s3 else None
        make = aws.vpc.SecurityGroupIngressRule if rule.direction == "ingress" else aws.vpc.SecurityGroupEgressRule
        make(
            f"{self._name}-{rule.suffix}",
            security_group_id=self.groups[rule.group],
            referenced_security_group_id=peer,
            cidr_ipv4=rule.cidr,
            prefix_list_id=prefixes,
            ip_protocol="tcp",
            from_port=rule.port,
            to_port=rule.port,
            description=rule.purpose,
            opts=self._child,
        )
