import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from export.conftest import small_network
from trainbox.errors import ModelFileError
from trainbox.export.arrays import assign, fitting, load_arrays
from trainbox.export.bundle import Bundle

LAYERS = ["conv2d_1", "mem_c_1", "dense_1", "angle_out", "throttle_out"]


@pytest.fixture
def h5(bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copy(bundle.file("model.h5"), tmp_path / "model.h5"))


def _same(network: Any, arrays: dict[str, tuple[np.ndarray, ...]]) -> bool:
    return all(
        np.array_equal(mine, other)
        for layer in network.layers
        for mine, other in zip(layer.get_weights(), arrays.get(layer.name, ()), strict=True)
    )


@pytest.mark.parametrize("name", ["model.h5", "model.keras", "."])
def test_a_file_gives_its_arrays_by_layer(name: str, bundle: Bundle, network: Any) -> None:
    arrays = load_arrays(bundle.folder / name)
    assert sorted(arrays) == sorted(LAYERS)
    assert _same(network, arrays)


def test_keras_3s_own_h5_files_give_their_arrays(network: Any, tmp_path: Path) -> None:
    network.save(tmp_path / "model.h5")
    assert _same(network, load_arrays(tmp_path / "model.h5"))


def test_an_archived_bundle_gives_its_arrays(bundle: Bundle, network: Any, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(bundle.folder, arcname=".")
    assert _same(network, load_arrays(tmp_path / "model.tar.gz"))


def test_a_bundle_with_a_changed_file_gives_nothing(bundle: Bundle, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bundle.folder, tmp_path / "copy"))
    content = bytearray((folder / "model.keras").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.keras").write_bytes(content)
    with pytest.raises(ModelFileError, match=r"'model.keras' is not the file of its manifest"):
        load_arrays(folder)


def test_arrays_fill_a_network(bundle: Bundle, network: Any) -> None:
    other = small_network(seed=8)
    arrays = load_arrays(bundle.folder)
    assert not _same(other, arrays)
    assert sorted(assign(other, arrays)) == sorted(fitting(other, arrays)) == sorted(LAYERS)
    assert _same(other, arrays)


def test_a_mismatch_names_the_tensor_and_fills_nothing(bundle: Bundle) -> None:
    arrays = load_arrays(bundle.folder)
    network = small_network(seed=8)
    before = network.get_weights()
    wrong = {**arrays, "dense_1": (arrays["dense_1"][0][:, :4], arrays["dense_1"][1])}
    with pytest.raises(ModelFileError, match=r"Tensor 'dense_1/kernel' has shape \(\d+, 4\) in the model file, not"):
        assign(network, wrong)
    with pytest.raises(ModelFileError, match=r"Layer 'dense_1' has 1 arrays in the model file, not dense_1/kernel, d"):
        assign(network, {**arrays, "dense_1": arrays["dense_1"][:1]})
    with pytest.raises(ModelFileError, match="Tensor 'dense_1/kernel' is not in the model file"):
        assign(network, {name: array for name, array in arrays.items() if name != "dense_1"})
    with pytest.raises(ModelFileError, match="Tensor 'dense_1/bias' has values that are not finite"):
        assign(network, {**arrays, "dense_1": (arrays["dense_1"][0], arrays["dense_1"][1] * np.nan)})
    assert all(np.array_equal(a, b) for a, b in zip(network.get_weights(), before, strict=True))
    assert fitting(network, wrong) == [name for name in fitting(network, arrays) if name != "dense_1"]
    assert assign(network, wrong, only=["conv2d_1"]) == ["conv2d_1"]


def test_donkeycar_5_3s_memory_pilot_gives_its_arrays(h5: Path, network: Any) -> None:
    """It joins its inputs by a function of TensorFlow rather than by a layer."""
    with h5py.File(h5, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        joined = next(layer for layer in config["config"]["layers"] if layer["name"] == "joined")
        joined |= {"class_name": "TFOpLambda", "config": {"name": "tf.concat", "function": "concat"}}
        file.attrs["model_config"] = json.dumps(config)
    assert _same(network, load_arrays(h5))


KERNEL = "model_weights/dense_1/dense_1/kernel:0"


def _soft_link(file: h5py.File) -> None:
    file["elsewhere"] = file[KERNEL][()]
    del file[KERNEL]
    file[KERNEL] = h5py.SoftLink("/elsewhere")


def _external_link(file: h5py.File) -> None:
    with h5py.File(Path(file.filename).with_name("other.h5"), "w") as other:
        other["kernel"] = file[KERNEL][()]
    del file[KERNEL]
    file[KERNEL] = h5py.ExternalLink("other.h5", "/kernel")


def _linked_group(file: h5py.File) -> None:
    file.move("model_weights/dense_1", "elsewhere")
    file["model_weights/dense_1"] = h5py.SoftLink("/elsewhere")


def _external_storage(file: h5py.File) -> None:
    shape = file[KERNEL].shape
    del file[KERNEL]
    file.create_dataset(KERNEL, shape, "f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def _virtual(file: h5py.File) -> None:
    shape = file[KERNEL].shape
    layout = h5py.VirtualLayout(shape, "f4")
    layout[:] = h5py.VirtualSource("other.h5", "kernel", shape)
    del file[KERNEL]
    file.create_virtual_dataset(KERNEL, layout)


def _oversize(file: h5py.File) -> None:
    del file[KERNEL]
    file.create_dataset(KERNEL, (1 << 20, 1 << 20), "f4", chunks=(1024, 1024))


def _compressed(file: h5py.File) -> None:
    values = file[KERNEL][()]
    del file[KERNEL]
    file.create_dataset(KERNEL, data=values, compression="gzip")


def _text(file: h5py.File) -> None:
    del file[KERNEL]
    file[KERNEL] = np.array([b"import os"])


def _group(file: h5py.File) -> None:
    del file[KERNEL]
    file.create_group(KERNEL)


def _missing(file: h5py.File) -> None:
    del file[KERNEL]


def _config(file: h5py.File, **layer: Any) -> None:
    config = json.loads(file.attrs["model_config"])
    config["config"]["layers"][1].update(layer)
    file.attrs["model_config"] = json.dumps(config)


def _lambda(file: h5py.File) -> None:
    _config(file, class_name="Lambda")


def _saved_model_layer(file: h5py.File) -> None:
    _config(file, class_name="TFSMLayer")


def _lambda_inside(file: h5py.File) -> None:
    inner = {"class_name": "Lambda", "config": {"name": "inner"}}
    _config(file, class_name="TimeDistributed", config={"name": "outer", "layer": inner})


def _lambda_as_setting(file: h5py.File) -> None:
    code = {"class_name": "__lambda__", "config": {"value": "4wEAAA"}}
    _config(file, config={"name": "conv2d_1", "activation": code})


def _function(file: h5py.File) -> None:
    _config(file, class_name="TFOpLambda", config={"name": "conv2d_1", "function": "io.write_file"})


def _unknown_layer(file: h5py.File) -> None:
    _config(file, class_name="Mystery")


def _deep(file: h5py.File) -> None:
    file.attrs["model_config"] = '{"a":' * 5000 + "1" + "}" * 5000


def _no_list(file: h5py.File) -> None:
    del file["model_weights"].attrs["layer_names"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_soft_link, "is a link to elsewhere"),
        (_external_link, "is a link to elsewhere"),
        (_linked_group, "is a link to elsewhere"),
        (_external_storage, "is not stored plainly"),
        (_virtual, "is not stored plainly"),
        (_compressed, "is not stored plainly"),
        (_oversize, r"announces shape \(1048576, 1048576\)"),
        (_text, "not numbers"),
        (_group, "is no array"),
        (_missing, "has no 'dense_1/kernel:0'"),
        (_lambda, "layer of class Lambda, which may carry code"),
        (_saved_model_layer, "layer of class TFSMLayer"),
        (_lambda_inside, "layer of class Lambda"),
        (_lambda_as_setting, "layer of class __lambda__"),
        (_function, "layer of class TFOpLambda io.write_file"),
        (_unknown_layer, "layer of class Mystery"),
        (_deep, "has no readable list of layers"),
        (_no_list, "is no Keras model"),
    ],
)
def test_an_h5_with_more_than_arrays_is_refused(change: Callable[[h5py.File], None], message: str, h5: Path) -> None:
    with h5py.File(h5, "r+") as file:
        change(file)
    with pytest.raises(ModelFileError, match=message):
        load_arrays(h5)


@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.95])
def test_a_truncated_h5_is_refused(part: float, h5: Path) -> None:
    content = h5.read_bytes()
    h5.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(ModelFileError, match=r"model.h5"):
        load_arrays(h5)


def _keras(bundle: Bundle, path: Path, **members: bytes) -> Path:
    """Copy a .keras with some members replaced; a name of two underscores stands for a dot."""
    with zipfile.ZipFile(bundle.file("model.keras")) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, members.get(name.replace(".", "__"), old.read(name)))
    return path


def test_a_keras_file_with_code_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle.file("model.keras")) as archive:
        config = json.loads(archive.read("config.json"))
    config["config"]["layers"][2]["class_name"] = "Lambda"
    path = _keras(bundle, tmp_path / "model.keras", config__json=json.dumps(config).encode())
    with pytest.raises(ModelFileError, match="layer of class Lambda"):
        load_arrays(path)


def test_a_keras_file_with_links_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle.file("model.keras")) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content, "r+") as file:
        del file["layers/dense_1/vars/0"]
        file["layers/dense_1/vars/0"] = h5py.ExternalLink("other.h5", "/kernel")
    path = _keras(bundle, tmp_path / "model.keras", model__weights__h5=content.getvalue())
    with pytest.raises(ModelFileError, match="is a link to elsewhere"):
        load_arrays(path)


def test_a_keras_file_without_its_parts_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", b"{}")
    with pytest.raises(ModelFileError, match=r"0 members 'model.weights.h5', not 1"):
        load_arrays(tmp_path / "model.keras")
    path = _keras(bundle, tmp_path / "other.keras", config__json=b"[1]")
    with pytest.raises(ModelFileError, match="no readable list of layers"):
        load_arrays(path)
    path.write_bytes(bundle.file("model.keras").read_bytes()[:-100])
    with pytest.raises(ModelFileError, match=r"damaged .keras archive"):
        load_arrays(path)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="does not exist"):
        load_arrays(tmp_path / "none.h5")
    (tmp_path / "page.h5").write_text("<html>")
    with pytest.raises(ModelFileError, match="neither HDF5 nor a zip"):
        load_arrays(tmp_path / "page.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = [1.0]
    with pytest.raises(ModelFileError, match="is no Keras model"):
        load_arrays(tmp_path / "other.h5")
