import numpy as np
import pytest

from trainbox.data.split import beside, blocks, random


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """Start and end of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def test_blocks_hold_the_fraction_asked_for():
    assert blocks(["a"] * 10_000, 0.2, seed=1).sum() == 2000


def test_blocks_are_contiguous_and_few():
    found = runs(blocks(["a"] * 10_000, 0.2, seed=1, block_length=100))
    assert 15 <= len(found) <= 20
    assert all((end - start) % 100 == 0 for start, end in found)


def test_blocks_are_spread_over_the_whole_drive():
    per_quarter = blocks(["a"] * 8000, 0.2, seed=3).reshape(4, -1).mean(1)
    np.testing.assert_allclose(per_quarter, 0.2, atol=0.02)


def test_no_block_reaches_over_a_change_of_group():
    groups = [f"session {i // 130}" for i in range(5000)]
    mask = blocks(groups, 0.2, seed=5, block_length=100)
    for start, end in runs(mask):
        inside = {groups[i] for i in range(start, end)}
        # Two blocks may touch where one group ends and the next begins; each is still of one group.
        assert len(inside) == 1 or end - start > 100
    assert abs(mask.mean() - 0.2) < 0.02


def test_groups_shorter_than_a_block_still_give_the_fraction():
    groups = [i // 10 for i in range(1000)]
    mask = blocks(groups, 0.2, seed=0, block_length=100)
    assert 150 <= mask.sum() <= 210
    for start, end in runs(mask):
        assert len({groups[i] for i in range(start, end)}) == 1 or end - start > 10


def test_a_group_that_returns_is_another_run():
    groups = ["a"] * 50 + ["b"] * 50 + ["a"] * 50
    for seed in range(20):
        for start, end in runs(blocks(groups, 0.2, seed, block_length=30)):
            assert start // 50 == (end - 1) // 50


def test_the_seed_decides():
    groups = ["a"] * 3000
    np.testing.assert_array_equal(blocks(groups, 0.2, 4), blocks(groups, 0.2, 4))
    assert (blocks(groups, 0.2, 4) != blocks(groups, 0.2, 5)).any()


@pytest.mark.parametrize("split", [lambda n: blocks(["a"] * n, 0.2, 0), lambda n: random(n, 0.2, 0)])
def test_both_sides_hold_something_from_two_examples_on(split):
    for count in (2, 3, 5, 17):
        assert 0 < split(count).sum() < count
    assert split(1).sum() == 0
    assert split(0).shape == (0,)


def test_random_draws_single_examples():
    mask = random(10_000, 0.2, seed=1)
    assert mask.sum() == 2000
    assert len(runs(mask)) > 1000


def test_beside_is_the_gap_around_blocks_within_a_group():
    groups = ["a"] * 10 + ["b"] * 10
    validation = np.zeros(20, bool)
    validation[8:10] = True
    near = beside(validation, groups, frames=3)
    np.testing.assert_array_equal(np.flatnonzero(near), [5, 6, 7])
    assert not beside(validation, groups, frames=0).any()
