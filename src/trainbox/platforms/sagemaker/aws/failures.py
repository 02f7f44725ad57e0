"""What AWS refuses or fails to do, in one line that says what was asked and what to do."""

import contextlib
from collections.abc import Iterator

from trainbox.errors import RefusedInput, TrainboxError

THROTTLED = frozenset(
    {"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown"}
)
EXPIRED = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired", "InvalidClientTokenId"}
    | {"UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
)
FORBIDDEN = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403", "Forbidden"})

LOG_IN_AGAIN = "Log in again (aws sso login, or new keys), then go on."


class AwsFailed(TrainboxError):
    """AWS did not do what was asked of it. ``code`` is its word for why, "" where it could not be reached."""

    def __init__(self, line: str, code: str = "") -> None:
        super().__init__(line)
        self.code = code


class AwsRefused(AwsFailed, RefusedInput):
    """AWS refused what was asked before anything was begun or spent."""

    exit_status = 2


class LoggedOut(AwsFailed):
    """There are no credentials, or they are not valid any more."""


def was_asked_again(problem: AwsFailed) -> bool:
    """Tell whether botocore had asked for the same before, by itself, because no answer came.

    What AWS says is there already may then be what it has just made for us.
    """
    response = getattr(problem.__cause__, "response", {})
    return bool(response.get("ResponseMetadata", {}).get("RetryAttempts"))


@contextlib.contextmanager
def said_by_aws(doing: str) -> Iterator[None]:
    """Turn what botocore raises into one line: ``doing`` is what was asked, "create the bucket 'x'".

    Raises LoggedOut without valid credentials, AwsRefused where the request itself is wrong, AwsFailed otherwise.
    """
    try:
        from boto3.exceptions import Boto3Error
        from botocore import exceptions
    except ImportError:
        yield
        return
    try:
        yield
    except exceptions.ClientError as problem:
        raise _answered(doing, problem.response.get("Error", {})) from problem
    except exceptions.ParamValidationError as problem:
        raise AwsRefused(f"Cannot {doing}: {_flat(str(problem.kwargs.get('report', problem)))}.") from problem
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as problem:
        raise LoggedOut(
            f"Cannot {doing}: no AWS credentials were found. Set them up: aws configure, or aws sso login."
        ) from problem
    except (
        exceptions.TokenRetrievalError,
        exceptions.UnauthorizedSSOTokenError,
        exceptions.SSOTokenLoadError,
        exceptions.CredentialRetrievalError,
    ) as problem:
        raise LoggedOut(f"Cannot {doing}: {_flat(str(problem))}. {LOG_IN_AGAIN}") from problem
    except (exceptions.BotoCoreError, Boto3Error) as problem:
        raise AwsFailed(f"Cannot {doing}: {_flat(str(problem))}.") from problem


@contextlib.contextmanager
def adding(sentence: str) -> Iterator[None]:
    """Add a sentence to the line of what AWS failed to do: how to go on without it."""
    try:
        yield
    except AwsFailed as problem:
        raise type(problem)(f"{problem} {sentence}", problem.code) from problem


def _answered(doing: str, error: dict[str, str]) -> AwsFailed:
    code, message = error.get("Code", ""), _flat(error.get("Message", "") or error.get("Code", ""))
    line = f"Cannot {doing}: {message} ({code})."
    if code in EXPIRED:
        return LoggedOut(f"{line} {LOG_IN_AGAIN}", code)
    if code in THROTTLED:
        return AwsFailed(f"{line} AWS asks us to slow down: try again in a minute.", code)
    if code in FORBIDDEN:
        return AwsRefused(f"{line} Ask whoever runs the account for that right.", code)
    if code in {"ValidationException", "ResourceInUse", "ResourceLimitExceeded", "ResourceNotFound", "NoSuchBucket"}:
        return AwsRefused(line, code)
    return AwsFailed(line, code)


def _flat(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
