"""The dynamic resource of the target eks: a login that AWS keeps, copied into a Secret of the cluster. Thin.

The path of this module and the name of its class are frozen: Pulumi keeps providers by module and class name, so that
moving or renaming one makes `destroy` fail for stacks that exist (a test pins them). For the same reason an instance
has no attributes: those would be kept in the state.
"""

from __future__ import annotations

from typing import Any

import pulumi  # noqa: TC002 - Pulumi evaluates the annotations of a resource's outputs
from pulumi.dynamic import Resource

from mlflow_backend.module_provider import ModuleProvider


class LoginProvider(ModuleProvider):
    """A copy of a login, made again as soon as AWS has another version."""

    module = "mlflow_backend.eks.logins"


class Login(Resource, module="mlflow-backend", name="EksLogin"):
    """A copy of a login. Output: `version`, which changes with what is copied; never a value."""

    version: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions, **props: pulumi.Input[Any]) -> None:
        """Take the locator, the Secret's name and labels, and what it holds (logins.ensure)."""
        super().__init__(LoginProvider(), name, {**props, "version": None}, opts)
