"""What moto's ECR does not give out: the layers of images. As at AWS, they lie in S3, by signed addresses."""

import contextlib
import hashlib
import json
from collections.abc import Callable
from typing import Any

from werkzeug import Request, Response

from amazon.protocol import JSON
from amazon.refusals import Refusal
from amazon.traffic import Asked

OPERATION = "GetDownloadUrlForLayer"
BUCKET = "layers-of-ecr"
USUAL = json.dumps({"architecture": "amd64", "os": "linux"}).encode()
"""The configuration of the image that every account has."""

Clients = Callable[[str], Any]


def digest_of(content: bytes) -> str:
    """Return what ECR calls a layer by."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def put_layer(clients: Clients, content: bytes) -> str:
    """Keep a layer; return its digest."""
    s3 = clients("s3")
    with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name})
    s3.put_object(Bucket=BUCKET, Key=digest_of(content), Body=content)
    return digest_of(content)


def answer(clients: Clients, asked: Asked, request: Request) -> Response | None:
    """Answer where a layer is asked for."""
    if asked.operation != OPERATION:
        return None
    put_layer(clients, USUAL)
    digest = json.loads(request.get_data())["layerDigest"]
    found = clients("s3").list_objects_v2(Bucket=BUCKET, Prefix=digest).get("Contents")
    if not found:
        return Refusal("LayersNotFoundException", f"There is no layer {digest}.", 400).as_json()
    address = clients("s3").generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": digest})
    return Response(json.dumps({"downloadUrl": address, "layerDigest": digest}), content_type=JSON)
