"""Which arithmetic to train in: bfloat16 only where the hardware computes it natively, for elsewhere it is slower."""

from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")
_CPU_FLAGS = {"avx512_bf16", "amx_bf16"}


def has_native_bfloat16(device: str, cpu_info: Path = _CPU_INFO) -> bool:
    """Return whether a "gpu" or this machine's "cpu" computes in bfloat16 itself rather than emulating it."""
    if device == "gpu":
        return True
    try:
        lines = cpu_info.read_text().splitlines()
    except OSError:
        return False
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return not _CPU_FLAGS.isdisjoint(flags)


def policy_for(precision: str, native: bool) -> tuple[str, str]:
    """Return Keras' dtype policy for "auto", "float32" or "bfloat16", and a sentence that says it and why.

    In mixed bfloat16 the weights stay float32; outputs and losses are to be float32 too, which is the recipe's part.
    """
    if precision == "float32":
        return "float32", "Arithmetic is float32, as asked for."
    if precision == "bfloat16":
        slow = "" if native else " This processor only emulates it: expect it to be slower than float32."
        return "mixed_bfloat16", f"Arithmetic is bfloat16, as asked for.{slow}"
    if native:
        return "mixed_bfloat16", "Arithmetic is bfloat16: the hardware computes it natively."
    return "float32", "Arithmetic is float32: this processor does not compute bfloat16 natively."
