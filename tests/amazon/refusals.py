"""What the fake refuses, as AWS words it."""

import json
import uuid
from collections.abc import Sequence

from werkzeug import Response

JSON = "application/x-amz-json-1.1"


class Refusal(Exception):
    """An answer that is an error: AWS's code for it, its sentence, and the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400, **further: object) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status, self.further = code, message, status, further

    def as_json(self) -> Response:
        """Return what services that speak JSON answer."""
        body = {"__type": self.code, "message": self.message, "Message": self.message, **self.further}
        return Response(
            json.dumps(body),
            self.status,
            {"x-amzn-RequestId": str(uuid.uuid4()), "x-amzn-ErrorType": self.code},
            content_type=JSON,
        )

    def as_xml(self, wrapped: bool) -> Response:
        """Return what services that speak XML answer: S3 bare, STS and IAM within an ErrorResponse."""
        error = f"<Error><Type>Sender</Type><Code>{self.code}</Code><Message>{self.message}</Message></Error>"
        body = f"<ErrorResponse>{error}<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>" if wrapped else error
        return Response(body, self.status, content_type="text/xml")


def invalid(message: str) -> Refusal:
    """Return the refusal that most wrong requests get."""
    return Refusal("ValidationException", message)


def violated(found: Sequence[str]) -> Refusal:
    """Return the refusal of a request that breaks the service's model."""
    count = f"{len(found)} validation error{'s' if len(found) > 1 else ''} detected"
    return invalid(f"{count}: {'; '.join(found)}")


def unknown(resource: str) -> Refusal:
    """Return what training, transform and tuning jobs answer to an unknown name."""
    return Refusal("ResourceNotFound", f"Requested resource not found: {resource}.")


def taken(arn: str) -> Refusal:
    """Return what a second job of one name gets."""
    kind = arn.split(":")[5].split("/")[0].replace("-", " ").capitalize()
    return Refusal("ResourceInUse", f"{kind} names must be unique within an AWS account and region. {arn} exists.")


def beyond_quota(quota: str, limit: float, used: int, asked: int) -> Refusal:
    """Return what a request for more than the account may have gets."""
    return Refusal(
        "ResourceLimitExceeded",
        f"The account-level service limit '{quota}' is {limit:g} Instances, with current utilization of {used} "
        f"Instances and a request delta of {asked} Instances. Please use AWS Service Quotas to request an increase "
        "for this quota. If AWS Service Quotas is not available, contact AWS support to request an increase for "
        "this quota.",
    )
