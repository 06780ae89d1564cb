"""Rules on tasks, roles, logs and tags. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend import tokens
from mlflow_backend.policy import containers, iam
from mlflow_backend.policy.model import Gathered, NotKnown, of_type, policy, stack_policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlflow_backend.policy.model import Resource, Violation

TASK: Final = "aws:ecs/taskDefinition:TaskDefinition"
LOG_GROUP: Final = "aws:cloudwatch/logGroup:LogGroup"
ROLE: Final = "aws:iam/role:Role"
ATTACHMENT: Final = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
KEY: Final = "aws:kms/key:Key"
DOCUMENTED: Final = frozenset({
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/policy:Policy",
    "aws:sns/topicPolicy:TopicPolicy",
    "aws:s3/bucketPolicy:BucketPolicy",
    KEY,
})  # fmt: skip
"""Resources whose `policy` is an IAM document."""

REQUIRED_TAGS: Final = ("project", "stack", "managed-by")
"""Tags that mlflow_backend/naming gives to everything."""

# The finding of preflight's platform check (mlflow_backend/preflight/image).
_PLATFORM_CHECK: Final = "image platform"
_PLATFORMS: Final = {"X86_64": "linux/amd64", "ARM64": "linux/arm64"}


@policy(
    "images-by-digest",
    about={TASK},
    why="A tag can mean another image tomorrow: then a restarted task runs what nobody verified.",
    remediation="Let preflight resolve the tag, and use its pinnedImage.",
)
def images_by_digest(task: Resource) -> Iterator[str]:
    """Every container names its image by digest."""
    yield from containers.without_digest(task.document("containerDefinitions"))


@policy(
    "no-plain-secrets",
    about={TASK},
    why="Everybody who may describe a task reads them, and they stay in its history for ever.",
    remediation="Put the value into Secrets Manager and name it under `secrets`.",
)
def no_plain_secrets(task: Resource) -> Iterator[str]:
    """A task's environment and command hold no secret."""
    yield from containers.plain_secrets(task.document("containerDefinitions"))


@stack_policy(
    "image-architecture",
    about={TASK},
    why="An arm64 image on amd64 tasks dies with 'exec format error', after the update has begun.",
    remediation="Build the image for the tasks' platform, or set aws.architecture to the image's.",
)
def image_architecture(resources: Sequence[Resource]) -> Iterator[Violation]:
    """Preflight has seen that the image runs on the architecture of each task."""
    gathered = Gathered()
    looks = of_type(resources, tokens.PREFLIGHT)

    def task_fits(task: Resource) -> Iterator[str]:
        wanted = _PLATFORMS.get(str(task.get("runtimePlatform", default={}).get("cpuArchitecture", "X86_64")))
        seen = {each.get("platform"): _outcome(each) for each in looks}
        if wanted not in seen:
            yield f"nothing has looked whether the image runs on {wanted}"
        elif seen[wanted] == "skip":
            # Preflight could not read the image: nobody knows, which is no pass.
            raise NotKnown("image")
        elif seen[wanted] != "pass":
            yield f"the image was not found to run on {wanted}"

    yield from gathered.over(of_type(resources, TASK), task_fits)
    gathered.close()


@policy(
    "iam-without-wildcards",
    about={*DOCUMENTED, ROLE, ATTACHMENT},
    why="Whoever takes over the server has what its role has.",
    remediation="Name the actions and ARNs. Actions without resources are listed in policy/iam.py, with their source.",
)
def iam_without_wildcards(resource: Resource) -> Iterator[str]:
    """Grants name their actions and resources; nothing attaches a policy that allows all of a service."""
    if resource.type == ATTACHMENT:
        # An attached policy of this program is checked as its own resource.
        if iam.ADMINISTRATORS.search(str(resource.get("policyArn", default=""))):
            yield "it attaches a policy that allows everything, or everything of a service"
        return
    if resource.type == ROLE:
        for each in resource.get("inlinePolicies", default=()):
            yield from iam.wildcards(_document(each.get("policy")))
        for arn in resource.get("managedPolicyArns", default=()):
            if iam.ADMINISTRATORS.search(str(arn)):
                yield "it has a policy that allows everything, or everything of a service"
        return
    yield from iam.wildcards(resource.document("policy"), key=resource.type == KEY)


@policy(
    "logs-expire",
    about={LOG_GROUP},
    why="Logs that never expire cost more each month, and hold what users were promised is deleted.",
    remediation="Set aws.monitoring.logRetentionDays, or retentionInDays on a group of your own.",
)
def logs_expire(group: Resource) -> Iterator[str]:
    """A log group has a retention."""
    if not int(group.get("retentionInDays", default=0)):
        yield "its logs are kept for ever"


@policy(
    "tagged",
    about=(),
    why="Costs, clean-up and incidents start from the question whose it is.",
    remediation="Make it with the backend's provider, whose default tags name project, stack and managed-by.",
)
def tagged(resource: Resource) -> Iterator[str]:
    """Every resource that can have tags says which project and stack it belongs to."""
    own = resource.inputs.get("tagsAll") or resource.inputs.get("tags") or {}
    names = {*(own if isinstance(own, dict) else ()), *resource.default_tags}
    missing = [name for name in REQUIRED_TAGS if name not in names]
    if missing:
        yield f"it lacks the tags {', '.join(missing)}"


def _outcome(look: Resource) -> str:
    findings = look.get("findings", default=())
    return next((each["outcome"] for each in findings if each.get("check") == _PLATFORM_CHECK), "skip")


def _document(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
