"""The JSON protocol of AWS's services: requests and answers, both held against botocore's service models."""

import json
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.model import ServiceModel
from werkzeug import Request, Response

from amazon.refusals import JSON, Refusal, violated
from amazon.shapes import violations

SERVICES = {
    "SageMaker": "sagemaker",
    "AnyScaleFrontendService": "application-autoscaling",
    "ServiceQuotasV20190624": "service-quotas",
    "AWSPriceListService": "pricing",
}
"""Whom the first word of the header X-Amz-Target means."""


@cache
def model(service: str) -> ServiceModel:
    """Return what botocore knows of a service."""
    return botocore.session.get_session().get_service_model(service)


class Rooms:
    """The operations that the fake has: methods named for them, of whatever object has one."""

    def __init__(self, rooms: Sequence[object]) -> None:
        self._rooms = rooms
        self.received: list[tuple[str, dict[str, Any]]] = []
        self.wrong_answers: list[str] = []

    def answer(self, target: str, request: Request) -> Response:
        """Answer one request; errors are AWS's."""
        service, _, operation = target.partition(".")
        try:
            return self._answer(SERVICES[service], operation, request.get_data())
        except Refusal as refusal:
            return refusal.as_json()

    def _answer(self, service: str, operation: str, body: bytes) -> Response:
        perform = self._find(operation)
        if perform is None or operation not in model(service).operation_names:
            raise Refusal("UnknownOperationException", f"The fake has no {operation}.", 404)
        described = model(service).operation_model(operation)
        asked = json.loads(body or b"{}")
        if found := list(violations(asked, described.input_shape)):
            raise violated(found)
        self.received.append((operation, asked))
        answer = without_nothing(perform(asked) or {})
        if described.output_shape and (wrong := list(violations(answer, described.output_shape))):
            self.wrong_answers.append(f"{operation}: {wrong}")
            raise Refusal("InternalFailure", f"The fake's own answer is wrong: {wrong}", 500)
        return Response(json.dumps(_encoded(answer)), 200, {"x-amzn-RequestId": str(uuid.uuid4())}, content_type=JSON)

    def _find(self, operation: str) -> Callable[[dict[str, Any]], dict[str, Any] | None] | None:
        for room in self._rooms:
            found = getattr(room, xform_name(operation), None)
            if found is not None:
                return found
        return None


def without_nothing(value: Any) -> Any:
    """Return a value without the members that are None: AWS leaves out what is not there."""
    if isinstance(value, dict):
        return {name: without_nothing(member) for name, member in value.items() if member is not None}
    return [without_nothing(member) for member in value] if isinstance(value, list) else value


def page(found: Sequence[Any], asked: dict[str, Any], most: int = 10) -> tuple[list[Any], str | None]:
    """Return one page of a list, of MaxResults at NextToken, and the token of the next."""
    start, size = int(asked.get("NextToken") or 0), int(asked.get("MaxResults") or most)
    after = start + size
    return list(found[start:after]), str(after) if after < len(found) else None


def _encoded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _encoded(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_encoded(member) for member in value]
    return value.timestamp() if isinstance(value, datetime) else value
