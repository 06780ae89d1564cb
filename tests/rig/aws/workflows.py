"""The roles of GitHub's workflows on a rig: made of what `scripts/deployer_policy.py` prints, taken by its trust."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from mlflow_backend.aws.naming import Naming
from mlflow_backend.aws.permissions import Purpose, policies, role_name, subjects, trust
from mlflow_backend.ecs.permissions import grants
from tests.rig.aws.iam.evaluator import Decision, Request, decide
from tests.rig.aws.server import ACCOUNT, REGION, Caller

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend.aws.permissions import Grant
    from mlflow_backend.settings import Settings

    Grants = Callable[[Settings, Naming, Purpose], tuple[Grant, ...]]

_REPOSITORY = "team/mlflow"
_ISSUER = "token.actions.githubusercontent.com"


class Workflows:
    """Credentials of a stack's roles; their policies are rendered anew when the stack's settings are others."""

    def __init__(self, stack: str, grants: Grants = grants) -> None:
        """Name the stack, and what its target grants; no role is made yet."""
        self._grants = grants
        self.naming = Naming(project="mlflow-backend", stack=stack, account=ACCOUNT, region=REGION)
        self._put: dict[Purpose, Settings] = {}
        self._callers: dict[Purpose, Caller] = {}

    def caller(self, purpose: Purpose, settings: Settings) -> Caller:
        """Return the credentials of a purpose's role, with the permissions for settings."""
        if self._put.get(purpose) != settings:
            self._give(purpose, [dict(each) for each in policies(self._grants(settings, self.naming, purpose))])
            self._put[purpose] = settings
        if purpose not in self._callers:
            self._callers[purpose] = self._taken(purpose)
        return self._callers[purpose]

    def _give(self, purpose: Purpose, documents: list[dict[str, Any]]) -> None:
        iam, name = iam_backends[ACCOUNT]["aws"], role_name(self.naming, purpose)
        if not any(each.name == name for each in iam.roles.values()):
            document = json.dumps(trust(self.naming, subjects(_REPOSITORY, purpose, self.naming.stack)))
            iam.create_role(name, document, "/", None, "", [], "3600")
        for old in iam.list_role_policies(name):
            iam.delete_role_policy(name, old)
        for number, each in enumerate(documents):
            iam.put_role_policy(name, f"{name}-{number}", json.dumps(each))

    def _taken(self, purpose: Purpose) -> Caller:
        iam, name = iam_backends[ACCOUNT]["aws"], role_name(self.naming, purpose)
        role = next(each for each in iam.roles.values() if each.name == name)
        (subject,) = subjects(_REPOSITORY, purpose, self.naming.stack)
        asked = Request(
            action="sts:AssumeRoleWithWebIdentity",
            resource=role.arn,
            principals=frozenset({f"arn:aws:iam::{ACCOUNT}:oidc-provider/{_ISSUER}"}),
            context={f"{_ISSUER}:aud": "sts.amazonaws.com", f"{_ISSUER}:sub": subject},
        )
        assert decide(asked, [json.loads(role.assume_role_policy_document)], named=True) is Decision.ALLOW
        taken = sts_backends[ACCOUNT]["aws"].assume_role(REGION, "workflow", role.arn, "", 3600, "")
        return Caller(key=taken.access_key_id, secret=taken.secret_access_key, token=taken.session_token)
