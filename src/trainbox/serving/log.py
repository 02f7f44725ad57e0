"""The log: a line of JSON an event on standard output, or plain words where that is a terminal."""

import json
import sys
from datetime import UTC, datetime
from typing import Any


def say(event: str, **facts: Any) -> None:
    """Log one event. A log that cannot be written stops nobody."""
    if sys.stdout.isatty():
        line = " ".join([event, *(f"{name}={value}" for name, value in facts.items() if value != "")])
    else:
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **facts})
    try:
        print(line, flush=True)
    except OSError:
        return
