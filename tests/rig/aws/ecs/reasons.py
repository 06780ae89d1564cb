"""Why a task did not start, in ECS's own words (ECS developer guide, 'Stopped tasks error messages').

Diagnoses are written against these sentences, so they must not be paraphrased.
"""

from __future__ import annotations

_PULL = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "


class NotStarted(Exception):
    """A task cannot start. Its text is the task's stopped reason."""


def image_missing(image: str) -> NotStarted:
    """The registry has no such image."""
    return NotStarted(
        f"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {image}: "
        f"{image}: not found"
    )


def platform_missing(platform: str) -> NotStarted:
    """An index has no image for the task's platform."""
    return NotStarted(
        "CannotPullContainerError: pull image manifest has been retried 7 time(s): image Manifest does not contain "
        f"descriptor matching platform '{platform}'"
    )


def pull_denied(image: str, role: str) -> NotStarted:
    """The execution role may not read the repository."""
    return NotStarted(
        f"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {image}: "
        f"pulling from host {image.partition('/')[0]} failed with status code [manifests]: 403 Forbidden ({role})"
    )


def role_not_assumed(role: str) -> NotStarted:
    """The role is not there or does not trust ECS."""
    return NotStarted(
        f"ECS was unable to assume the role '{role}' that was provided for this task. Please verify that the role "
        "being passed has the proper trust relationship and permissions and that your IAM user has permissions to "
        "pass this role."
    )


def secret_unreadable(secret: str, answer: str) -> NotStarted:
    """Secrets Manager or Parameter Store refused."""
    return NotStarted(
        f"{_PULL}unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret "
        f"{secret} from secrets manager: {answer}"
    )


def secret_without_key(key: str) -> NotStarted:
    """The secret is a document without the key that the task names."""
    return NotStarted(
        f"{_PULL}unable to retrieve secret from asm: retrieved secret from Secrets Manager did not contain json key "
        f"{key}"
    )


def log_stream_refused(answer: str) -> NotStarted:
    """CloudWatch Logs refused."""
    return NotStarted(
        "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed "
        f"to create Cloudwatch log stream: {answer} : exit status 1"
    )
