"""Application Auto Scaling's tags: calls and members that moto does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse as Response
from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult

from tests.rig.patches import called

if TYPE_CHECKING:
    from tests.rig.patches import Patches


class TargetTags:
    """The tags of scalable targets, by ARN."""

    def __init__(self, patches: Patches) -> None:
        """Answer from now on."""
        self._tags: dict[str, dict[str, str]] = {}
        for name in ("list_tags_for_resource", "tag_resource", "untag_resource"):
            patches.add(Response, name, called(getattr(self, f"_{name}")))
        self._before = patches.put(Response, "register_scalable_target", called(self._register))
        self._gone = patches.put(Response, "deregister_scalable_target", called(self._deregister))

    def _register(self, response: Response) -> str:
        answer = str(self._before(response))
        # Of a target that is there already the tags are not taken (Application Auto Scaling, RegisterScalableTarget).
        self._tags.setdefault(_target(response).arn, dict(response._get_param("Tags") or {}))
        return answer

    def _deregister(self, response: Response) -> str:
        arn = _target(response).arn
        answer = str(self._gone(response))
        self._tags.pop(arn, None)
        return answer

    def _list_tags_for_resource(self, response: Response) -> ActionResult:
        return ActionResult({"Tags": self._held(response)})

    def _tag_resource(self, response: Response) -> ActionResult:
        self._held(response).update(response._get_param("Tags"))
        return ActionResult({})

    def _untag_resource(self, response: Response) -> ActionResult:
        held = self._held(response)
        for key in response._get_param("TagKeys"):
            held.pop(key, None)
        return ActionResult({})

    def _held(self, response: Response) -> dict[str, str]:
        arn = response._get_param("ResourceARN")
        if arn not in self._tags:
            raise JsonRESTError("ResourceNotFoundException", "There is no such scalable target.")
        return self._tags[arn]


def _target(response: Response) -> Any:
    dimension, subject = response._get_param("ScalableDimension"), response._get_param("ResourceId")
    found = response.applicationautoscaling_backend.targets.get(dimension, {}).get(subject)
    if found is None:
        raise JsonRESTError("ObjectNotFoundException", "There is no such scalable target.")
    return found
