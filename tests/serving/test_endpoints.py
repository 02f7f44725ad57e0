"""A multi-model endpoint, as Amazon SageMaker drives it."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serving.conftest import picture
from serving.server import Reply, Server, serving, wait_until

RESPAWNED = "trainbox_interpreters_respawned_total"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("endpoint") / "ml"
    with serving(base, None, SAGEMAKER_MULTI_MODEL="true", MODEL_SERVER_WORKERS="2") as server:
        yield server


def load(endpoint: Server, name: str, folder: Path) -> Reply:
    return endpoint.post(json.dumps({"model_name": name, "url": str(folder)}).encode(), "application/json", "/models")


def test_models_come_answer_and_go(endpoint: Server, model: Callable[[str], Path], tmp_path: Path) -> None:
    names = {"a pilot": model("drive"), "0f3c-detector": model("detect")}
    assert endpoint.get("/ping").status == 200, "ready before there is a model"
    assert endpoint.get("/models").json == {"models": []}
    for name, folder in names.items():
        assert load(endpoint, name, folder).json == {"modelName": name, "modelUrl": str(folder)}
        assert load(endpoint, name, folder).status == 409
    assert {one["modelName"] for one in endpoint.get("/models").json["models"]} == set(names)
    assert endpoint.get("/models/a%20pilot").json["modelUrl"] == str(model("drive"))
    pilot = endpoint.post(picture(), path="/models/a%20pilot/invoke", X_Amzn_SageMaker_Target_Model="a pilot")
    assert set(pilot.json) == {"angle", "throttle"}
    assert set(endpoint.post(picture(), path="/models/0f3c-detector/invoke").json) == {"prediction"}
    assert endpoint.get("/models/a%20pilot", method="DELETE").status == 200
    assert endpoint.get("/models/a%20pilot").status == 404
    assert endpoint.post(picture(), path="/models/a%20pilot/invoke").status == 404
    assert endpoint.get("/models/a%20pilot", method="DELETE").status == 404
    assert load(endpoint, "a pilot", names["a pilot"]).status == 200
    for name in ("a%20pilot", "0f3c-detector"):
        assert endpoint.get(f"/models/{name}", method="DELETE").status == 200


def test_of_several_models_none_is_the_one_that_is_meant(endpoint: Server) -> None:
    refused = endpoint.post(picture())
    assert (refused.status, "/models/NAME/invoke" in refused.json["error"]) == (404, True)
    assert endpoint.get("/card").status == 404
    assert not {"/invocations", "/card"} & set(endpoint.get("/openapi.json").json["paths"])


def test_the_list_comes_in_pages(endpoint: Server) -> None:
    assert endpoint.get("/models?next_page_token=5").json == {"models": []}
    assert endpoint.get("/models?next_page_token=x").status == 400


def test_wrong_orders_are_refused(endpoint: Server, tmp_path: Path) -> None:
    assert load(endpoint, "nothing", tmp_path).status == 400
    assert load(endpoint, "", tmp_path).status == 400
    assert load(endpoint, "x" * 300, tmp_path).status == 400
    for body in (b"", b"{", b"[]", b'{"model_name": 3, "url": "/"}', b"[" * 50_000):
        assert endpoint.post(body, "application/json", "/models").status == 400
    assert endpoint.get("/models").json == {"models": []}


def test_a_bundle_that_cannot_be_served_is_no_fault_of_ours(
    endpoint: Server, model: Callable[[str], Path], tmp_path: Path
) -> None:
    manifest = json.loads((model("drive") / "manifest.json").read_text())
    del manifest["files"]["model.tflite"]
    (tmp_path / "unlisted").mkdir()
    shutil.copyfile(model("drive") / "model.tflite", tmp_path / "unlisted/model.tflite")
    (tmp_path / "unlisted/manifest.json").write_text(json.dumps(manifest))
    reply = load(endpoint, "unlisted", tmp_path / "unlisted")
    assert (reply.status, "model.tflite" in reply.json["error"]) == (400, True)
    shutil.copytree(model("drive"), tmp_path / "foreign", copy_function=shutil.copyfile)
    manifest = json.loads((model("drive") / "manifest.json").read_text())
    (tmp_path / "foreign/manifest.json").write_text(json.dumps({**manifest, "task": "sing"}))
    reply = load(endpoint, "foreign", tmp_path / "foreign")
    assert (reply.status, "Unknown task 'sing'" in reply.json["error"]) == (400, True)
    assert endpoint.get("/models").json == {"models": []}


def test_a_model_can_be_loaded_while_interpreters_are_replaced(endpoint: Server, model: Callable[[str], Path]) -> None:
    assert wait_until(lambda: endpoint.metric("trainbox_interpreters") == 2)
    for _ in range(3):
        before = endpoint.metric(RESPAWNED)
        for pid in endpoint.workers():
            os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda count=before + 2: endpoint.metric(RESPAWNED) == count, 30)
        assert wait_until(lambda: load(endpoint, "late", model("drive")).status in (200, 409), 30)
        assert wait_until(lambda: endpoint.metric("trainbox_interpreters") == 2, 30)
        answers = [endpoint.post(picture(), path="/models/late/invoke") for _ in range(8)]
        assert {answer.status for answer in answers} == {200}
        assert endpoint.get("/models/late", method="DELETE").status == 200
