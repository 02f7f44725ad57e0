"""The arrays of TensorFlow checkpoints, and what is refused of them."""

from pathlib import Path

import numpy as np
import pytest

from trainbox.errors import ModelFileError
from trainbox.export.arrays import checkpoint_index, load_checkpoint


def written(folder: Path) -> Path:
    """A TensorFlow 2 checkpoint of a few variables, with the optimizer's and the counters that training leaves."""
    import tensorflow as tf

    weights = tf.Variable(np.arange(6, dtype=np.float32).reshape(2, 3))
    half = tf.Variable(tf.constant([1.5, 2.5], tf.bfloat16))
    steps = tf.Variable(7, dtype=tf.int64)
    optimizer = tf.train.Checkpoint(momentum=tf.Variable(0.9))
    saved = tf.train.Checkpoint(model=tf.train.Checkpoint(kernel=weights, bias=half), optimizer=optimizer, step=steps)
    return Path(saved.write(str(folder / "ckpt-3")))


def test_arrays_come_by_name_as_float32(tmp_path: Path) -> None:
    arrays = load_checkpoint(written(tmp_path))
    suffix = "/.ATTRIBUTES/VARIABLE_VALUE"
    assert set(arrays) == {f"model/kernel{suffix}", f"model/bias{suffix}"}
    np.testing.assert_array_equal(arrays[f"model/kernel{suffix}"], [[0, 1, 2], [3, 4, 5]])
    assert arrays[f"model/bias{suffix}"].dtype == np.float32
    assert checkpoint_index(tmp_path / "ckpt-3").is_file()


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "index"])
def test_a_damaged_checkpoint_is_named(damage: str, tmp_path: Path) -> None:
    prefix = written(tmp_path)
    data, index = tmp_path / "ckpt-3.data-00000-of-00001", checkpoint_index(prefix)
    if damage == "cut":
        data.write_bytes(data.read_bytes()[:5])
    elif damage == "flipped":
        data.write_bytes(bytes(byte ^ 255 for byte in data.read_bytes()))
    elif damage == "gone":
        data.unlink()
    else:
        index.write_bytes(index.read_bytes()[:40])
    with pytest.raises(ModelFileError, match="Checkpoint ckpt-3 is damaged or incomplete"):
        load_checkpoint(prefix)


def test_a_checkpoint_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="Checkpoint nothing is damaged or incomplete"):
        load_checkpoint(tmp_path / "nothing")
