"""How the tests of the fake ask it."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError


def refusal(call: Callable[..., Any], **asked: Any) -> tuple[str, str]:
    """Return code and message of what a call is refused with."""
    with pytest.raises(ClientError) as refused:
        call(**asked)
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]
