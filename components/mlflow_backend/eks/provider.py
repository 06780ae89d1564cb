"""The dynamic resource of the target eks: a login that AWS keeps, copied into a Secret of the cluster. Thin.

The path of this module and the name of its class are frozen: Pulumi keeps providers by module and class name, so that
moving or renaming one makes `destroy` fail for stacks that exist (a test pins them). For the same reason an instance
has no attributes: those would be kept in the state.
"""

from __future__ import annotations

from typing import Any

import pulumi  # noqa: TC002 - Pulumi evaluates the annotations of a resource's outputs
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from mlflow_backend.dynamic import Provider, is_unknown

# Each method imports what it needs: the provider's process starts light.
# ruff: noqa: PLC0415


class LoginProvider(Provider):
    """A copy of a login, made again as soon as AWS has another version."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make the copy."""
        from mlflow_backend.eks import logins

        return CreateResult(id_=props["secret"], outs=logins.ensure(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Bring the copy up to date."""
        from mlflow_backend.eks import logins

        return UpdateResult(outs=logins.ensure(news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Look at it; one that is gone is made anew by the next update."""
        from mlflow_backend.eks import logins

        found = logins.look(props)
        return ReadResult(id_=id_ if found else "", outs=found or props)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Compare with AWS and with the cluster: a changed password does not wait for a refresh."""
        from mlflow_backend.eks import logins

        if is_unknown(news):
            return DiffResult(changes=True)
        replaced = [key for key in logins.REPLACING if olds.get(key) != news.get(key)]
        return DiffResult(changes=bool(replaced) or logins.changed(olds, news), replaces=replaced)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Delete the copy."""
        from mlflow_backend.eks import logins

        logins.delete(props)


class Login(Resource, module="mlflow-backend", name="EksLogin"):
    """A copy of a login. Output: `version`, which changes with what is copied; never a value."""

    version: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions, **props: pulumi.Input[Any]) -> None:
        """Take the locator, the Secret's name and labels, and what it holds (logins.ensure)."""
        super().__init__(LoginProvider(), name, {**props, "version": None}, opts)
