"""Where training computes: the GPU where there is one that can be used, the processor elsewhere, and why.

Keras reads its backend once, when it is first imported: ``prepare`` comes before that.
"""

import contextlib
import importlib.util
import math
import os
import sys
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass, replace
from pathlib import Path

from trainbox.training.precision import has_native_bfloat16, policy_for

_GPU_DEVICES = Path("/dev/nvidia0"), Path("/dev/nvidiactl"), Path("/dev/dxg"), Path("/dev/kfd")
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True)
class Device:
    """What computes, with which of Keras' backends and dtype policies; ``reason`` says what was chosen and why."""

    kind: str
    backend: str
    reason: str
    policy: str = "float32"

    @contextlib.contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Let layers made within this block compute in the chosen policy; what is deployed is made outside of it."""
        import keras

        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.policy)
        try:
            yield
        finally:
            keras.config.set_dtype_policy(before)


def prepare(precision: str, seed: int, say: Callable[[str], None]) -> Device:
    """Choose device, threads and arithmetic, seed everything, and say so; call before Keras is first imported.

    Build the recipe within ``arithmetic()`` of what is returned: layers take up their arithmetic when made.

    ``precision`` is "auto", "float32" or "bfloat16". The recipe is to be built after this, for its first weights come
    from the seed. Where Keras is imported already its backend stays as it is.
    """
    device = choose(os.environ, jax_sees_gpu, any(path.exists() for path in _GPU_DEVICES))
    say(device.reason)
    use_threads(os.environ, processors())
    with _without_native_log():
        import keras

    policy, reason = policy_for(precision, has_native_bfloat16(device.kind))
    say(reason)
    keras.utils.set_random_seed(seed)
    return replace(device, policy=policy)


def choose(environment: MutableMapping[str, str], sees_gpu: Callable[[], bool | None], has_gpu: bool) -> Device:
    """Return the device to use, and set KERAS_BACKEND in ``environment`` to its backend.

    ``sees_gpu`` answers whether JAX can compute on a GPU, None where JAX is not installed; it is asked only where
    ``has_gpu`` says that the machine seems to have one.
    """
    fixed = _imported_backend() or environment.get("KERAS_BACKEND")
    usable = sees_gpu() if has_gpu and fixed in (None, "jax") else False
    backend = fixed or ("jax" if usable else "tensorflow")
    environment["KERAS_BACKEND"] = backend
    if usable:
        return Device("gpu", backend, "Training on the GPU (JAX).")
    if fixed:
        return Device("cpu", backend, f"Training on the CPU ({backend}, as KERAS_BACKEND says).")
    if not has_gpu:
        return Device("cpu", backend, "Training on the CPU (TensorFlow): this machine has no GPU.")
    why = "JAX is not installed; install trainbox[gpu]" if usable is None else "JAX cannot use it; look at its driver"
    return Device("cpu", backend, f"Training on the CPU (TensorFlow), not on this machine's GPU: {why}.")


def jax_sees_gpu() -> bool | None:
    """Return whether JAX can compute on a GPU, None where it is not installed."""
    if importlib.util.find_spec("jax") is None:
        return None
    import jax

    try:
        return bool(jax.devices("gpu"))
    except RuntimeError:
        return False


def processors(quota_file: Path = _CPU_QUOTA) -> int:
    """Return how many processors this process may keep busy: those it is bound to, within its container's quota."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = quota_file.read_text().split()
        return max(1, min(bound, math.ceil(int(quota) / int(period))))
    # No such file, or "max": there is no quota.
    except (OSError, ValueError):
        return max(1, bound)


def use_threads(environment: MutableMapping[str, str], count: int) -> None:
    """Let TensorFlow compute with ``count`` threads: it counts the machine's processors, not the container's.

    And with oneDNN, which TensorFlow takes by itself only where the processor has instructions for networks: with AVX2
    alone it trained SSD MobileNetV2 at 20.3 images/s against 15.8 without.
    """
    environment.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    environment.setdefault("TF_NUM_INTRAOP_THREADS", str(count))
    environment.setdefault("TF_NUM_INTEROP_THREADS", str(count))
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@contextlib.contextmanager
def _without_native_log() -> Iterator[None]:
    """Drop what is written to stderr below Python: TensorFlow's C++ greets there, whatever its level of logging is.

    What fails raises an exception, which is not lost.
    """
    sys.stderr.flush()
    held, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(held, 2)
        os.close(held)
        os.close(nowhere)


def _imported_backend() -> str | None:
    if "keras" not in sys.modules:
        return None
    import keras

    return str(keras.backend.backend())
