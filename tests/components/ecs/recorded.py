"""Answers of AWS as they were documented or recorded, played back to a real boto3 client.

Used where moto is known to lie (a service's deployments never move there). Each answer is checked against botocore's
own model of the service, so that no test passes on an answer that AWS could not give, and is copied each time, so that
nothing that the code does to an answer shows in the next one.
"""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING, Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.validate import ParamValidator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REGION = "eu-west-1"


class Recorded:
    """One client whose answers are given beforehand, an operation at a time; the last answer of a list repeats."""

    def __init__(self, service: str) -> None:
        """Make a client for `service` that reaches nothing."""
        self.client = boto3.client(
            service,
            region_name=REGION,
            aws_access_key_id="a",
            aws_secret_access_key="b",
            endpoint_url="http://0.0.0.0:1",
        )
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._answers: dict[str, list[dict[str, Any] | str]] = {}
        self._by_parameters: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {}
        # Callers ask in several threads: each is answered by its own parameters.
        self._current = threading.local()
        self.client.meta.events.register("provide-client-params.*.*", self._note)
        self.client.meta.events.register("before-call.*.*", self._answer)

    def answers(self, operation: str, *answers: dict[str, Any] | str) -> Recorded:
        """Set the answers of an operation; a text is the code of an error."""
        for answer in answers:
            if isinstance(answer, dict):
                self._could_be(operation, answer)
        self._answers[operation] = list(answers)
        return self

    def answers_by(self, operation: str, made: Callable[[dict[str, Any]], dict[str, Any]]) -> Recorded:
        """Let the answers of an operation be made of what it is asked."""
        self._by_parameters[operation] = made
        return self

    def calls(self, operation: str) -> Sequence[dict[str, Any]]:
        """Return with what an operation was called, each time."""
        return [parameters for name, parameters in self.asked if name == operation]

    def _note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self._current.parameters = copy.deepcopy(params)
        self.asked.append((model.name, self._current.parameters))

    def _could_be(self, operation: str, answer: dict[str, Any]) -> None:
        shape = self.client.meta.service_model.operation_model(operation).output_shape
        if shape is not None:
            report = ParamValidator().validate(answer, shape)
            assert not report.has_errors(), report.generate_report()

    def _answer(self, model: Any, **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        if model.name in self._by_parameters:
            made = self._by_parameters[model.name](self._current.parameters)
            self._could_be(model.name, made)
            return AWSResponse("", 200, {}, None), copy.deepcopy(made)
        answers = self._answers.get(model.name)
        assert answers, f"nothing is recorded for {model.name}"
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, str):
            return AWSResponse("", 400, {}, None), {"Error": {"Code": answer, "Message": "as recorded"}}
        return AWSResponse("", 200, {}, None), copy.deepcopy(answer)
