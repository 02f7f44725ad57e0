"""SageMaker's runtime: InvokeEndpoint, handed on to the server that answers."""

import base64
import json
import uuid

from werkzeug import Request, Response

from amazon.account import NUMBER, House
from amazon.endpoints import Endpoint, Endpoints
from amazon.refusals import Refusal
from amazon.served import Reply
from amazon.training import now

MEGABYTE = 1 << 20
LARGEST, LARGEST_SERVERLESS = 6 * MEGABYTE, 4 * MEGABYTE
PASSED_ON = (
    "Content-Type",
    "Accept",
    "X-Amzn-SageMaker-Custom-Attributes",
    "X-Amzn-SageMaker-Target-Model",
    "X-Amzn-SageMaker-Inference-Id",
)
"""All other headers are stripped."""

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


class Invocations:
    """The one operation of the runtime that the product uses."""

    def __init__(self, house: House, endpoints: Endpoints) -> None:
        self._house, self._endpoints = house, endpoints

    def answer(self, request: Request) -> Response:
        """Answer InvokeEndpoint."""
        try:
            return self._answer(request)
        except Refusal as refusal:
            return refusal.as_json()

    def _answer(self, request: Request) -> Response:
        name = request.path.split("/")[2]
        one = self._endpoints.endpoints.get(name)
        if one is None or not one.serving:
            raise Refusal("ValidationError", f"Endpoint {name} of account {NUMBER} not found.")
        body = request.get_data()
        _refuse_large(one, len(body))
        variant = request.headers.get("X-Amzn-SageMaker-Target-Variant") or next(iter(one.serving))
        if variant not in one.serving:
            raise Refusal("ValidationError", f"Variant {variant} not found for endpoint {name}.")
        headers = {key: request.headers[key] for key in PASSED_ON if key in request.headers}
        try:
            reply = one.serving[variant].ask("POST", "/invocations", body, headers)
        except OSError:
            raise _of_the_model(one, variant, 0, "", "timed out or closed the connection") from None
        self._capture(one, variant, request, body, reply)
        if reply.status >= 400:
            text = reply.body.decode("utf-8", "replace")
            raise _of_the_model(one, variant, reply.status, text, f"error ({reply.status})")
        answered = {"x-Amzn-Invoked-Production-Variant": variant, "x-amzn-RequestId": str(uuid.uuid4())}
        if attributes := reply.headers.get(ATTRIBUTES.lower()):
            answered[ATTRIBUTES] = attributes
        return Response(reply.body, 200, answered, content_type=reply.headers.get("content-type"))

    def _capture(self, one: Endpoint, variant: str, request: Request, body: bytes, reply: Reply) -> None:
        """Write what was asked and answered to S3, where the endpoint's configuration says so."""
        config = one.capture
        if not config or not config.get("EnableCapture"):
            return
        event = str(uuid.uuid4())
        parts = {
            "endpointInput": ("INPUT", request.headers.get("Content-Type", ""), body),
            "endpointOutput": ("OUTPUT", reply.headers.get("content-type", ""), reply.body),
        }
        captured = {
            name: {
                "observedContentType": kind,
                "mode": mode,
                "data": base64.b64encode(data).decode(),
                "encoding": "BASE64",
            }
            for name, (mode, kind, data) in parts.items()
        }
        line = {
            "captureData": captured,
            "eventMetadata": {"eventId": event, "inferenceTime": now().isoformat()},
            "eventVersion": "0",
        }
        folder = config["DestinationS3Uri"].removeprefix("s3://").rstrip("/")
        bucket, _, prefix = f"{folder}/{one.name}/{variant}/{now():%Y/%m/%d/%H}/{event}.jsonl".partition("/")
        self._house.clients("s3").put_object(Bucket=bucket, Key=prefix, Body=json.dumps(line).encode() + b"\n")


def _refuse_large(one: Endpoint, size: int) -> None:
    most = LARGEST_SERVERLESS if one.is_serverless else LARGEST
    if size > most:
        raise Refusal("ValidationError", f"Request body of {size} bytes exceeds the limit of {most} bytes.", 413)


def _of_the_model(one: Endpoint, variant: str, status: int, body: str, what: str) -> Refusal:
    side = "client" if 400 <= status < 500 else "server"
    group = f"/aws/sagemaker/Endpoints/{one.name}"
    return Refusal(
        "ModelError",
        f'Received {side} {what} from primary with message "{body}". See CloudWatch log group {group} in account '
        f"{NUMBER} for more information.",
        424,
        OriginalStatusCode=status,
        OriginalMessage=body,
        LogStreamArn=f"arn:aws:logs:{one.arn.split(':')[3]}:{NUMBER}:log-group:{group}",
    )
