"""Numbers as a report says them."""

from collections.abc import Mapping
from typing import Any


def decimal(value: float | None, digits: int = 3) -> str:
    """Return a number with that many decimals, a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int = 2) -> str:
    """Return a number with its sign, a dash where there is none."""
    return "–" if value is None else f"{value:+.{digits}f}".replace("-", "−")


def share(value: float | None) -> str:
    """Return a share as whole per cents."""
    return "–" if value is None else f"{100 * value:.0f} %".replace("-", "−")


def megabytes(count: int) -> str:
    """Return a number of bytes in MB or KB."""
    return f"{count / 1e6:.2f} MB" if count >= 100_000 else f"{count / 1e3:.0f} KB"


def setting(value: Any) -> str:
    """Return a hyperparameter's value as it would be given."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {setting(item)}" for name, item in value.items())
    return "–" if value is None else str(value)
