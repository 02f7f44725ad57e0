"""From start to end: loading, overload, clients that go, interpreters that die, models that are bad, being stopped."""

import contextlib
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.conftest import picture
from serving.server import Reply, Server, megabytes, serving, wait_until

GOOD = picture()
HEAVY = picture(3000, 2000)
LARGE = {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "100"}
RESPAWNED = "trainbox_interpreters_respawned_total"
MODELS = Callable[[str], Path]


def batch(content: bytes, count: int) -> bytes:
    import base64

    return json.dumps({"images": [base64.b64encode(content).decode()] * count}).encode()


def in_background(work: Callable[[], Reply]) -> tuple[threading.Thread, list[Reply]]:
    replies: list[Reply] = []
    thread = threading.Thread(target=lambda: replies.append(work()), daemon=True)
    thread.start()
    return thread, replies


def test_sagemaker_finds_what_it_asks_for(server: Server) -> None:
    reply = server.get("/ping")
    assert (reply.status, reply.body) == (200, b"")
    assert server.get("/execution-parameters").json == {
        "MaxConcurrentTransforms": 8,
        "BatchStrategy": "MULTI_RECORD",
        "MaxPayloadInMB": 1,
    }
    assert server.get("/livez").json == {"alive": True}
    assert server.get("/readyz").json == {"ready": True}


def test_a_batch_transform_stays_within_what_sagemaker_allows(model: MODELS, tmp_path: Path) -> None:
    settings = {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "30", "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD"}
    with serving(tmp_path / "ml", model("drive"), MODEL_SERVER_WORKERS="1", **settings) as server:
        assert server.get("/execution-parameters").json == {
            "MaxConcurrentTransforms": 3,
            "BatchStrategy": "SINGLE_RECORD",
            "MaxPayloadInMB": 30,
        }


def test_metrics_say_where_the_time_goes(server: Server) -> None:
    before = server.metric('trainbox_requests_total{route="/invocations",status="200"}')
    assert server.post(GOOD).status == 200
    assert server.metric('trainbox_requests_total{route="/invocations",status="200"}') == before + 1
    for stage in ("queue", "decode", "inference", "total"):
        assert server.metric(f'trainbox_seconds_count{{stage="{stage}"}}') > 0
    assert wait_until(lambda: server.metric("trainbox_interpreters") == 2), "the second comes after the first"
    digest = server.get("/card").json["sha256"]
    assert f'sha256="{digest}"' in server.get("/metrics").body.decode()


def test_it_is_not_ready_before_the_model_is(model: MODELS, tmp_path: Path) -> None:
    server = Server(tmp_path / "ml", model("drive"), MODEL_SERVER_WORKERS="1")
    try:
        assert wait_until(server.workers, 60)
        os.kill(server.workers()[0], signal.SIGSTOP)  # it loads nothing for now

        def heard() -> bool:
            with contextlib.suppress(OSError):
                return server.get("/ping").status == 503
            return False

        assert wait_until(heard, 60)
        assert [server.get(path).status for path in ("/readyz", "/card", "/livez")] == [503, 503, 200]
        reply = server.post(GOOD)
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        os.kill(server.workers()[0], signal.SIGCONT)
        server.wait_ready()
        assert server.post(GOOD).status == 200
        assert server.stop() == 0
    finally:
        server.close()


def test_overload_is_refused_while_ping_answers(model: MODELS, tmp_path: Path) -> None:
    with serving(
        tmp_path / "ml", model("drive"), MODEL_SERVER_WORKERS="1", TRAINBOX_QUEUE_LENGTH="4", **LARGE
    ) as server:
        thread, replies = in_background(lambda: server.post(batch(HEAVY, 40), "application/json"))
        assert wait_until(lambda: server.metric("trainbox_pictures_waiting") > 4)
        began = time.monotonic()
        refused = server.post(GOOD)
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert server.get("/ping").status == 200
        assert time.monotonic() - began < 2
        thread.join(120)
        assert replies[0].status == 200
        assert len(replies[0].json["predictions"]) == 40
        assert server.post(GOOD).status == 200


def test_what_nobody_waits_for_is_taken_back(model: MODELS, tmp_path: Path) -> None:
    with serving(tmp_path / "ml", model("drive"), MODEL_SERVER_WORKERS="1", **LARGE) as server:
        content = batch(HEAVY, 100)
        connection = server.connect()
        connection.sendall(
            b"POST /invocations HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: "
            + str(len(content)).encode()
            + b"\r\n\r\n"
            + content
        )
        assert wait_until(lambda: server.metric("trainbox_pictures_waiting") > 50)
        connection.close()
        assert wait_until(lambda: server.metric("trainbox_pictures_waiting") == 0, 1.5), "long before their turn"
        assert server.metric('trainbox_refused_total{reason="client gone"}') == 1
        assert server.metric('trainbox_seconds_count{stage="decode"}') < 60
        assert server.post(GOOD).status == 200


def test_a_killed_interpreter_is_replaced_and_nothing_is_lost(model: MODELS, tmp_path: Path) -> None:
    with serving(tmp_path / "ml", model("drive"), MODEL_SERVER_WORKERS="2") as server:
        expected = server.post(GOOD).json
        assert wait_until(lambda: server.metric("trainbox_interpreters") == 2)
        # One death a batch: a picture that two interpreters died of is not tried a third time.
        for killed in (1, 2):
            thread, replies = in_background(lambda: server.post(batch(GOOD, 200), "application/json"))
            os.kill(server.workers()[0], signal.SIGKILL)
            assert wait_until(lambda count=killed: server.metric(RESPAWNED) == count, 30)
            thread.join(120)
            assert replies[0].json == {"predictions": [expected] * 200}
        assert wait_until(lambda: server.metric("trainbox_interpreters") == 2, 30)
        assert server.metric(RESPAWNED) == 2
        assert server.get("/ping").status == 200
        assert server.stop() == 0


def test_with_every_interpreter_gone_it_is_unready_for_a_moment(model: MODELS, tmp_path: Path) -> None:
    with serving(tmp_path / "ml", model("drive"), MODEL_SERVER_WORKERS="1") as server:
        os.kill(server.workers()[0], signal.SIGKILL)
        assert wait_until(lambda: server.get("/ping").status == 503, 5)
        assert wait_until(lambda: server.get("/ping").status == 200, 30)
        assert server.post(GOOD).status == 200


def test_an_interpreter_that_hangs_is_ended(model: MODELS, tmp_path: Path) -> None:
    with serving(tmp_path / "ml", model("drive"), MODEL_SERVER_WORKERS="1", MODEL_SERVER_TIMEOUT="1") as server:
        os.kill(server.workers()[0], signal.SIGSTOP)
        began = time.monotonic()
        assert server.post(GOOD).status == 504
        assert time.monotonic() - began < 5
        assert wait_until(lambda: server.get("/ping").status == 200, 30)
        assert server.post(GOOD).status == 200


def test_told_to_stop_it_answers_what_it_took(model: MODELS, tmp_path: Path) -> None:
    with serving(tmp_path / "ml", model("drive"), MODEL_SERVER_WORKERS="1", **LARGE) as server:
        workers = server.workers()
        thread, replies = in_background(lambda: server.post(batch(HEAVY, 20), "application/json"))
        assert wait_until(lambda: server.metric("trainbox_pictures_waiting") > 10)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert wait_until(lambda: server.get("/ping").status == 503, 0.4), "unready at once"
        server.process.send_signal(signal.SIGTERM)  # a second one changes nothing
        assert server.end(25) == 0
        assert time.monotonic() - began < 25
        thread.join(5)
        assert replies[0].status == 200
        assert len(replies[0].json["predictions"]) == 20
        assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


def test_told_to_stop_before_it_serves_it_ends(model: MODELS, tmp_path: Path) -> None:
    """At any moment of its start."""
    for after in (0.1, 0.2, 0.4, 0.8):
        server = Server(tmp_path / "ml", model("drive"), MODEL_SERVER_WORKERS="2")
        try:
            caught = Path(f"/proc/{server.process.pid}/status")
            assert wait_until(lambda path=caught: int(path.read_text().split("SigCgt:")[1].split()[0], 16) >> 14 & 1)
            time.sleep(after - 0.1)
            assert server.stop() == 0, after
        finally:
            server.close()


def test_of_two_on_one_port_one_ends(model: MODELS, tmp_path: Path) -> None:
    first = Server(tmp_path / "a", model("drive"), MODEL_SERVER_WORKERS="1")
    second = Server(tmp_path / "b", model("drive"), MODEL_SERVER_WORKERS="1", SAGEMAKER_BIND_TO_PORT=str(first.port))
    try:
        assert wait_until(
            lambda: (
                None not in (first.process.poll(), second.process.poll())
                or first.process.poll()
                or second.process.poll()
            ),
            30,
        )
        ended, other = (first, second) if first.process.poll() is not None else (second, first)
        assert ended.end(30) == 2
        assert f"port {first.port}" in ended.err[-1]
        other.port = first.port
        assert other.wait_ready().post(GOOD).status == 200
    finally:
        first.close()
        second.close()


def test_pictures_are_held_within_bounds(model: MODELS, tmp_path: Path) -> None:
    """Two bodies of the largest size, or 256 MB: then others are told to come again, and those held are answered."""
    with serving(
        tmp_path / "ml", model("drive"), MODEL_SERVER_WORKERS="1", TRAINBOX_BODY_TIMEOUT="300", **LARGE
    ) as server:
        head = b"POST /invocations HTTP/1.1\r\nHost: here\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
        held = []
        try:
            for _ in range(3):
                held.append(server.connect())
                held[-1].sendall(head % (90 << 20) + bytes(85 << 20))
            assert wait_until(lambda: server.metric("trainbox_body_bytes") == 3 * (85 << 20), 100)
            refused = server.post(bytes(20 << 20))
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            assert "memory" in refused.json["error"]
        finally:
            for connection in held:
                connection.close()
        assert wait_until(lambda: server.metric("trainbox_body_bytes") == 0)
        assert server.post(GOOD + bytes(20 << 20)).status == 200


def test_killed_it_leaves_no_interpreters(model: MODELS, tmp_path: Path) -> None:
    with serving(tmp_path / "ml", model("drive"), MODEL_SERVER_WORKERS="2") as server:
        assert wait_until(lambda: server.metric("trainbox_interpreters") == 2)
        workers = server.workers()
        server.process.kill()
        server.process.wait()
        assert wait_until(lambda: not [pid for pid in workers if Path(f"/proc/{pid}").exists()], 10)


def test_two_interpreters_need_little_memory(model: MODELS, tmp_path: Path) -> None:
    with serving(tmp_path / "ml", model("detect"), MODEL_SERVER_WORKERS="2") as server:
        assert wait_until(lambda: server.metric("trainbox_interpreters") == 2)
        for _ in range(20):
            assert server.post(GOOD).status == 200
        assert megabytes([server.process.pid, *server.workers()]) < 200


def copied(model: Path, folder: Path) -> Path:
    shutil.copytree(model, folder, copy_function=shutil.copyfile)
    return folder


def refused(base: Path, model: Path | None, **environment: str) -> tuple[int, str]:
    """Return the exit status and the last line of a server that does not get ready."""
    server = Server(base, model, **environment)
    try:
        return server.end(90), server.err[-1]
    finally:
        server.close()


def test_a_bad_model_ends_it_with_one_line(model: MODELS, tmp_path: Path) -> None:
    changed = copied(model("drive"), tmp_path / "changed")
    content = (changed / "model.tflite").read_bytes()
    (changed / "model.tflite").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    status, line = refused(tmp_path / "a", changed)
    assert (status, "'model.tflite' is not the file of its manifest" in line) == (2, True), line
    (changed / "manifest.json").unlink()
    status, line = refused(tmp_path / "b", changed)
    assert (status, "has no manifest.json" in line) == (2, True), line
    status, line = refused(tmp_path / "c", None)
    assert (status, "does not exist" in line) == (2, True), line


def test_a_file_that_litert_cannot_run_ends_it(model: MODELS, tmp_path: Path) -> None:
    import hashlib

    folder = copied(model("drive"), tmp_path / "model")
    content = (folder / "model.tflite").read_bytes()[:5000]
    (folder / "model.tflite").write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["model.tflite"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    status, line = refused(tmp_path / "ml", folder)
    assert status == 2
    assert "model.tflite" in line


def test_wrong_settings_are_refused_by_name(model: MODELS, tmp_path: Path) -> None:
    for name, value in (
        ("MODEL_SERVER_WORKERS", "many"),
        ("MODEL_SERVER_TIMEOUT", "nan"),
        ("SAGEMAKER_BATCH", "perhaps"),
    ):
        status, line = refused(tmp_path / name, model("drive"), **{name: value})
        assert (status, name in line, value in line) == (2, True, True), line
    status, line = refused(tmp_path / "file", model("drive"), TRAINBOX_MODEL_FILE="model.keras")
    assert (status, "cannot be served" in line) == (2, True), line


def test_a_port_that_is_taken_is_said(model: MODELS, tmp_path: Path, server: Server) -> None:
    status, line = refused(tmp_path / "ml", model("drive"), SAGEMAKER_BIND_TO_PORT=str(server.port))
    assert (status, f"port {server.port}" in line) == (2, True), line


@pytest.mark.parametrize("packed", [False, True])
def test_strays_are_tolerated(model: MODELS, tmp_path: Path, packed: bool) -> None:
    """Beside the bundle lie its own archive and litter; or the archive is all there is."""
    folder = tmp_path / "ml/model"
    folder.mkdir(parents=True)
    archive = shutil.make_archive(str(tmp_path / "model"), "gztar", model("drive"))
    shutil.copyfile(archive, folder / "model.tar.gz")
    if not packed:
        copied(model("drive"), tmp_path / "copy")
        for path in (tmp_path / "copy").iterdir():
            path.rename(folder / path.name)
        (folder / ".sagemaker-uploading").touch()
        (folder / "lost+found").mkdir()
    before = sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))
    with serving(tmp_path / "ml", None, MODEL_SERVER_WORKERS="1") as server:
        assert server.post(GOOD).status == 200
        assert server.stop() == 0
    assert sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*")) == before


def test_under_sagemaker_there_is_no_page(model: MODELS, tmp_path: Path, server: Server) -> None:
    assert server.get("/").status == 200
    with serving(tmp_path / "ml", model("drive"), SAGEMAKER_BATCH="true", TRAINBOX_PAGE="") as hosted:
        assert hosted.get("/").status == 404
        assert hosted.get("/execution-parameters").json["MaxPayloadInMB"] == 6


def test_the_page_lets_nothing_in_from_elsewhere(server: Server) -> None:
    for path in ("/", "/page.js", "/page.css", "/task.js"):
        reply = server.get(path)
        assert reply.status == 200
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        assert b"://" not in reply.body
