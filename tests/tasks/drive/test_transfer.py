import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from trainbox.errors import ChannelError, ModelFileError
from trainbox.export.keras_h5 import write_keras_h5
from trainbox.tasks.drive.config import DriveConfig
from trainbox.tasks.drive.pilots import build, deployed
from trainbox.tasks.drive.transfer import find_transfer, start_from


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one .h5 a pilot."""
    folder = tmp_path_factory.mktemp("pilots")
    for pilot in ("linear", "robocars"):
        write_keras_h5(deployed(build(pilot), pilot), folder / f"{pilot}.h5")
    return folder


def transferred(pilot: str, folder: Path, **hyperparameters: object) -> dict[str, np.ndarray]:
    network = build(pilot)
    before = {layer.name: layer.get_weights() for layer in network.layers}
    arrays = find_transfer(DriveConfig.parse(hyperparameters), {"train": folder, "pretrained": folder})
    filled = start_from(network, arrays)
    assert all((network.get_layer(name).get_weights()[0] != before[name][0]).any() for name in filled)
    return {name: network.get_layer(name).get_weights()[0] for name in filled}


def test_nothing_is_transferred_unasked() -> None:
    assert find_transfer(DriveConfig(), {"train": Path("anywhere")}) == {}


def test_the_same_pilot_is_filled_whole(files: Path) -> None:
    filled = transferred("linear", files, transfer="pretrained/linear.h5")
    assert len(filled) == 9
    with h5py.File(files / "linear.h5") as file:
        kernel = file["model_weights/conv2d_1/conv2d_1/kernel:0"][:]
    np.testing.assert_array_equal(filled["conv2d_1"], kernel)


def test_another_pilot_gives_the_layers_that_fit(files: Path) -> None:
    filled = transferred("categorical", files, transfer="pretrained/linear.h5")
    assert set(filled) == {*(f"conv2d_{number}" for number in range(1, 6)), "dense_2"}


def test_first_kernel_of_robocars_is_scaled_back(files: Path) -> None:
    filled = transferred("robocars", files, transfer="pretrained/robocars.h5")
    with h5py.File(files / "robocars.h5") as file:
        kernel = file["model_weights/conv2d_1/conv2d_1/kernel:0"][:]
    np.testing.assert_allclose(filled["conv2d_1"], kernel * 255, rtol=1e-5)


def test_a_channel_named_pretrained_needs_no_asking(files: Path, tmp_path: Path) -> None:
    shutil.copy(files / "linear.h5", tmp_path / "my_pilot.h5")
    assert "conv2d_1" in find_transfer(DriveConfig(), {"train": files, "pretrained": tmp_path})


def test_two_models_to_choose_from_are_refused(files: Path) -> None:
    with pytest.raises(ChannelError, match=r"has 2 models .* Received: linear\.h5, robocars\.h5"):
        find_transfer(DriveConfig(), {"pretrained": files})


def test_a_channel_or_file_that_is_missing_is_named(files: Path) -> None:
    with pytest.raises(ChannelError, match=r"Channel 'old', named by transfer, is missing\. Received: train\."):
        find_transfer(DriveConfig.parse({"transfer": "old"}), {"train": files})
    with pytest.raises(ChannelError, match=r"Channel 'old' has no 'x\.h5'"):
        find_transfer(DriveConfig.parse({"transfer": "old/x.h5"}), {"old": files})


def test_a_link_out_of_the_channel_is_refused(files: Path, tmp_path: Path) -> None:
    (tmp_path / "channel").mkdir()
    (tmp_path / "channel" / "model.h5").symlink_to(files / "linear.h5")
    with pytest.raises(ChannelError, match="leads out of channel 'old'"):
        find_transfer(DriveConfig.parse({"transfer": "old/model.h5"}), {"old": tmp_path / "channel"})


def test_a_foreign_model_is_refused() -> None:
    with pytest.raises(ModelFileError, match="no pilot of a Donkeycar"):
        start_from(build("linear"), {"conv2d_1": (np.zeros((3, 3, 3, 8)), np.zeros(8))})
