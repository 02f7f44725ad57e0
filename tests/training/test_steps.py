from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain

import numpy as np
from small import Pictures

from trainbox.data.workers import ProcessReader
from trainbox.training.recipe import Batch
from trainbox.training.steps import TrainingSteps, ValidationSteps


class Asked(Pictures):
    """Remembers which examples were asked for, and the first number of each random state."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.indices: list[list[int]] = []
        self.drawn: list[float | None] = []

    def batch(self, indices: np.ndarray, random: np.random.Generator | None) -> Batch:
        self.indices.append(indices.tolist())
        self.drawn.append(None if random is None else float(random.random()))
        return super().batch(indices, random)


def read(epoch: int, first_step: int = 0, seed: int = 1) -> Asked:
    asked = Asked(50)
    steps = TrainingSteps(asked, 8, seed)
    steps.begin(epoch, first_step)
    for index in range(len(steps)):
        steps[index]
    return asked


def test_an_epoch_has_each_example_once_at_most_in_full_batches():
    seen = list(chain(*read(epoch=0).indices))
    assert len(seen) == 48
    assert len(set(seen)) == 48


def test_order_and_randomness_follow_from_seed_and_epoch():
    one, again, other, seeded = read(0), read(0), read(1), read(0, seed=2)
    assert (one.indices, one.drawn) == (again.indices, again.drawn)
    assert one.indices != other.indices
    assert set(one.drawn).isdisjoint(other.drawn)
    assert one.indices != seeded.indices


def test_every_step_draws_its_own():
    assert len(set(read(0).drawn)) == 6


def test_an_epoch_goes_on_from_any_step():
    whole, rest = read(3), read(3, first_step=4)
    assert rest.indices == whole.indices[4:]
    assert rest.drawn == whole.drawn[4:]


def test_the_first_step_does_not_draw_what_the_order_drew():
    order = np.random.Generator(np.random.PCG64(np.random.SeedSequence([1, 0]))).permutation(50)
    assert read(0).indices[0] != order[:8].tolist()


def test_validation_reads_everything_in_order_as_it_is():
    asked = Asked(50)
    steps = ValidationSteps(asked, 8)
    batches = [steps[index] for index in range(len(steps))]
    assert list(chain(*asked.indices)) == list(range(50))
    assert asked.drawn == [None] * 7
    assert len(batches[-1][0]["image"]) == 2
    assert len(ValidationSteps(asked, 8, batches=2)) == 2


def all_indices(count: int | None, epochs: int) -> list[list[int]]:
    asked = Asked(50)
    steps = TrainingSteps(asked, 8, 1, count)
    for epoch in range(epochs):
        steps.begin(epoch, 0)
        for index in range(len(steps)):
            steps[index]
    return asked.indices


def test_epochs_of_any_length_go_through_the_same_passes():
    assert all_indices(None, 3) == all_indices(9, 2) == all_indices(18, 1) == all_indices(2, 9)


def test_a_reader_in_other_processes_gives_the_same_batches():
    here = TrainingSteps(Pictures(50), 8, 1)
    reader = ProcessReader(Pictures(50).batch, 2)
    try:
        there = TrainingSteps(Pictures(50), 8, 1, reader=reader)
        for index in (0, 0, 1, 2, 3, 4, 5):
            np.testing.assert_array_equal(here[index][0]["image"], there[index][0]["image"])
        there.begin(0, 3)
        np.testing.assert_array_equal(here[3][0]["image"], there[0][0]["image"])
    finally:
        reader.close()


class Counting:
    """Answers at once, and counts how often it is asked for the same."""

    def __init__(self, examples: Pictures) -> None:
        self.examples = examples
        self.asked: list[list[int]] = []

    def ask(self, indices: np.ndarray, random: np.random.Generator) -> "Future[Batch]":
        self.asked.append(indices.tolist())
        answer: Future[Batch] = Future()
        answer.set_result(self.examples.batch(indices, random))
        return answer


def test_steps_may_be_fetched_by_several_threads_in_any_order():
    whole = TrainingSteps(Pictures(50), 8, 1)
    reader = Counting(Pictures(50))
    steps = TrainingSteps(Pictures(50), 8, 1, reader=reader)
    for index in (1, 0, 3, 2, 5, 4):
        np.testing.assert_array_equal(steps[index][0]["image"], whole[index][0]["image"])
    assert len(reader.asked) == 6
    with ThreadPoolExecutor(4) as pool:
        steps.begin(0, 0)
        for index, batch in enumerate(pool.map(steps.__getitem__, range(6))):
            np.testing.assert_array_equal(batch[0]["image"], whole[index][0]["image"])


class Killed(Pictures):
    def batch(self, indices, random):
        import multiprocessing
        import os

        if multiprocessing.parent_process() is not None:
            os._exit(9)
        return super().batch(indices, random)


def test_batches_are_read_here_where_the_reader_was_killed():
    reader = ProcessReader(Killed(50).batch, 1)
    try:
        steps = TrainingSteps(Killed(50), 8, 1, reader=reader)
        whole = TrainingSteps(Pictures(50), 8, 1)
        for index in range(3):
            np.testing.assert_array_equal(steps[index][0]["image"], whole[index][0]["image"])
    finally:
        reader.close()
