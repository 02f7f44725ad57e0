"""The check of an image: all green on ours, and one that breaks the contract is told apart point by point."""

import json
import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from docker_images import made_from
from trainbox.errors import UsageError
from trainbox.platforms import conformance
from trainbox.platforms.conformance.findings import Limits
from trainbox.platforms.conformance.serving import ask_container
from trainbox.platforms.conformance.trials import Trial, a_picture, demonstrations
from trainbox.platforms.containers import DockerFailed

BREAKAGES = {
    "nothing": [],
    "exits 0 without a model": [
        *("train data: leaves a model", "train: starts without an argument"),
        "serve: answers /ping with 200",
    ],
    "writes a failure where it succeeds": ["train data: leaves no output/failure"],
    "changes its input": ["train data: leaves its input alone"],
    "needs an argument": ["train: starts without an argument"],
    "takes no data for success": ["train: fails where a channel is empty", "train: says why in output/failure"],
    "fails without a word": ["train: says why in output/failure"],
    "is deaf to SIGTERM while it trains": ["train: SIGTERM ends it within 3 s"],
    "pings with 404": [
        "serve data: answers /ping with 200",
        "serve: takes the port SAGEMAKER_BIND_TO_PORT",
    ],
    "pings with a body": ["serve data: answers /ping with 200"],
    "answers pictures with 500": ["serve data: answers a picture"],
    "hangs up on pictures": ["serve data: answers a picture"],
    "ends where it is to serve": ["serve data: answers /ping with 200", "serve: takes the port SAGEMAKER_BIND_TO_PORT"],
    "says JSON and is none": ["serve data: answers a picture"],
    "is deaf to SIGTERM while it serves": ["serve data: SIGTERM ends it within 3 s"],
    "ends serving with status 3": ["serve data: SIGTERM ends it within 3 s"],
    "writes into its model": ["serve data: its model may be read-only", "serve: takes the port SAGEMAKER_BIND_TO_PORT"],
    "knows one port": ["serve: takes the port SAGEMAKER_BIND_TO_PORT"],
}
LIMITS = Limits(to_train=60, to_begin=60, to_stop_training=3, to_serve=60, to_stop_serving=3)


@pytest.fixture(scope="module")
def foreign_image(train_image: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make an image of someone else's: a program of a few lines, which breaks what BREAKAGE names."""
    context = tmp_path_factory.mktemp("foreign")
    (context / "foreign.py").write_bytes((Path(__file__).parent / "foreign.py").read_bytes())
    return made_from(
        train_image, context, 'COPY foreign.py /\nENTRYPOINT ["python3", "-u", "/foreign.py"]\n', "foreign"
    )


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.jpg").write_bytes(b"a picture to someone")
    return Trial(
        "data", {"train": tmp_path / "data"}, {"epochs": "1"}, a_picture(tmp_path / "data"), {"epochs": "1000"}
    )


@pytest.mark.slow
@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_broken_image_is_told_apart_point_by_point(
    foreign_image: str, trial: Trial, breakage: str, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/Dockerfile").write_text(f"FROM {foreign_image}\nENV BREAKAGE='{breakage}'\n")
    tag = made_from(foreign_image, tmp_path / "site", f"ENV BREAKAGE='{breakage}'\n", "broken")
    said: list[conformance.Finding] = []
    limits = replace(LIMITS, to_serve=5) if breakage == "pings with 404" else LIMITS
    found = conformance.check(tag, trials=[trial], limits=limits, say=said.append)
    assert said == found
    assert [one.point for one in found if not one.holds] == BREAKAGES[breakage], "\n".join(map(str, found))
    assert len(found) == 16 or breakage != "nothing"


@pytest.mark.slow
def test_how_an_image_is_made_is_told_apart_too(train_image: str, trial: Trial, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/code.py").write_text("")
    lines = "COPY code.py /opt/ml/code/code.py\nENTRYPOINT trainbox-container\n"
    tag = made_from(train_image, tmp_path / "site", lines, "misshapen")
    found = conformance.check(tag, trials=[trial], only="train", limits=LIMITS)
    failed = {one.point: one.seen for one in found if not one.holds}
    assert failed["image: entry point in exec form"] == "/bin/sh -c trainbox-container"
    assert failed["image: ships nothing below /opt/ml"] == "/opt/ml/code/code.py"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_our_image_keeps_the_whole_contract(train_image: str) -> None:
    found = conformance.check(train_image)
    assert [f"{one.point}: {one.seen}" for one in found if not one.holds] == []
    points = {one.point for one in found}
    assert {"train drive: leaves a model", "train detect: leaves a model", "serve drive: answers a picture"} <= points
    stopped = next(one for one in found if one.point.startswith("train: SIGTERM"))
    assert stopped.seen.startswith("status 0 ") and stopped.seen.endswith("with a model")


@pytest.mark.slow
def test_an_image_that_only_serves(serve_image: str, trained: object, demo_data: object) -> None:
    model = trained("drive").folder.model  # type: ignore[operator]
    picture = a_picture(demo_data("drive"))  # type: ignore[operator]
    found = conformance.check(serve_image, model=model, picture=picture, only="serve")
    assert [f"{one.point}: {one.seen}" for one in found if not one.holds] == []
    assert len(found) == 8


class Deaf:
    """A container that takes a connection and ends it without a word."""

    def __init__(self, port: int | None) -> None:
        self.port = port

    def address(self, port: int) -> tuple[str, int]:
        if self.port is None:
            raise DockerFailed("It has ended.")
        return "127.0.0.1", self.port


def test_no_answer_is_something_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: listener.accept()[0].close())
        thread.start()
        status, _, body, _ = ask_container(Deaf(listener.getsockname()[1]), "GET", "/ping")  # type: ignore[arg-type]
        thread.join()
    assert (status, body.startswith(b"no answer")) == (0, True)
    status, _, body, _ = ask_container(Deaf(None), "GET", "/ping")  # type: ignore[arg-type]
    assert (status, body) == (0, b"no answer (It has ended.)")


def test_a_demonstration_of_every_task_is_laid_out_as_the_contract_has_it(tmp_path: Path) -> None:
    for trial in demonstrations(tmp_path / "data"):
        tree = trial.lay_out(tmp_path / trial.name)
        assert json.loads((tree / "input/config/hyperparameters.json").read_text())["task"] == trial.name
        assert trial.picture
        with Image.open(trial.picture) as picture:
            picture.load()  # the demonstrations hold broken ones, as real data does
        assert (tree / "input/data/train").is_dir()
        assert trial.unending().hyperparameters["epochs"] == "100000"


@pytest.mark.slow
def test_what_cannot_be_checked_is_refused(train_image: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no image 'nobody/nothing:1'"):
        conformance.check("nobody/nothing:1")
    with pytest.raises(UsageError, match="--model DIR"):
        conformance.check(train_image, only="serve")
    with pytest.raises(UsageError, match="--only is train or serve"):
        conformance.check(train_image, only="push")
