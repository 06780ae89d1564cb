"""Rules on container definitions and IAM documents, run on what a target renders from the settings. Pure.

A first preview of the engine does not know them yet. What depends on a value that is not known is not evaluated, and
the report says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend import tokens
from mlflow_backend.policy import containers, iam
from mlflow_backend.report.events import known
from mlflow_backend.report.model import Outcome
from mlflow_backend.report.policies import RenderedEvaluation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.report.events import Stream
    from mlflow_backend.report.policies import RenderedParts


def pinned(stream: Stream) -> str | None:
    """Return the image that preflight has pinned in a preview; None if it has not."""
    step = stream.of_type(tokens.PREFLIGHT)
    image = step.inputs.get("pinnedImage") if step else None
    return image if isinstance(image, str) and known(image) else None


def evaluate(parts: RenderedParts) -> tuple[RenderedEvaluation, ...]:
    """Return what the rules say of the rendered parts."""
    return (*_of_containers(parts), *_of_documents(parts))


def _of_containers(parts: RenderedParts) -> Iterator[RenderedEvaluation]:
    for task, definitions in parts.containers.items():
        where = f"{task}, rendered from the settings"
        yield from _judged("no-plain-secrets", where, containers.plain_secrets(definitions))
        if parts.image_known:
            yield from _judged("images-by-digest", where, containers.without_digest(definitions))
        else:
            message = "preflight has not pinned the image yet"
            yield RenderedEvaluation(
                policy="images-by-digest", where=where, outcome=Outcome.NOT_EVALUATED, message=message
            )


def _of_documents(parts: RenderedParts) -> Iterator[RenderedEvaluation]:
    for name, document in parts.documents.items():
        where = f"{name}, rendered from the settings"
        yield from _judged("iam-without-wildcards", where, iam.wildcards(document, key=name == "key policy"))
        if name.endswith("bucket policy"):
            yield from _judged("bucket-private", where, iam.public(document))
            plain = [] if iam.refuses_plain_http(document) else ["it does not deny plain HTTP"]
            yield from _judged("encrypted-in-transit", where, iter(plain))


def _judged(policy: str, where: str, found: Iterator[str]) -> Iterator[RenderedEvaluation]:
    messages = list(found)
    for each in messages:
        yield RenderedEvaluation(policy=policy, where=where, outcome=Outcome.VIOLATED, message=each)
    if not messages:
        yield RenderedEvaluation(policy=policy, where=where, outcome=Outcome.PASSED)
