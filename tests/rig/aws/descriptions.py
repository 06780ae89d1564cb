"""What moto's descriptions leave out and AWS's have: a provider that refreshes would see a difference that is none.

A replication group's clusters, as many as were asked for, through which alone AWS tells its subnet, parameter and
security groups; the tags of a parameter group; the description of a security group's rule that names another group.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moto.ec2.models.security_groups import SecurityGroupRule
from moto.elasticache.models import ElastiCacheBackend, ReplicationGroup

if TYPE_CHECKING:
    from tests.rig.patches import Patches

_TAGGABLE: Final = re.compile(
    r"^arn:aws:elasticache:[^:]*:[0-9]*:(cluster|snapshot|subnetgroup|replicationgroup|user|parametergroup):.*$"
)


def install(patches: Patches) -> None:
    """Answer in full from now on."""
    _members(patches)
    _rules(patches)


def _members(patches: Patches) -> None:
    def create(backend: ElastiCacheBackend, *rest: Any, **named: Any) -> ReplicationGroup:
        # moto has one list of ARNs that can have tags, made with the backend; parameter groups are not in it.
        backend.arn_regex = _TAGGABLE
        made: ReplicationGroup = before_create(backend, *rest, **named)
        groups = [{"SecurityGroupId": each, "Status": "active"} for each in named.get("security_group_ids") or []]
        for name in made.member_clusters:
            backend.cache_clusters[name] = {
                "CacheClusterId": name,
                "CacheClusterStatus": "available",
                "ReplicationGroupId": made.replication_group_id,
                "Engine": named.get("engine"),
                "EngineVersion": named.get("engine_version"),
                "CacheNodeType": named.get("cache_node_type"),
                "CacheSubnetGroupName": named.get("cache_subnet_group_name"),
                "CacheParameterGroup": {"CacheParameterGroupName": named.get("cache_parameter_group_name")},
                "SecurityGroups": groups,
            }
        return made

    def delete(backend: ElastiCacheBackend, *rest: Any, **named: Any) -> ReplicationGroup:
        gone: ReplicationGroup = before_delete(backend, *rest, **named)
        for name in gone.member_clusters:
            backend.cache_clusters.pop(name, None)
        # moto's stays 'deleting' for ever, and whoever waits for its end waits as long.
        backend.replication_groups.pop(gone.replication_group_id, None)
        return gone

    def tags(backend: ElastiCacheBackend, *rest: Any, **named: Any) -> Any:
        backend.arn_regex = _TAGGABLE
        return before_tags(backend, *rest, **named)

    def members(group: ReplicationGroup, **named: Any) -> None:
        # moto counts replicas only if they are asked for by the other of the two parameters.
        replicas = named.pop("replicas_per_node_group") or named["num_cache_clusters"] - 1
        before_members(group, replicas_per_node_group=replicas, **named)

    before_members = patches.put(ReplicationGroup, "_set_node_members_clusters_disabled", members)
    before_create = patches.put(ElastiCacheBackend, "create_replication_group", create)
    before_delete = patches.put(ElastiCacheBackend, "delete_replication_group", delete)
    before_tags = patches.put(ElastiCacheBackend, "list_tags_for_resource", tags)


def _rules(patches: Patches) -> None:
    def description(rule: SecurityGroupRule) -> str | None:
        return rule.ip_range.get("Description") or rule.source_group.get("Description")

    patches.put(SecurityGroupRule, "description", property(description))
