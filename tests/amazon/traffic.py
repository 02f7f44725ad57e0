"""What a request asks for: which service, which operation, of what."""

from dataclasses import dataclass
from io import BytesIO
from urllib.parse import parse_qs

from werkzeug import Request

ITSELF = "amazon-itself"
"""In the user agent of what the fake asks of S3 and the logs: no test counts that or lets it fail."""

PARTS = {
    ("PUT", "partNumber"): "UploadPart",
    ("POST", "uploads"): "CreateMultipartUpload",
    ("POST", "uploadId"): "CompleteMultipartUpload",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
    ("GET", "uploadId"): "ListParts",
    ("GET", "uploads"): "ListMultipartUploads",
    ("POST", "delete"): "DeleteObjects",
    ("GET", "list-type"): "ListObjectsV2",
    ("GET", "location"): "GetBucketLocation",
    ("PUT", "versioning"): "PutBucketVersioning",
    ("PUT", "encryption"): "PutBucketEncryption",
    ("PUT", "publicAccessBlock"): "PutPublicAccessBlock",
    ("PUT", "lifecycle"): "PutBucketLifecycleConfiguration",
    ("PUT", "ownershipControls"): "PutBucketOwnershipControls",
    ("PUT", "tagging"): "PutBucketTagging",
    ("PUT", "policy"): "PutBucketPolicy",
    ("GET", "policy"): "GetBucketPolicy",
}
OBJECTS = {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}
BUCKETS = {"PUT": "CreateBucket", "GET": "ListObjects", "HEAD": "HeadBucket", "DELETE": "DeleteBucket"}


@dataclass(frozen=True)
class Asked:
    """One request: ``about`` is bucket and key for S3, the path otherwise; ``size`` is its body's, in bytes."""

    service: str
    operation: str
    about: str
    size: int
    region: str
    key_id: str
    agent: str

    @property
    def is_our_own(self) -> bool:
        """Tell whether the fake itself asked."""
        return ITSELF in self.agent

    @property
    def is_s3(self) -> bool:
        """Tell whether S3 was asked."""
        return self.service == "s3"


def read(request: Request) -> Asked:
    """Tell what a request asks for; its body can still be read by whoever answers it."""
    key_id, region, service = _scope(request.headers.get("Authorization", ""))
    target = request.headers.get("X-Amz-Target", "")
    if service == "s3":
        operation = _s3(request)
    elif target:
        operation = target.rpartition(".")[2]
    elif request.path.startswith("/endpoints/"):
        operation = "InvokeEndpoint"
    else:
        operation = _action(request)
    size = int(request.headers.get("X-Amz-Decoded-Content-Length") or request.content_length or 0)
    return Asked(service, operation, request.path.strip("/"), size, region, key_id, request.user_agent.string)


def _scope(authorization: str) -> tuple[str, str, str]:
    """Return key, region and service of a signed request: Credential=KEY/DATE/REGION/SERVICE/aws4_request."""
    _, _, rest = authorization.partition("Credential=")
    parts = rest.split(",")[0].split("/")
    return (parts[0], parts[2], parts[3]) if len(parts) >= 4 else ("", "", "")


def _s3(request: Request) -> str:
    for (method, argument), operation in PARTS.items():
        if request.method == method and argument in request.args:
            return operation
    if "X-Amz-Copy-Source" in request.headers:
        return "CopyObject"
    path = request.path.strip("/")
    if not path:
        return "ListBuckets"
    return (OBJECTS if "/" in path else BUCKETS).get(request.method, "")


def _action(request: Request) -> str:
    """Return the operation of the query protocol (STS, IAM), and put the body back."""
    if request.method != "POST":
        return request.args.get("Action", "")
    body = request.get_data()
    request.environ["wsgi.input"] = BytesIO(body)
    return parse_qs(body.decode("utf-8", "replace")).get("Action", [""])[0]
