"""The check that the caller may do what an update does, by IAM's own simulation."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.asking import Unanswered
from mlflow_backend.findings import failed, passed, skipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlflow_backend.aws.asking import Account
    from mlflow_backend.aws.permissions.grant import Grant
    from mlflow_backend.findings import Finding

_CHECK: Final = "permissions"
_PROP: Final = "aws.account"
_ASSUMED: Final = re.compile(r"arn:(?P<partition>[^:]+):sts::(?P<account>\d+):assumed-role/(?P<role>[^/]+)/.*")
# A pattern stands for names that AWS draws; the simulation takes one of them.
_SAMPLE: Final = "x"
# Characters of all policies inside one identity, white space not counted (IAM user guide, 'IAM and AWS STS quotas').
_LARGEST: Final = {"role": 10_240, "user": 2_048}


def check(account: Account, grants: Sequence[Grant]) -> Iterator[Finding]:
    """Ask IAM of each grant, on its own resources and under its own conditions."""
    caller = account.ask("sts", "get_caller_identity")
    principal = caller if isinstance(caller, Unanswered) else _principal(account, str(caller["Arn"]))
    if isinstance(principal, Unanswered):
        yield skipped(_CHECK, _PROP, f"not evaluated: {principal.why}.")
        return
    denied: list[str] = []
    lacking: list[Grant] = []
    for grant in grants:
        found = _denied(account, principal, grant)
        if isinstance(found, Unanswered):
            yield skipped(_CHECK, _PROP, f"not evaluated: IAM's simulation answers {found.why}.")
            return
        if found:
            denied, lacking = [*denied, *found], [*lacking, grant]
    who = principal.rpartition(":")[2]
    if not denied:
        yield passed(_CHECK, _PROP, f"{who} may do all that {len(grants)} statements of an update's policy say.")
        return
    yield failed(
        _CHECK,
        _PROP,
        f"{who} may not: {', '.join(sorted(set(denied)))}.",
        "Let whoever administers the account put what is lacking in force.",
        _attach(who, lacking),
    )


def _principal(account: Account, arn: str) -> str | Unanswered:
    """Return whose policies decide: a session's role, by its path, or the user. IAM simulates nothing for the root."""
    match = _ASSUMED.fullmatch(arn)
    if match is not None:
        role = account.ask("iam", "get_role", RoleName=match["role"])
        return role if isinstance(role, Unanswered) else str(role["Role"]["Arn"])
    if ":user/" in arn:
        return arn
    return Unanswered(why="the credentials are neither a role's nor a user's, and IAM simulates no others", denied=True)


def _denied(account: Account, principal: str, grant: Grant) -> list[str] | Unanswered:
    resources = [_sample(each) for each in grant.resources if each != "*"]
    more: dict[str, Any] = {"ResourceArns": resources} if resources else {}
    answer = account.ask(
        "iam",
        "simulate_principal_policy",
        PolicySourceArn=principal,
        ActionNames=list(grant.actions),
        ContextEntries=_context(grant),
        **more,
    )
    if isinstance(answer, Unanswered):
        return answer
    return [each["EvalActionName"] for each in answer["EvaluationResults"] if each["EvalDecision"] != "allowed"]


def _context(grant: Grant) -> list[dict[str, Any]]:
    """Return what a request says that the grant's conditions let through. `Null` asks for a key that is not there."""
    return [
        {"ContextKeyName": key, "ContextKeyValues": [_sample(_first(value))], "ContextKeyType": "string"}
        for operator, keys in grant.conditions.items()
        for key, value in keys.items()
        if operator != "Null"
    ]


def _first(value: str | list[str]) -> str:
    return value[0] if isinstance(value, list) else value


def _sample(pattern: str) -> str:
    return pattern.replace("*", _SAMPLE).replace("?", _SAMPLE)


def _attach(who: str, lacking: Sequence[Grant]) -> str:
    """Return the command that puts what is lacking into the identity, or prints all policies if it has no room."""
    document = json.dumps({"Version": "2012-10-17", "Statement": [each.statement() for each in lacking]})
    kind, _, path = who.partition("/")
    if len("".join(document.split())) > _LARGEST[kind]:
        return "python -m scripts.deployer_policy --stack STACK --for deploy"
    named = f"--{kind}-name {path.rpartition('/')[2]} --policy-name mlflow-backend-lacking"
    return f"aws iam put-{kind}-policy {named} --policy-document {shlex.quote(document)}"
