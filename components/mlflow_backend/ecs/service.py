"""Cluster, task definitions, service and its scaling as one component. Owns the wiring; `render` decides.

Old revisions stay: `skip_destroy` keeps a task definition registered when the next one takes its naming, or there would
be nothing to roll back to. How many are kept is `history.prune`'s.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_aws as aws

from mlflow_backend.aws.identity import Identity
from mlflow_backend.aws.naming import LOG_GROUPS, SERVER_LOGS, TASKS_LOGS
from mlflow_backend.aws.provider import InsightsLogs
from mlflow_backend.aws.render import scheduler
from mlflow_backend.aws.render.balancer import removal_deadline
from mlflow_backend.aws.render.network import SERVER_PORT
from mlflow_backend.aws.store import FETCH
from mlflow_backend.ecs.provider import TaskTool
from mlflow_backend.ecs.render import roles, scheduled
from mlflow_backend.ecs.render import service as render
from mlflow_backend.ecs.render.tasks import DRAWN, SERVER, fixed
from mlflow_backend.tokens import ECS_SERVICE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.aws.balancer import Balancer
    from mlflow_backend.aws.network import Network
    from mlflow_backend.aws.render.balancer import Timeouts
    from mlflow_backend.aws.render.network import Group
    from mlflow_backend.aws.scope import Scope
    from mlflow_backend.backup.tool import Tool

# While a pin holds the service to an older revision, no new one is registered, whatever the settings say by now.
_ALL_INPUTS = [
    "containerDefinitions",
    "cpu",
    "ephemeralStorage",
    "executionRoleArn",
    "memory",
    "runtimePlatform",
    "taskRoleArn",
    "volumes",
]
# What a rollback that is pinned left as it was: nothing is deployed, so nobody has to go back.
_ROLLBACKS = ["deploymentCircuitBreaker.rollback", "alarms.rollback"]


class Service(pulumi.ComponentResource):
    """What runs.

    Attributes: `cluster`, `logs` by naming.LOG_GROUPS, then `one_shots` by their part, and then `service` and
    `revision`, the number of the task definition that the service is set to serve.
    """

    def __init__(
        self,
        name: str,
        scope: Scope,
        *,
        network: Network,
        key_arn: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Make the cluster and its logs; tasks and service follow by the methods, in the order of an update."""
        super().__init__(ECS_SERVICE, name, None, opts)
        settings, naming = scope.settings, scope.naming
        self._name, self._settings, self._naming, self._network = name, settings, naming, network
        self._scope = scope
        self._child = pulumi.ResourceOptions(parent=self)
        self.one_shots: dict[str, aws.ecs.TaskDefinition] = {}
        self._expressions = scheduled.expressions(settings)
        self.service: aws.ecs.Service
        self.revision: pulumi.Output[str]
        # Container Insights would make this group by itself, keep it for ever, and leave it behind.
        insights = InsightsLogs(f"{name}-insights-logs", scope, opts=self._child)
        self.cluster = aws.ecs.Cluster(
            f"{name}-cluster",
            name=naming.cluster(),
            settings=[{"name": "containerInsights", "value": "enabled"}],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[insights]),
        )
        self.logs = {
            part: aws.cloudwatch.LogGroup(
                f"{name}-{part}-logs",
                name=naming.log_group(part),
                retention_in_days=settings.aws.monitoring.log_retention_days,
                kms_key_id=key_arn,
                opts=self._child,
            )
            for part in LOG_GROUPS
        }

    def define(
        self,
        part: str,
        task: pulumi.Output[dict[str, Any]],
        needs: Sequence[pulumi.Resource],
        *,
        tool: pulumi.Output[Tool] | None,
    ) -> None:
        """Register a one-shot task, the tool that it runs and its schedule, if it has them."""
        needed, name = [self.logs[TASKS_LOGS], *needs], f"{self._name}-{part}-tool"
        if tool is not None:
            needed.append(TaskTool(name, connection=self._scope.connection, tool=tool, opts=self._child))
        self.one_shots[part] = self._define(part, task, needed, ignored=[])
        if tool is not None and part in self._expressions:
            more = scheduled.ARGUMENTS.get(part, ())
            command = tool.apply(lambda each: scheduler.override(part, (*each.command(FETCH), *more)))
            self._schedule(part, command)

    @cached_property
    def _starter(self) -> Identity:
        """The role that EventBridge Scheduler takes, which is made with the first schedule."""
        return Identity(
            f"{self._name}-scheduler",
            self._scope,
            trust=scheduler.trust(self._naming),
            roles=[roles.scheduler(self._naming, list(self._expressions))],
            given={},
            opts=self._child,
        )

    def _schedule(self, part: str, command: pulumi.Output[str]) -> None:
        found = scheduler.schedule(
            self._naming,
            part,
            self._expressions[part],
            cluster=self.cluster.arn,
            role=self._starter.roles[scheduler.SCHEDULER].arn,
            definition=self.one_shots[part].arn,
            network=self._placed("tasks"),
            command=command,
        )
        opts = pulumi.ResourceOptions(parent=self, depends_on=self._starter.attached)
        aws.scheduler.Schedule(f"{self._name}-{part}", **found, opts=opts)

    def _placed(self, group: Group) -> Any:
        """Return where tasks run, in one of the network's security groups."""
        network = self._network
        return {
            "subnets": network.task_subnets,
            "security_groups": [network.groups[group]],
            "assign_public_ip": network.tasks_are_public,
        }

    def serve(  # noqa: PLR0913 - what an update serves, by name
        self,
        task: pulumi.Output[dict[str, Any]],
        *,
        balancer: Balancer,
        times: Timeouts,
        may_roll_back: bool,
        guards: Sequence[pulumi.Input[str]],
        pin: str | None,
        needs: Sequence[pulumi.Resource],
    ) -> None:
        """Register the server's revision and serve it; with a `pin`, serve exactly that revision and register none."""
        naming = self._naming
        definition = self._define(SERVER, task, [self.logs[SERVER_LOGS], *needs], ignored=_ALL_INPUTS if pin else [])
        self.revision = (
            pulumi.Output.from_input(pin) if pin else definition.revision.apply(lambda number: str(int(number)))
        )
        pinned = f"task-definition/{naming.family(SERVER)}:{pin}"
        plan = render.scaling(self._settings)
        self.service = aws.ecs.Service(
            f"{self._name}-service",
            name=naming.service(),
            cluster=self.cluster.arn,
            # As the state has it: another spelling of the same revision would be a difference.
            task_definition=naming.arn("ecs", pinned) if pin else definition.arn,
            desired_count=plan.least,
            launch_type="FARGATE",
            deployment_minimum_healthy_percent=render.MINIMUM_PERCENT,
            deployment_maximum_percent=render.MAXIMUM_PERCENT,
            deployment_circuit_breaker={"enable": True, "rollback": may_roll_back},
            alarms={"alarm_names": list(guards), "enable": True, "rollback": may_roll_back},
            health_check_grace_period_seconds=times.grace,
            load_balancers=[
                {"target_group_arn": balancer.target_group.arn, "container_name": SERVER, "container_port": SERVER_PORT}
            ],
            network_configuration=self._placed("server"),
            enable_ecs_managed_tags=True,
            propagate_tags="SERVICE",
            # The wait is the rollout resource's: Terraform's own looks at task counts, and is content after a
            # circuit breaker has gone back to the old revision (pulumi-aws#4487).
            wait_for_steady_state=False,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[balancer.listener, *needs],
                custom_timeouts=pulumi.CustomTimeouts(
                    delete=f"{removal_deadline(self._settings.server.request_timeout)}s"
                ),
                # Autoscaling moves the count; an update must not move it back.
                ignore_changes=[*(["desiredCount"] if plan.moves else []), *(_ROLLBACKS if pin else [])],
            ),
        )
        if plan.moves:
            self._scale(plan, balancer)
        self.register_outputs({"cluster": self.cluster.name, "revision": self.revision})

    def _define(
        self,
        part: str,
        task: pulumi.Output[dict[str, Any]],
        needs: Sequence[pulumi.Resource],
        *,
        ignored: list[str],
    ) -> aws.ecs.TaskDefinition:
        return aws.ecs.TaskDefinition(
            f"{self._name}-{part}",
            **fixed(self._settings, self._naming, part),
            **{name: task[name] for name in DRAWN},
            skip_destroy=True,
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(needs), ignore_changes=ignored),
        )

    def _scale(self, plan: render.ScalingPlan, balancer: Balancer) -> None:
        target = aws.appautoscaling.Target(
            f"{self._name}-scaling",
            service_namespace="ecs",
            resource_id=f"service/{self._naming.cluster()}/{self._naming.service()}",
            scalable_dimension="ecs:service:DesiredCount",
            min_capacity=plan.least,
            max_capacity=plan.most,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.service]),
        )
        label = pulumi.Output.concat(balancer.load_balancer.arn_suffix, "/", balancer.target_group.arn_suffix)
        scaling = self._settings.aws.scaling
        metrics: dict[str, tuple[str, int, pulumi.Input[str] | None]] = {
            "cpu": ("ECSServiceAverageCPUUtilization", scaling.cpu_percent, None),
            "requests": ("ALBRequestCountPerTarget", scaling.requests_per_replica, label),
        }
        for what, (metric, wanted, resource) in metrics.items():
            aws.appautoscaling.Policy(
                f"{self._name}-scaling-{what}",
                name=what,
                policy_type="TargetTrackingScaling",
                service_namespace=target.service_namespace,
                resource_id=target.resource_id,
                scalable_dimension=target.scalable_dimension,
                target_tracking_scaling_policy_configuration={
                    "target_value": wanted,
                    "scale_out_cooldown": render.SCALE_OUT_COOLDOWN_S,
                    "scale_in_cooldown": render.SCALE_IN_COOLDOWN_S,
                    "predefined_metric_specification": {
                        "predefined_metric_type": metric,
                        "resource_label": resource,
                    },
                },
                opts=self._child,
            )
