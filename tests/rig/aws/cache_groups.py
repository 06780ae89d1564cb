"""ElastiCache's parameter groups, and the end of subnet groups: calls that moto does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, EmptyResult
from moto.elasticache.responses import ElastiCacheResponse as Response

from tests.rig.aws.server import ACCOUNT, REGION
from tests.rig.patches import called

if TYPE_CHECKING:
    from tests.rig.patches import Patches


class _Missing(ServiceException):
    code = "CacheParameterGroupNotFound"
    message = "The requested cache parameter group was not found."


class _Exists(ServiceException):
    code = "CacheParameterGroupAlreadyExists"
    message = "A cache parameter group with the requested name already exists."


class _SubnetsMissing(ServiceException):
    code = "CacheSubnetGroupNotFoundFault"
    message = "The requested cache subnet group was not found."


class CacheGroups:
    """The parameter groups, by name, with the values that were set."""

    def __init__(self, patches: Patches) -> None:
        """Answer from now on."""
        self._groups: dict[str, dict[str, Any]] = {}
        self._values: dict[str, dict[str, str]] = {}
        for name, handler in {
            "create_cache_parameter_group": self._create,
            "describe_cache_parameter_groups": self._describe,
            "modify_cache_parameter_group": self._modify,
            "describe_cache_parameters": self._parameters,
            "reset_cache_parameter_group": self._reset,
            "delete_cache_parameter_group": self._delete,
            "delete_cache_subnet_group": self._delete_subnets,
        }.items():
            patches.add(Response, name, called(handler))

    def _create(self, response: Response) -> ActionResult:
        name = response._get_param("CacheParameterGroupName")
        if name in self._groups:
            raise _Exists
        self._values[name] = {}
        self._groups[name] = {
            "CacheParameterGroupName": name,
            "CacheParameterGroupFamily": response._get_param("CacheParameterGroupFamily"),
            "Description": response._get_param("Description"),
            "IsGlobal": False,
            "ARN": f"arn:aws:elasticache:{REGION}:{ACCOUNT}:parametergroup:{name}",
        }
        tags = response._get_param("Tags") or []
        response.elasticache_backend.tagging_service.tag_resource(self._groups[name]["ARN"], tags)
        return ActionResult({"CacheParameterGroup": self._groups[name]})

    def _describe(self, response: Response) -> ActionResult:
        named = response._get_param("CacheParameterGroupName")
        chosen = [self._groups[self._name(response)]] if named else list(self._groups.values())
        return ActionResult({"CacheParameterGroups": chosen})

    def _modify(self, response: Response) -> ActionResult:
        name = self._name(response)
        for each in response._get_param("ParameterNameValues") or []:
            self._values[name][each["ParameterName"]] = each["ParameterValue"]
        return ActionResult({"CacheParameterGroupName": name})

    def _parameters(self, response: Response) -> ActionResult:
        values = self._values[self._name(response)]
        held = [{"ParameterName": name, "ParameterValue": value, "Source": "user"} for name, value in values.items()]
        return ActionResult({"Parameters": held})

    def _reset(self, response: Response) -> ActionResult:
        name = self._name(response)
        for each in response._get_param("ParameterNameValues") or []:
            self._values[name].pop(each["ParameterName"], None)
        return ActionResult({"CacheParameterGroupName": name})

    def _delete(self, response: Response) -> EmptyResult:
        name = self._name(response)
        del self._groups[name], self._values[name]
        return EmptyResult()

    def _delete_subnets(self, response: Response) -> EmptyResult:
        held = response.elasticache_backend.cache_subnet_groups
        if held.pop(response._get_param("CacheSubnetGroupName"), None) is None:
            raise _SubnetsMissing
        return EmptyResult()

    def _name(self, response: Response) -> str:
        name = str(response._get_param("CacheParameterGroupName"))
        if name not in self._groups:
            raise _Missing
        return name
