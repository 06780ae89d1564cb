"""Repositories and what they keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.rig.standin.aws.resource import Operation, Translation

if TYPE_CHECKING:
    from collections.abc import Mapping


def _force(scope: Mapping[str, Any]) -> dict[str, Any]:
    return {"force": bool(scope.get("forceDelete"))}


RESOURCES: Final = (
    Translation(
        token="aws:ecr/repository:Repository",
        service="ecr",
        id="{name}",
        create=Operation(
            call="create_repository",
            takes="name imageTagMutability imageScanningConfiguration encryptionConfigurations",
        ),
        read=Operation(
            call="describe_repositories",
            keys={"repositoryNames": ["{name}"]},
            answer="repositories[0]",
            gives={"encryptionConfigurations": "[encryptionConfiguration]"},
        ),
        updates=(
            Operation(call="put_image_tag_mutability", takes="imageTagMutability", keys={"repositoryName": "{name}"}),
            Operation(
                call="put_image_scanning_configuration",
                takes="imageScanningConfiguration",
                keys={"repositoryName": "{name}"},
            ),
        ),
        delete=Operation(call="delete_repository", keys={"repositoryName": "{name}"}),
        delete_with=_force,
        names={
            "name": "repositoryName",
            "arn": "repositoryArn",
            "repositoryUrl": "repositoryUri",
            "encryptionConfigurations": "encryptionConfiguration",
        },
        outward={"encryptionConfigurations": lambda given: given[0]},
        kept=frozenset({"forceDelete"}),
        named="name",
    ),
    Translation(
        token="aws:ecr/lifecyclePolicy:LifecyclePolicy",
        service="ecr",
        id="{repository}",
        create=Operation(call="put_lifecycle_policy", takes="repository policy"),
        read=Operation(call="get_lifecycle_policy", keys={"repositoryName": "{repository}"}),
        updates=(Operation(call="put_lifecycle_policy", takes="policy", keys={"repositoryName": "{repository}"}),),
        delete=Operation(call="delete_lifecycle_policy", keys={"repositoryName": "{repository}"}),
        names={"repository": "repositoryName", "policy": "lifecyclePolicyText"},
        documents=frozenset({"policy"}),
    ),
)
