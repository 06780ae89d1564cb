"""The ECR repository that an image is pushed to, if the settings' image is in ECR."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.aws.asking import Account, Unanswered
from mlflow_backend.contract import UsageError
from mlflow_backend.findings import failed, passed, skipped
from mlflow_backend.image_reference import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.aws.connection import Connection
    from mlflow_backend.findings import Finding


def check(image: str, connection: Connection, *, own: str) -> Iterator[Finding]:
    """Look for the repository of an image; `own` is the stack's account. Another registry is preflight's to ask."""
    try:
        reference = parse(image)
    except UsageError:
        return
    if reference.ecr is None:
        return
    owner, region = reference.ecr
    yield _one(Account(connection.elsewhere(region)), reference.repository, owner=owner, own=own)


def _one(account: Account, name: str, *, owner: str, own: str) -> Finding:
    check, prop = "image repository", "server.image"
    answer = account.ask("ecr", "describe_repositories", registryId=owner, repositoryNames=[name])
    if not isinstance(answer, Unanswered):
        return passed(check, prop, f"the repository {name} is there.")
    if answer.denied:
        return skipped(check, prop, f"the repository {name} could not be looked at: {answer.why}.")
    said = f"account {owner} has no repository {name} in {account.region}."
    if owner != own:
        return failed(check, prop, said, "Make it in that account, or correct the setting.")
    return failed(
        check,
        prop,
        said,
        "Make it; one serves all stacks, and its tags cannot be moved.",
        f"aws ecr create-repository --repository-name {name} --image-tag-mutability IMMUTABLE "
        f"--region {account.region}",
    )
