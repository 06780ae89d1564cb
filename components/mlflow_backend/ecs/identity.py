"""The roles of the backend's tasks as one component. Owns the wiring; every document is in `render.policies`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_aws as aws

from mlflow_backend.ecs.render import policies
from mlflow_backend.tokens import ECS_IDENTITY

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend.ecs.render.place import Place
    from mlflow_backend.ecs.render.policies import Store
    from mlflow_backend.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Reads:
    """The secrets that tasks name, by ARN: the server's own, the database role's, the cache's, the instance's admin's.

    `api_keys`, the hashes of API keys, is read by the server itself; None where access is not by keys.
    """

    server: pulumi.Input[str]
    database: pulumi.Input[str]
    cache: pulumi.Input[str]
    admin: pulumi.Input[str] | None
    api_keys: pulumi.Input[str] | None
    key: pulumi.Input[str]


class Identity(pulumi.ComponentResource):
    """Who the tasks are once they run: `server`, `tasks` for the database's, `verify`; `..._execution` before that.

    `verify` and `verify_execution` are None where verification needs no task. Attributes besides the roles:
    `attached`, their policies, and `documents`, what those say.
    """

    def __init__(  # noqa: PLR0913 - what roles may reach, by name
        self,
        name: str,
        *,
        settings: Settings,
        place: Place,
        store: pulumi.Output[Store],
        reads: Reads,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Take what the roles may reach."""
        super().__init__(ECS_IDENTITY, name, None, opts)
        self._name, self._settings, self._place = name, settings, place
        self._child = pulumi.ResourceOptions(parent=self)
        self._made: list[tuple[aws.iam.RolePolicy, pulumi.Output[str]]] = []
        repository = policies.repository_arn(settings, place)

        def execution(log_part: str) -> Callable[[list[Any]], policies.Document]:
            return lambda found: policies.execution(
                place,
                secrets=found[1:],
                keys=found[:1],
                log_group=place.log_group_arn(log_part),
                repository_arn=repository,
            )

        admin = [] if reads.admin is None else [reads.admin]
        login = [] if settings.aws.registry_secret is None else [settings.aws.registry_secret]
        server_reads = pulumi.Output.all(reads.key, reads.server, reads.database, reads.cache, *login)
        tasks_reads = pulumi.Output.all(reads.key, reads.server, reads.database, *admin, *login)
        self.server_execution = self._role("server-execution", server_reads.apply(execution("server")))
        self.tasks_execution = self._role("tasks-execution", tasks_reads.apply(execution("tasks")))
        by_keys = pulumi.Output.all(store, reads.api_keys, reads.key)
        self.server = self._role(
            "server",
            by_keys.apply(lambda found: policies.server(place, found[0], keys_secret=found[1], key_arn=found[2])),
        )
        self.tasks = self._role("tasks", store.apply(lambda found: policies.database_tasks(place, found)))
        self.verify_execution: aws.iam.Role | None = None
        self.verify: aws.iam.Role | None = None
        if settings.aws.network.internal:
            verify_reads = pulumi.Output.all(reads.key, reads.server, *login)
            self.verify_execution = self._role("verify-execution", verify_reads.apply(execution("tasks")))
            self.verify = self._role("verify", store.apply(lambda found: policies.verify_task(place, found)))
        self.attached = [policy for policy, _ in self._made]
        self.documents = pulumi.Output.all(*(document for _, document in self._made))
        self.register_outputs({"server": self.server.arn, "serverExecution": self.server_execution.arn})

    def _role(self, part: str, document: pulumi.Output[policies.Document]) -> aws.iam.Role:
        role = aws.iam.Role(
            f"{self._name}-{part}",
            name=self._place.role(part),
            assume_role_policy=policies.text(policies.tasks_trust(self._place)),
            permissions_boundary=self._settings.aws.permissions_boundary,
            opts=self._child,
        )
        text = document.apply(policies.text)
        policy = aws.iam.RolePolicy(f"{self._name}-{part}", role=role.name, policy=text, opts=self._child)
        self._made.append((policy, text))
        return role
