"""The dynamic resource for users and permissions of MLflow's own access control. Thin.

Each update compares and puts right what differs; a refresh reads, and sends nothing that changes anything (ADR 50).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulumi.dynamic import CheckFailure, CheckResult, CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from mlflow_backend.dynamic import UPDATE_ID, Provider, document_of, update_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pulumi

    from mlflow_backend.locator import Locator


class UsersProvider(Provider):
    """Applies on create and update. A destroy leaves the users to their database, which goes or stays as a whole."""

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Refuse users of a backend that cannot be called from here."""
        from mlflow_backend.users import resource  # noqa: PLC0415 - the provider's process starts light

        problem = resource.problem(news)
        return CheckResult(news, [CheckFailure("users", problem)] if problem else [])

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Ask for an update if inputs differ, a refresh saw a drift, or users have to be compared."""
        from mlflow_backend.users import resource  # noqa: PLC0415

        return DiffResult(changes=resource.changed(olds, news))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Apply. Raises Refused or PlatformFailed."""
        from mlflow_backend.users import resource  # noqa: PLC0415

        return CreateResult(id_="users", outs=resource.apply(props, {}))

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Apply again: what is as it should be is left alone."""
        from mlflow_backend.users import resource  # noqa: PLC0415

        return UpdateResult(outs=resource.apply(news, olds))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Return the state with what an update would change."""
        from mlflow_backend.users import resource  # noqa: PLC0415

        return ReadResult(id_=id_, outs={**props, "drift": resource.drifted(props)})


class Users(Resource, module="mlflow-backend", name="Users"):
    """Users and permissions of MLflow's own access control, as the settings ask for.

    Outputs: `made`, the users that settings made and may delete; `granted`, the permissions that settings own;
    `madeRoles`, the roles that settings made and may delete; `drift`, what the last refresh found to differ.
    """

    made: pulumi.Output[list[str]]
    drift: pulumi.Output[list[str]]

    def __init__(  # noqa: PLR0913 - each input by name
        self,
        name: str,
        *,
        url: pulumi.Input[str],
        locator: pulumi.Input[Locator],
        credentials: pulumi.Input[Mapping[str, str]],
        users: Mapping[str, Mapping[str, Any]],
        permissions: Sequence[Mapping[str, str]],
        roles: Sequence[Mapping[str, Any]],
        opts: pulumi.ResourceOptions,
    ) -> None:
        """Take the URL, references to an administrator's login, and what is wanted (users.desired)."""
        props: dict[str, Any] = {
            "url": url,
            "locator": document_of(locator),
            "credentials": credentials,
            "users": {each: dict(user) for each, user in users.items()},
            "permissions": [dict(each) for each in permissions],
            "roles": [dict(each) for each in roles],
            UPDATE_ID: update_id() if users or roles else "",
            **dict.fromkeys(("made", "granted", "madeRoles", "drift")),
        }
        super().__init__(UsersProvider(), name, props, opts)
