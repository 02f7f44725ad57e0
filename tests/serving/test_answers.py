"""Answers: those of ``trainbox predict``, in every wording, one picture or many."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.conftest import picture
from serving.server import Server, serving
from trainbox.export.bundle import Bundle
from trainbox.tasks import available, get

PICTURES = [picture(160, 120), picture(640, 480, seed=1), picture(120, 200, "PNG", seed=2), picture(99, 61, "WEBP", 3)]
THRESHOLD = 0.05


@pytest.fixture(scope="module", params=available())
def answering(
    request: pytest.FixtureRequest, model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Server]]:
    """Every task's server in turn, with its name."""
    base = tmp_path_factory.mktemp("answering") / "ml"
    with serving(base, model(request.param), MODEL_SERVER_WORKERS="2") as server:
        yield request.param, server


def predicted(model: Callable[[str], Path], task: str, threshold: float | None) -> list[Any]:
    with Bundle.open(model(task)) as bundle:
        predictor = get(task).predictor(bundle, threshold)
        return [json.loads(json.dumps(predictor.predict(content))) for content in PICTURES]


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def page_accept(task: str) -> str:
    wording = get(task).service().page_wording
    return f"application/json;{wording}=1" if wording else "application/json"


def test_an_answer_is_that_of_predict(answering: tuple[str, Server], model: Callable[[str], Path]) -> None:
    task, server = answering
    for threshold in (None, THRESHOLD) if get(task).service().takes_threshold else (None,):
        query = "" if threshold is None else f"?threshold={threshold}"
        expected = predicted(model, task, threshold)
        for content, wanted in zip(PICTURES, expected, strict=True):
            reply = server.post(content, "image/jpeg", f"/invocations{query}", Accept=page_accept(task))
            assert reply.status == 200
            assert reply.json == wanted


def test_every_kind_of_body_gets_the_same_answer(answering: tuple[str, Server]) -> None:
    _, server = answering
    expected = server.post(PICTURES[0]).json
    for kind in ("image/png", "application/x-image", "image/jpeg; charset=binary", "application/octet-stream"):
        assert server.post(PICTURES[0], kind).json == expected, "what it is, its bytes tell"
    assert server.json({"image": encoded(PICTURES[0])}).json == expected
    assert server.json({"image": base64.encodebytes(PICTURES[0]).decode()}).json == expected


def test_batches_answer_each_picture_in_order(answering: tuple[str, Server]) -> None:
    _, server = answering
    singles = [server.post(content).json for content in PICTURES]
    images = [encoded(content) for content in PICTURES]
    assert server.json({"images": images}).json == {"predictions": singles}
    assert server.json([{"image": image} for image in images]).json == singles
    lines = b"".join(json.dumps({"image": image}).encode() + b"\n" for image in images)
    reply = server.post(lines, "application/jsonlines")
    assert reply.headers["content-type"].startswith("application/jsonlines")
    assert [json.loads(line) for line in reply.body.splitlines()] == singles


def test_a_half_bad_batch_has_an_error_for_each_bad_one(answering: tuple[str, Server]) -> None:
    _, server = answering
    good, junk = encoded(PICTURES[0]), encoded(b"\xff\xd8\xff no picture")
    reply = server.json({"images": [good, junk, "?", "http://127.0.0.1/x.jpg", good]})
    assert reply.status == 200
    answers = reply.json["predictions"]
    assert answers[0] == answers[4] == server.post(PICTURES[0]).json
    assert [list(answer) for answer in answers[1:4]] == [["error"]] * 3
    mixed = server.json([{"image": good}, {"image": good, "shape": 1}, 7, {}]).json
    assert [("error" in answer) for answer in mixed] == [False, True, True, True]
    lines = server.post(
        json.dumps({"image": good}).encode() + b"\n{broken\n", "application/jsonlines"
    ).body.splitlines()
    assert [("error" in json.loads(line)) for line in lines] == [False, True]


def test_names_of_a_request_are_sent_back(answering: tuple[str, Server]) -> None:
    _, server = answering
    named = {
        "X-Amzn-SageMaker-Custom-Attributes": "trace=7",
        "X-Amzn-SageMaker-Inference-Id": "i-1",
        "X-Request-Id": "r",
    }
    reply = server.ask("POST", "/invocations", PICTURES[0], {"Content-Type": "image/jpeg", **named})
    assert {name.lower(): value for name, value in named.items()}.items() <= reply.headers.items()


def test_every_wording_fits_its_schema(answering: tuple[str, Server]) -> None:
    task, server = answering
    for name, wording in get(task).service().wordings.items():
        accept = f"application/json;{name}=1" if name else "application/json"
        query = f"?threshold={THRESHOLD}" if get(task).service().takes_threshold else ""
        check(server.post(PICTURES[1], path=f"/invocations{query}", Accept=accept).json, wording.schema)
        check(wording.example, wording.schema)


def check(value: Any, schema: Any) -> None:
    """Check a value against the little of JSON Schema that wordings use."""
    kinds = {"object": dict, "array": list, "number": (int, float), "integer": int, "string": str}
    assert isinstance(value, kinds[schema["type"]])
    if schema["type"] == "object":
        assert set(value) == set(schema["required"])
        for name, inner in value.items():
            check(inner, schema["properties"][name])
    if schema["type"] == "array":
        assert schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        for inner in value:
            check(inner, schema["items"])
    assert value >= schema["minimum"] if "minimum" in schema else True
    assert value <= schema["maximum"] if "maximum" in schema else True


def test_openapi_and_card_speak_of_this_model(answering: tuple[str, Server]) -> None:
    task, server = answering
    assert server.get("/card").json["task"] == task
    document = server.get("/openapi.json").json
    parameters = document["paths"]["/invocations"]["post"]["parameters"]
    assert ("threshold" in [one["name"] for one in parameters]) == get(task).service().takes_threshold


def test_rows_are_those_of_the_detections(model: Callable[[str], Path], tmp_path: Path) -> None:
    """What a detector says in rows, in annotations and by name is the same."""
    with serving(tmp_path / "ml", model("detect"), MODEL_SERVER_WORKERS="1") as server:
        asked = {"kind": "image/jpeg", "path": "/invocations?threshold=0.02"}
        named = server.post(PICTURES[1], **asked, Accept="application/json; labels=1").json
        rows = server.post(PICTURES[1], **asked).json["prediction"]
        noted = server.post(PICTURES[1], **asked, Accept="application/json;annotation=1").json
        labels = server.get("/card").json["labels"]
    assert named["detections"], "something is found at so low a threshold"
    assert noted["image_size"] == [{"width": 640, "height": 480, "depth": 3}]
    for one, row, note in zip(named["detections"], rows, noted["annotations"], strict=True):
        assert (labels[row[0]], round(row[1], 4)) == (one["label"], one["score"])
        assert row[2] * 640 == pytest.approx(one["box"]["left"], abs=0.06)
        assert row[5] * 480 == pytest.approx(one["box"]["bottom"], abs=0.06)
        assert (note["class_id"], note["left"], note["top"]) == (row[0], one["box"]["left"], one["box"]["top"])
        assert note["left"] + note["width"] == pytest.approx(one["box"]["right"], abs=0.11)


def test_a_threshold_may_come_with_sagemakers_attributes(model: Callable[[str], Path], tmp_path: Path) -> None:
    with serving(tmp_path / "ml", model("detect"), MODEL_SERVER_WORKERS="1") as server:
        every = server.post(PICTURES[1], path="/invocations?threshold=0").json["prediction"]
        few = server.post(PICTURES[1], X_Amzn_SageMaker_Custom_Attributes="id=4,threshold=0.9").json["prediction"]
        assert few == [row for row in every if row[1] >= 0.9]
        assert server.json({"image": encoded(PICTURES[1]), "threshold": 0}).json["prediction"] == every
        assert server.post(PICTURES[1], X_Amzn_SageMaker_Custom_Attributes="threshold=much").status == 400
        assert server.post(PICTURES[1], path="/invocations?threshold=nan").status == 400
        assert server.post(PICTURES[1], path="/invocations?threshold=2").status == 400


def test_the_quantized_file_can_be_served(model: Callable[[str], Path], tmp_path: Path) -> None:
    with serving(
        tmp_path / "ml", model("detect"), MODEL_SERVER_WORKERS="1", TRAINBOX_MODEL_FILE="model_quantized.tflite"
    ) as server:
        assert server.get("/card").json["file"] == "model_quantized.tflite"
        assert server.post(PICTURES[1]).status == 200


def test_a_pilot_has_no_threshold(server: Server) -> None:
    reply = server.json({"image": encoded(PICTURES[0]), "threshold": 0.5})
    assert reply.status == 400
    assert "no scores" in reply.json["error"]
