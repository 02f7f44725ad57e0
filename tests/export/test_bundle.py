import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.conftest import FILES, deployables, small_inputs, small_network
from trainbox.errors import ExportError, ModelFileError, ProofError
from trainbox.export.bundle import Bundle, Deployable, write_bundle


def test_every_file_is_listed_with_its_digest(bundle: Bundle) -> None:
    on_disk = {p.relative_to(bundle.folder).as_posix() for p in bundle.folder.rglob("*") if p.is_file()}
    assert on_disk == {*bundle.manifest["files"], "manifest.json"}
    for name, entry in bundle.manifest["files"].items():
        content = (bundle.folder / name).read_bytes()
        assert entry == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert json.loads((bundle.folder / "manifest.json").read_text()) == bundle.manifest


def test_every_model_file_is_proved(bundle: Bundle) -> None:
    models = bundle.manifest["models"]
    assert list(models) == list(FILES)
    for name, entry in models.items():
        proof = entry["proof"]
        assert entry["inputs"] == {"img_in": [None, 12, 16, 3], "mem_in": [None, 4]}
        assert proof["examples"] == 6 and proof["runtime"].split()[1][0].isdigit()
        assert set(proof["differences"]) == {"angle_out", "throttle_out"}
        assert proof["largest_difference"] == max(proof["differences"].values()) <= (FILES[name][1] or 0.1)
    assert models["model_quantized.tflite"]["proof"]["largest_difference"] > 0
    assert models["model.tflite"]["proof"]["runtime"].startswith("ai-edge-litert ")


def test_the_manifest_says_which_cars_load_a_file(bundle: Bundle) -> None:
    for name in ("model.tflite", "model_quantized.tflite"):
        said = {e["runtime"]: e for e in bundle.manifest["models"][name]["loads_on"]}
        old = said["donkeycar 5.3 on a Pi: tflite-runtime 2.14"]
        assert old["loads"] and "FULLY_CONNECTED" in old["because"]
    said = {e["runtime"]: e["loads"] for e in bundle.manifest["models"]["model.keras"]["loads_on"]}
    assert said["donkeycar 5.3 on a PC: tensorflow 2.15"] is False


def test_further_files_may_come_from_a_function_that_sees_the_models(network: Any, tmp_path: Path) -> None:
    def report(folder: Path, document: dict[str, Any]) -> dict[str, str]:
        document["metrics"] = {"bytes": (folder / "model.h5").stat().st_size, "r2": np.float32("nan")}
        return {"report.html": f"{len(document['models'])} file"}

    bundle = write_bundle(network, deployables("model.h5"), {"task": "drive"}, tmp_path / "model", report)
    assert Bundle.open(bundle.folder).manifest["metrics"] == {
        "bytes": bundle.manifest["files"]["model.h5"]["bytes"],
        "r2": None,
    }
    assert (bundle.folder / "report.html").read_text() == "1 file"


def test_a_new_bundle_takes_the_place_of_the_old_one_whole(network: Any, tmp_path: Path) -> None:
    write_bundle(network, deployables("model.h5", "model.keras"), {"run": 1}, tmp_path)
    (tmp_path / "notes.txt").write_text("the user's own")
    write_bundle(network, deployables("model.h5"), {"run": 2}, tmp_path)
    assert _names(tmp_path) == ["manifest.json", "model.h5", "notes.txt"]
    assert Bundle.open(tmp_path).manifest["run"] == 2


@pytest.mark.parametrize(
    ("file", "kind", "tolerance", "message"),
    [
        ("model.h5", "h5", -1.0, "model.h5 answers up to .* away from the Keras model"),
        ("model.caffe", "caffe", 1e-3, "Unknown kind of model file 'caffe'"),
    ],
)
def test_a_failure_leaves_the_previous_bundle(
    file: str, kind: str, tolerance: float, message: str, network: Any, tmp_path: Path
) -> None:
    write_bundle(network, deployables("model.h5"), {"run": 1}, tmp_path)
    before = _contents(tmp_path)
    failing = Deployable(file, kind, small_inputs(), tolerance)
    with pytest.raises(ExportError, match=message):
        write_bundle(network, [*deployables("model.keras"), failing], {"run": 2}, tmp_path)
    assert _contents(tmp_path) == before


def test_a_failure_in_the_first_bundle_leaves_no_folder(network: Any, tmp_path: Path) -> None:
    def failing(folder: Path, document: dict[str, Any]) -> dict[str, str]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_bundle(network, deployables("model.h5"), {}, tmp_path / "model", failing)
    assert _names(tmp_path) == []


def test_a_network_that_answers_nonsense_is_not_written(tmp_path: Path) -> None:
    network = small_network()
    kernel, bias = network.get_layer("dense_1").get_weights()
    network.get_layer("dense_1").set_weights([kernel * np.inf, bias])
    with pytest.raises(ProofError, match="not finite"):
        write_bundle(network, deployables("model.h5"), {}, tmp_path / "model")
    assert not (tmp_path / "model").exists()


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from export.conftest import deployables, small_network
from trainbox.errors import ExportError
from trainbox.export.bundle import write_bundle
network = small_network()
write_bundle(network, deployables("model.h5"), {"run": 1}, Path(sys.argv[1]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for file in ("model.h5", "model.keras", "saved_model", "model.tflite"):
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
    try:
        write_bundle(network, deployables(file), {"run": 2}, Path(sys.argv[1]))
    except ExportError as error:
        print(f"{file}: {error}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""


def test_a_full_disk_leaves_the_previous_bundle(tmp_path: Path) -> None:
    """A limit on the size of files stops each writer in the middle, as a full disk does."""
    folder = tmp_path / "model"
    tests = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, folder, tests], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        "model.h5", "model.keras", "saved_model", "model.tflite",
    ]  # fmt: skip
    assert Bundle.open(folder).manifest["run"] == 1
    assert _names(folder) == ["manifest.json", "model.h5"]


ANOTHER_BACKEND = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from export.conftest import deployables, small_network
from trainbox.errors import ProofError
from trainbox.export.bundle import Bundle, Deployable, write_bundle
import keras
assert keras.backend.backend() == "jax"
network = small_network()
bundle = write_bundle(network, deployables(), {"run": 1}, Path(sys.argv[1]))
assert Bundle.open(bundle.folder).manifest == bundle.manifest
runtimes = [entry["proof"]["runtime"].split()[0] for entry in bundle.manifest["models"].values()]
assert runtimes == ["keras", "keras", "tensorflow", "ai-edge-litert", "ai-edge-litert"], runtimes
[one] = deployables("model.h5")
try:
    write_bundle(network, [Deployable(one.file, one.kind, one.inputs, -1.0)], {"run": 2}, Path(sys.argv[1]))
except ProofError as error:
    print(error)
"""


def test_a_network_on_jax_is_written_by_a_process_on_tensorflow(tmp_path: Path) -> None:
    if importlib.util.find_spec("jax") is None:
        pytest.skip("JAX, which trains on GPUs, is not installed; test_elsewhere.py tests the other process itself.")
    done = subprocess.run(
        [sys.executable, "-c", ANOTHER_BACKEND, tmp_path / "model", Path(__file__).parent.parent],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("model.h5 answers up to 0 away from the Keras model on keras ")
    assert Bundle.open(tmp_path / "model").manifest["run"] == 1


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _copy(bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle.folder, tmp_path / "copy"))


def test_a_bundle_opens_only_as_it_was_written(bundle: Bundle, tmp_path: Path) -> None:
    folder = _copy(bundle, tmp_path)
    assert Bundle.open(folder).file("model.h5") == folder / "model.h5"
    with pytest.raises(ModelFileError, match=r"has no 'model.onnx'. Model files: model.keras, "):
        Bundle.open(folder).file("model.onnx")
    path = folder / "model.tflite"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ModelFileError, match=r"'model.tflite' is not the file of its manifest"):
        Bundle.open(folder)
    path.unlink()
    with pytest.raises(ModelFileError, match=r"'model.tflite' is missing"):
        Bundle.open(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "format 99, newer than 1"),
        ({"files": {"../outside": {"bytes": 1, "sha256": ""}}}, "lists '../outside', outside of it"),
        ({"files": {"model.h5": {}}}, "does not describe its files"),
        ({"files": 3}, "is damaged"),
    ],
)
def test_a_wrong_manifest_is_refused(change: dict[str, Any], message: str, bundle: Bundle, tmp_path: Path) -> None:
    folder = _copy(bundle, tmp_path)
    (folder / "manifest.json").write_text(json.dumps({**bundle.manifest, **change}))
    with pytest.raises(ModelFileError, match=message):
        Bundle.open(folder)


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"has no manifest.json"):
        Bundle.open(tmp_path)
    with pytest.raises(ModelFileError, match="does not exist"):
        Bundle.open(tmp_path / "none")
    (tmp_path / "manifest.json").write_text('{"format": 1,')
    with pytest.raises(ModelFileError, match="is damaged"):
        Bundle.open(tmp_path)


@pytest.mark.parametrize("top", [".", "model"])
def test_an_archive_of_a_bundle_opens(top: str, bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "model.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(bundle.folder, arcname=top)
    with Bundle.open(path) as opened:
        assert opened.manifest == bundle.manifest
        assert opened.file("model.h5").read_bytes() == bundle.file("model.h5").read_bytes()
    assert not opened.folder.exists()
