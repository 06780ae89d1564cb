"""ECS's API where moto's answers are not true: services, deployments, tasks and the listing of revisions.

Clusters and task definitions stay moto's. Requests are first checked by moto's own handler where it checks anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ecs.models import ecs_backends
from moto.ecs.responses import EC2ContainerServiceResponse as Response

from tests.rig.aws.ecs.model import Deployment, Service, Task, arn
from tests.rig.aws.server import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.rig.aws.ecs.controller import Controller
    from tests.rig.patches import Patches

_PAGE: Final = 100
_TASKS_PAGE: Final = 100
# An update changes only what it names.
_SETTINGS: Final = (
    "deploymentConfiguration", "networkConfiguration", "healthCheckGracePeriodSeconds", "loadBalancers",
    "enableECSManagedTags", "propagateTags", "enableExecuteCommand", "platformVersion", "availabilityZoneRebalancing",
)  # fmt: skip


class _Client(ServiceException):
    code = "ClientException"


class _Invalid(ServiceException):
    code = "InvalidParameterException"


class _NoService(ServiceException):
    code = "ServiceNotFoundException"
    message = "Service not found."


class _NotActive(ServiceException):
    code = "ServiceNotActiveException"
    message = "Service was not ACTIVE."


class _NoDeployment(ServiceException):
    code = "ServiceDeploymentNotFoundException"
    message = "Service deployment not found."


class Api:
    """The calls, on a controller's services and tasks."""

    def __init__(self, patches: Patches, controller: Controller) -> None:
        """Answer from now on."""
        self._controller = controller
        self._tokens: dict[str, list[Task]] = {}
        replaced: Mapping[str, Callable[[Response], ActionResult]] = {
            "create_service": self._create_service,
            "update_service": self._update_service,
            "describe_services": self._describe_services,
            "delete_service": self._delete_service,
            "list_services": self._list_services,
            "run_task": self._run_task,
            "describe_tasks": self._describe_tasks,
            "list_tasks": self._list_tasks,
            "stop_task": self._stop_task,
            "list_task_definitions": self._list_task_definitions,
        }
        for name, handler in replaced.items():
            before = patches.put(Response, name, _called(handler))
            if name == "create_service":
                self._moto_create = before
        for name, handler in {
            "list_service_deployments": self._list_service_deployments,
            "describe_service_deployments": self._describe_service_deployments,
            "stop_service_deployment": self._stop_service_deployment,
        }.items():
            patches.add(Response, name, _called(handler))
        self._moto_register = patches.put(Response, "register_task_definition", _called(self._register))

    def _register(self, response: Response) -> ActionResult:
        held = response._get_param("containerDefinitions") or []
        if any(each.get("secrets") for each in held) and not response._get_param("executionRoleArn"):
            raise _Client(
                "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."
            )
        return self._moto_register(response)  # type: ignore[no-any-return]

    def _create_service(self, response: Response) -> ActionResult:
        cluster, name = self._cluster(response), str(response._get_param("serviceName"))
        held = self._controller.services.get((cluster, name))
        if held is not None and held.status != "INACTIVE":
            raise _Invalid("Creation of service was not idempotent.")
        # moto's own record stays behind: Application Auto Scaling looks for it.
        made = self._moto_create(response).result["service"]
        definition = self._definition(str(response._get_param("taskDefinition")))
        with self._controller.lock:
            service = Service(
                cluster=cluster,
                name=name,
                task_definition=definition,
                desired=int(response._get_param("desiredCount") or 0),
                settings={key: response._get_param(key) for key in _SETTINGS},
                tags=list(response._get_param("tags") or []),
            )
            assert made.arn == service.arn
            self._controller.services[cluster, name] = service
            self._controller.deploy(service, definition)
            return ActionResult({"service": service.document()})

    def _update_service(self, response: Response) -> ActionResult:
        with self._controller.lock:
            service = self._service(response)
            if service.status != "ACTIVE":
                raise _NotActive
            given = {key: response._get_param(key) for key in _SETTINGS if response._get_param(key) is not None}
            if "deploymentConfiguration" in given:
                given["deploymentConfiguration"] = {**service.configuration, **given["deploymentConfiguration"]}
            # Anything but the count and how deployments go needs other tasks.
            renewing = {"networkConfiguration", "loadBalancers", "platformVersion"} & given.keys()
            changed = any(given[key] != service.settings.get(key) for key in renewing)
            service.settings |= given
            desired = response._get_param("desiredCount")
            if desired is not None:
                service.desired = int(desired)
            wanted = response._get_param("taskDefinition")
            definition = self._definition(str(wanted)) if wanted else service.task_definition
            if definition != service.task_definition or response._get_param("forceNewDeployment") or changed:
                self._controller.deploy(service, definition)
            return ActionResult({"service": service.document()})

    def _describe_services(self, response: Response) -> ActionResult:
        cluster, found, failures = self._cluster(response), [], []
        with self._controller.lock:
            for name in response._get_param("services") or []:
                service = self._controller.services.get((cluster, str(name).rpartition("/")[2]))
                if service is None:
                    missing = name if str(name).startswith("arn:") else arn(f"service/{cluster}/{name}")
                    failures.append({"arn": missing, "reason": "MISSING"})
                else:
                    found.append(service.document())
        return ActionResult({"services": found, "failures": failures})

    def _delete_service(self, response: Response) -> ActionResult:
        with self._controller.lock:
            service = self._service(response)
            if service.desired > 0 and not response._get_param("force"):
                raise _Invalid("The service cannot be stopped while it is scaled above 0.")
            self._controller.delete(service)
            ecs_backends[ACCOUNT][REGION].services.pop(f"{service.cluster}:{service.name}", None)
            return ActionResult({"service": service.document()})

    def _list_services(self, response: Response) -> ActionResult:
        cluster = self._cluster(response)
        with self._controller.lock:
            held = [each for each in self._controller.services.values() if each.cluster == cluster]
            return ActionResult({"serviceArns": [each.arn for each in held if each.status != "INACTIVE"]})

    def _run_task(self, response: Response) -> ActionResult:
        token = response._get_param("clientToken")
        with self._controller.lock:
            if token and token in self._tokens:
                return ActionResult({"tasks": [each.document() for each in self._tokens[token]], "failures": []})
            definition = ecs_backends[ACCOUNT][REGION].describe_task_definition(response._get_param("taskDefinition"))
            network = (response._get_param("networkConfiguration") or {}).get("awsvpcConfiguration")
            if network is None:
                raise _Invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
            made = [
                Task(
                    cluster=self._cluster(response),
                    definition=definition,
                    address=self._controller.address(),
                    network=network,
                    overrides=response._get_param("overrides") or {},
                    started_by=response._get_param("startedBy") or "",
                    group=response._get_param("group") or f"family:{definition.family}",
                    tags=list(response._get_param("tags") or []),
                )
                for _ in range(int(response._get_param("count") or 1))
            ]
            for task in made:
                self._controller.run(task)
            if token:
                self._tokens[token] = made
            return ActionResult({"tasks": [each.document() for each in made], "failures": []})

    def _describe_tasks(self, response: Response) -> ActionResult:
        found, failures = [], []
        with self._controller.lock:
            by_id = {each.id: each for each in self._controller.tasks.values()}
            for name in response._get_param("tasks") or []:
                task = by_id.get(str(name).rpartition("/")[2])
                if task is None:
                    failures.append({"arn": name, "reason": "MISSING"})
                else:
                    found.append(task.document())
        return ActionResult({"tasks": found, "failures": failures})

    def _list_tasks(self, response: Response) -> ActionResult:
        cluster = self._cluster(response)
        service = str(response._get_param("serviceName") or "").rpartition("/")[2]
        wanted = {
            "family": response._get_param("family"),
            "startedBy": response._get_param("startedBy"),
            "desiredStatus": response._get_param("desiredStatus") or "RUNNING",
        }
        with self._controller.lock:
            found = [
                each.arn
                for each in self._controller.tasks.values()
                if each.cluster == cluster
                and (not service or (each.service is not None and each.service.name == service))
                and wanted["family"] in {None, each.definition.family}
                and wanted["startedBy"] in {None, each.started_by}
                and each.desired == wanted["desiredStatus"]
            ]
        return _page(response, "taskArns", found, _TASKS_PAGE)

    def _stop_task(self, response: Response) -> ActionResult:
        with self._controller.lock:
            name = str(response._get_param("task")).rpartition("/")[2]
            task = next((each for each in self._controller.tasks.values() if each.id == name), None)
            if task is None:
                raise _Invalid("The referenced task was not found.")
            task.stop(response._get_param("reason") or "Task stopped by user", "UserInitiated")
            return ActionResult({"task": task.document()})

    def _list_task_definitions(self, response: Response) -> ActionResult:
        prefix, status = response._get_param("familyPrefix") or "", response._get_param("status") or "ACTIVE"
        held = [
            each
            for family in ecs_backends[ACCOUNT][REGION].task_definitions.values()
            for each in family.values()
            # The API's own words: a family's whole name.
            if (not prefix or each.family == prefix) and each.status == status
        ]
        held.sort(key=lambda each: (each.family, int(each.revision)), reverse=response._get_param("sort") == "DESC")
        return _page(response, "taskDefinitionArns", [each.arn for each in held], _PAGE)

    def _list_service_deployments(self, response: Response) -> ActionResult:
        states = response._get_param("status") or []
        with self._controller.lock:
            service = self._service(response)
            found = [each.service_deployment() for each in service.history if each.rolls_back is None]
        keys = (
            "serviceDeploymentArn", "serviceArn", "clusterArn", "startedAt", "createdAt", "finishedAt", "status",
            "statusReason",
        )  # fmt: skip
        brief = [
            {
                **{key: each[key] for key in keys if key in each},
                "targetServiceRevisionArn": each["targetServiceRevision"]["arn"],
            }
            for each in found
            if not states or each["status"] in states
        ]
        return ActionResult({"serviceDeployments": brief})

    def _describe_service_deployments(self, response: Response) -> ActionResult:
        found, failures = [], []
        with self._controller.lock:
            for name in response._get_param("serviceDeploymentArns") or []:
                held = self._deployment(name)
                if held is None:
                    failures.append({"arn": name, "reason": "MISSING"})
                else:
                    found.append(held.service_deployment())
        return ActionResult({"serviceDeployments": found, "failures": failures})

    def _stop_service_deployment(self, response: Response) -> ActionResult:
        with self._controller.lock:
            name = response._get_param("serviceDeploymentArn")
            held = self._deployment(name)
            if held is None:
                raise _NoDeployment
            if held.rollout == "IN_PROGRESS":
                kind = response._get_param("stopType") or "ROLLBACK"
                self._controller.stop_deployment(held, roll_back=kind == "ROLLBACK")
            return ActionResult({"serviceDeploymentArn": name})

    def _deployment(self, name: str) -> Deployment | None:
        held = [each for service in self._controller.services.values() for each in service.history]
        return next((each for each in held if each.arn == name and each.rolls_back is None), None)

    def _service(self, response: Response) -> Service:
        name = str(response._get_param("service")).rpartition("/")[2]
        found = self._controller.services.get((self._cluster(response), name))
        if found is None:
            raise _NoService
        return found

    def _cluster(self, response: Response) -> str:
        name = str(response._get_param("cluster") or "default")
        # Raises ClusterNotFoundException as ECS does.
        return str(ecs_backends[ACCOUNT][REGION]._get_cluster(name).name)

    def _definition(self, name: str) -> str:
        found = ecs_backends[ACCOUNT][REGION].describe_task_definition(name)
        if found.status != "ACTIVE":
            raise _Client(f"TaskDefinition is inactive: {name}")
        return str(found.arn)


def _called(handler: Callable[[Response], ActionResult]) -> Callable[[Response], ActionResult]:
    # moto calls what it finds on the class with the response as `self`.
    def called(response: Response) -> ActionResult:
        return handler(response)

    return called


def _page(response: Response, key: str, found: list[str], most: int) -> ActionResult:
    start = int(response._get_param("nextToken") or 0)
    size = int(response._get_param("maxResults") or most)
    answer: dict[str, Any] = {key: found[start : start + size]}
    if start + size < len(found):
        answer["nextToken"] = str(start + size)
    return ActionResult(answer)
