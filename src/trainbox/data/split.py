"""Which examples validate: contiguous blocks that do not leak, or single frames drawn at random for comparison.

Neighbouring frames of a drive are near copies. Drawn at random, nearly every validation frame has a twin in training
and the score says little about a road not yet seen. Blocks of frames in a row keep the twins on one side.
"""

from collections.abc import Hashable, Sequence

import numpy as np

BLOCK_LENGTH = 100


def blocks(groups: Sequence[Hashable], fraction: float, seed: int, block_length: int = BLOCK_LENGTH) -> np.ndarray:
    """Return which examples validate, as contiguous blocks spread over the whole: bool, shape (n,).

    ``groups`` names what each example belongs to (a session of a tub), in the order of recording; no block reaches
    over a change of group. The order is cut into equal spans and each holds one block of about ``block_length`` at a
    place drawn by ``seed``. Blocks are shorter where ``fraction`` of the examples is less than one of them, or where
    a span has no group that long. At least one example stays on each side where there are two.
    """
    run_ends = _run_ends(groups)
    count = len(run_ends)
    chosen = np.zeros(count, bool)
    wanted = _wanted(count, fraction)
    if not wanted:
        return chosen
    random = np.random.default_rng([seed])
    # Blocks longer than the group that a frame is usually found in would leave most of what is wanted unplaced.
    length = max(1, min(block_length, round(_usual_run(run_ends))))
    spans = np.array_split(np.arange(count), max(1, round(wanted / length)))
    for position, span in enumerate(spans):
        # What an earlier span could not hold, for its groups were too short, falls to the later ones.
        length = round((wanted - int(chosen.sum())) / (len(spans) - position))
        _place(chosen, span, run_ends, length, random)
    return chosen


def random(count: int, fraction: float, seed: int) -> np.ndarray:
    """Return which of ``count`` examples validate, each drawn on its own: bool, shape (count,). It leaks."""
    chosen = np.zeros(count, bool)
    chosen[np.random.default_rng([seed]).permutation(count)[: _wanted(count, fraction)]] = True
    return chosen


def beside(validation: np.ndarray, groups: Sequence[Hashable], frames: int) -> np.ndarray:
    """Return which training examples lie within ``frames`` of a validating one of their group: bool, shape (n,).

    Left out of training, they keep a gap on both sides of every block.
    """
    run_ends = _run_ends(groups)
    near = np.zeros(len(validation), bool)
    for distance in range(1, frames + 1):
        together = run_ends[:-distance] == run_ends[distance:]
        near[:-distance] |= validation[distance:] & together
        near[distance:] |= validation[:-distance] & together
    return near & ~validation


def _wanted(count: int, fraction: float) -> int:
    if count < 2 or fraction <= 0:
        return 0
    return min(count - 1, max(1, round(count * fraction)))


def _run_ends(groups: Sequence[Hashable]) -> np.ndarray:
    """Return, for each example, where the run of its group ends (the first position after it): int64, shape (n,)."""
    count = len(groups)
    ends = np.empty(count, np.int64)
    end = count
    for position in reversed(range(count)):
        if position + 1 < count and groups[position] != groups[position + 1]:
            end = position + 1
        ends[position] = end
    return ends


def _usual_run(run_ends: np.ndarray) -> float:
    """Return the mean, over the examples, of the length of the run that holds each."""
    lengths = np.unique(run_ends, return_counts=True)[1]
    return float((lengths**2).sum() / len(run_ends))


def _place(
    chosen: np.ndarray, span: np.ndarray, run_ends: np.ndarray, length: int, random: np.random.Generator
) -> None:
    """Choose one block of ``length`` inside a span, or as long a one as a group in it allows."""
    if length <= 0 or not len(span):
        return
    room = np.minimum(run_ends[span], span[-1] + 1) - span
    length = min(length, int(room.max()))
    start = int(random.choice(span[room >= length]))
    chosen[start : start + length] = True
