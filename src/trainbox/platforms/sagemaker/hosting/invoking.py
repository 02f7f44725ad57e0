"""A model behind an endpoint, asked through SageMaker: the transport of ``trainbox.serving.remote.RemotePredictor``."""

import json
import time
from collections.abc import Mapping
from typing import Any

from trainbox.errors import UsageError
from trainbox.platforms.sagemaker.aws.account import Account
from trainbox.platforms.sagemaker.aws.failures import THROTTLED, AwsFailed, said_by_aws
from trainbox.platforms.sagemaker.hosting import endpoints
from trainbox.platforms.sagemaker.hosting.endpoints import IN_SERVICE, Endpoint
from trainbox.platforms.sagemaker.hosting.request import TAG
from trainbox.serving.remote import RemoteFailed, Reply, TooLarge

MEGABYTE = 1 << 20
LARGEST_MB, LARGEST_SERVERLESS_MB = 6, 4
ANSWERING = frozenset({IN_SERVICE, "Updating", "SystemUpdating", "RollingBack"})
"""The states in which an endpoint answers: while it is updated the old model does."""

STARTING = frozenset({"ModelNotReadyException", "ServiceUnavailable", *THROTTLED})
SECONDS_TO_START = 120.0
LONGEST_PAUSE = 5.0


class OverSageMaker:
    """An endpoint, asked through InvokeEndpoint. Raises UsageError where none of that name answers, or AwsFailed."""

    def __init__(self, account: Account, name: str) -> None:
        found = endpoints.find(account, name)
        _refuse_silent(found, name, account.region)
        self.name, self._endpoint, self._found = f"Endpoint '{name}'", name, found
        self._runtime = account.client("sagemaker-runtime")

    def card(self) -> Mapping[str, Any]:
        """Return the task, which the endpoint's tags say."""
        task = self._found.tags.get(TAG) if self._found else None
        if not task:
            raise UsageError(f"{self.name} has no tag '{TAG}' that says what it answers. Deploy it with trainbox.")
        return {"task": task}

    def ask(self, content: bytes, accept: str, threshold: float | None) -> Reply:
        """Ask about an image file's bytes; what the container refuses is its reply. Waits for a model that starts."""
        self._refuse_large(content)
        attributes = {} if threshold is None else {"CustomAttributes": f"threshold={threshold}"}
        patience, pause = time.monotonic() + SECONDS_TO_START, 0.5
        while True:
            try:
                return self._asked(content, accept, attributes)
            except AwsFailed as problem:
                if problem.code not in STARTING or time.monotonic() > patience:
                    raise
            time.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)

    def close(self) -> None:
        """Close the connections."""
        self._runtime.close()

    def _asked(self, content: bytes, accept: str, attributes: Mapping[str, str]) -> Reply:
        from botocore.exceptions import ClientError

        with said_by_aws(f"ask the endpoint '{self._endpoint}'"):
            try:
                answer = self._runtime.invoke_endpoint(
                    EndpointName=self._endpoint,
                    ContentType="application/x-image",
                    Accept=accept,
                    Body=content,
                    **attributes,
                )
                return Reply(200, answer["Body"].read())
            except ClientError as problem:
                if problem.response.get("Error", {}).get("Code") != "ModelError":
                    raise
                return _said_by_model(self.name, problem.response)

    def _refuse_large(self, content: bytes) -> None:
        most = LARGEST_SERVERLESS_MB if self._found and self._found.serverless else LARGEST_MB
        if len(content) > most * MEGABYTE:
            size = len(content) / MEGABYTE
            raise TooLarge(f"{size:.1f} MB, and a request to this endpoint is of {most} MB at most")


def _refuse_silent(found: Endpoint | None, name: str, region: str) -> None:
    if found is None:
        raise UsageError(f"There is no endpoint '{name}' in {region}. Check its name and --region, or deploy it.")
    if found.status not in ANSWERING:
        reason = f", {found.reason}" if found.reason else ""
        raise UsageError(f"Endpoint '{name}' does not answer: it is {found.status}{reason}.")


def _said_by_model(name: str, response: Mapping[str, Any]) -> Reply:
    """Return what the container itself answered; raise RemoteFailed where SageMaker has no answer of it."""
    body, status = str(response.get("OriginalMessage", "")), int(response.get("OriginalStatusCode", 0) or 0)
    try:
        sound = isinstance(json.loads(body), dict)
    except ValueError:
        sound = False
    if not sound:
        where = response.get("LogStreamArn", "")
        said = body or response.get("Error", {}).get("Message", "nothing more")
        raise RemoteFailed(f"{name}: the model failed with {status}: {said}{f' Its log: {where}' if where else ''}")
    return Reply(status, body.encode())
