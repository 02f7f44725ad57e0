"""What a client is told when there is no answer."""

from collections.abc import Mapping

from trainbox.errors import RefusedInput


class Refused(RefusedInput):
    """A request that is not answered, with the HTTP ``status`` that says so and further ``headers``."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
