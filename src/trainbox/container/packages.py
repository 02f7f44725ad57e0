"""Which packages training needs beyond those of the desk install."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from platform import python_version

from trainbox.errors import UsageError

MODULES = ("tensorflow", "keras", "h5py", "ai_edge_litert", "jinja2", "matplotlib")
RECORDED = ("trainbox", "keras", "tensorflow", "tensorflow-cpu", "jax", "ai-edge-litert", "numpy", "pillow", "h5py")


SERVING_MODULES = ("starlette", "uvicorn", "httptools", "ai_edge_litert")


def require_serving() -> None:
    """Raise UsageError where what serving needs is not installed; imports nothing."""
    _require(SERVING_MODULES, "serve")


def require_training() -> None:
    """Raise UsageError where this is the light install of the desk; imports nothing."""
    _require(MODULES, "train")


def _require(modules: Sequence[str], extra: str) -> None:
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"This needs packages that are not installed: {', '.join(missing)}. Run: pip install 'trainbox[{extra}]'"
        )


def versions() -> dict[str, str]:
    """Return the versions that a bundle's manifest records: distribution to version, and ``python``."""
    found = {"python": python_version()}
    for name in RECORDED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
