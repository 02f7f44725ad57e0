"""``trainbox serve`` and ``trainbox predict URL`` on a desk."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serving.conftest import picture
from serving.server import Server, serving
from trainbox import cli
from trainbox.errors import UsageError
from trainbox.serving.remote import RemotePredictor
from trainbox.tasks import available, get


@pytest.fixture(scope="module", params=available())
def both(
    request: pytest.FixtureRequest, model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str, str]]:
    """Every task: its name, its model folder, and where that is served."""
    folder = model(request.param)
    with serving(tmp_path_factory.mktemp("remote") / "ml", folder, MODEL_SERVER_WORKERS="1") as server:
        yield request.param, str(folder), f"http://127.0.0.1:{server.port}"


def test_an_address_says_what_the_folder_says(
    both: tuple[str, str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task, folder, address = both
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(3):
        (pictures / f"{number}.jpg").write_bytes(picture(300, 200, seed=number))
    (pictures / "notes.png").write_bytes(b"not a picture")
    more = ["--threshold", "0.05"] if get(task).service().takes_threshold else []
    said = []
    for source in (folder, address, f"{address}/invocations"):
        draw = ["--draw", str(tmp_path / f"drawn-{len(said)}")]
        assert cli.run(["predict", source, str(pictures), *more]) == 1, "one of them is no picture"
        words = capsys.readouterr()
        assert cli.run(["predict", source, str(pictures / "0.jpg"), *more, *draw, "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        said.append((words.out, words.err, {**answer, "drawn": Path(answer["drawn"]).read_bytes()}))
    assert said[0] == said[1] == said[2]
    assert "notes.png cannot be read: image is of no known format." in said[1][1]


def test_what_cannot_be_reached_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], server: Server) -> None:
    (tmp_path / "a.jpg").write_bytes(picture())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert cli.run(["predict", address, str(tmp_path / "a.jpg")]) == 1
    assert "cannot be asked" in capsys.readouterr().err
    assert cli.run(["predict", f"http://127.0.0.1:{server.port}/elsewhere", str(tmp_path / "a.jpg")]) == 1
    assert "answers 404" in capsys.readouterr().err
    for wrong in ("http://", "http://host:port", "http://host/?a=b"):
        with pytest.raises(UsageError, match="An address is"):
            RemotePredictor.at(wrong)
    with pytest.raises(UsageError, match="no scores"):
        RemotePredictor.at(f"http://127.0.0.1:{server.port}", 0.5)


def test_serve_says_where_and_ends_with_ctrl_c(model: Callable[[str], Path]) -> None:
    command = [sys.executable, "-m", "trainbox", "serve", str(model("drive")), "--port", "0", "--workers", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            address = next(found[0] for line in process.stderr if (found := re.search(r"http://127.0.0.1:\d+", line)))
            with RemotePredictor.at(address) as predictor:
                assert set(predictor.predict(picture())) == {"angle", "throttle"}
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        finally:
            process.kill()


def test_serve_refuses_what_is_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["serve", str(tmp_path / "nowhere"), "--port", "0"]) == 2
    assert "does not exist" in capsys.readouterr().err
