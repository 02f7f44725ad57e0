"""A job elsewhere as it shows itself here: lines off a terminal, on it the bar of a local training."""

import io
import time
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from amazon.terminal import terminal
from trainbox.platforms.sagemaker.running.bill import Bill, duration
from trainbox.platforms.sagemaker.running.showing import SECONDS_BETWEEN_STATES, OnTerminal, Plain, epoch_values

EPOCH = "epoch=2; step=24; loss=0.5; val_loss=0.25; images_per_second=310.02; data_wait=0.1; learning_rate=0.001;"
STEP = "epoch=3; step=5; loss=0.4; images_per_second=300;"


def test_off_a_terminal_lines_are_as_they_are_and_states_are_rare() -> None:
    said: list[str] = []
    moment = 0.0
    shown = Plain(said.append, clock=lambda: moment)
    shown.line(EPOCH)
    shown.state("Training: 5 s", 5)
    assert said == [EPOCH]
    moment = SECONDS_BETWEEN_STATES
    shown.state("Training: 5 min", 300)
    shown.state("Training: 5 min", 300)
    shown.close()
    assert said == [EPOCH, "Training: 5 min"]


def test_values_of_an_epoch_are_read_from_its_line() -> None:
    assert epoch_values(STEP) == {"epoch": 3, "step": 5, "loss": 0.4, "images_per_second": 300}
    assert epoch_values("train_examples=48; validation_examples=16;") is None
    assert epoch_values("epoch=many; step=1;") is None


def test_on_a_terminal_the_bar_shows_epochs_and_what_is_billed() -> None:
    file, said = io.StringIO(), list[str]()
    shown = OnTerminal(said.append, Console(file=file, force_terminal=True, width=150, color_system=None))
    shown.state("Starting: 42 s since it was created", 0)
    shown.line("Task 'toy' on channels train.")
    shown.line(EPOCH)
    shown.line(STEP)
    shown.state("Training: 60 s", 60)
    shown.close()
    drawn = file.getvalue()
    assert said == ["Task 'toy' on channels train."]
    assert "Starting: 42 s since it was created" in drawn
    assert "epoch=2; loss=0.5; val_loss=0.25;" in drawn, "the finished epoch stands above the bar"
    assert "epoch 3" in drawn
    assert "5/12" in drawn, "an epoch has 12 steps: 24 after two"
    assert "billed_seconds=60;" in drawn
    assert drawn.endswith("\x1b[?25h") or "\x1b[?25h" in drawn[-40:], "the cursor is back"


ASK = """
import signal, sys
from trainbox.platforms.sagemaker.aws.leaving import Signals, Told, choose
signals = Signals()
with signals.handled():
    print(choose(Told(signal.SIGINT), "tuning job 'job'", lambda line: print(line, file=sys.stderr)).name)
"""


@pytest.mark.parametrize(
    ("typed", "chosen"), [(b"x\nd\n", "DETACH"), (b"s\n", "STOP"), (b"W\n", "WATCH"), (b"\x04", "STOP"), (None, "STOP")]
)
def test_a_person_is_asked_and_ctrl_c_once_more_stops(typed: bytes | None, chosen: str) -> None:
    with terminal(ASK) as asked:
        asked.read_until("s, d or w: ")
        if typed is None:
            time.sleep(0.1)
            asked.interrupt()
        else:
            asked.type(typed)
        assert asked.ended() == chosen
    assert "The tuning job 'job' goes on" in asked.shown


def description(**further: object) -> dict[str, object]:
    created = datetime(2026, 11, 22, 10, tzinfo=UTC)
    return {
        "TrainingJobArn": "arn:aws:sagemaker:eu-west-1:123456789012:training-job/a",
        "CreationTime": created,
        "ResourceConfig": {"InstanceType": "ml.nothing.large", "InstanceCount": 2},
        **further,
    }


def test_what_is_billed_counts_from_when_the_machines_work() -> None:
    created = datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert Bill.of(description(), created + timedelta(seconds=50)).so_far() == (
        "50 s since it was created, 0 s billed so far"
    )
    started = description(TrainingStartTime=created + timedelta(seconds=60))
    bill = Bill.of(started, created + timedelta(seconds=360))
    assert bill.so_far() == "6 min 0 s since it was created, 5 min 0 s billed so far"
    assert (bill.final, bill.dollars) == (False, None), "a machine without a known price"


def test_what_spot_saved_is_told() -> None:
    spot = description(EnableManagedSpotTraining=True, TrainingTimeInSeconds=1000, BillableTimeInSeconds=250)
    bill = Bill.of(spot, datetime(2026, 11, 22, 12, tzinfo=UTC))
    assert bill.in_the_end() == [
        "Billed: 4 min 10 s of 2 x ml.nothing.large.",
        "Spot instances saved 75 %: 16 min 40 s of training were needed.",
    ]
    assert bill.as_dict()["saved_percent"] == 75.0


def test_times_are_said_as_people_say_them() -> None:
    assert [duration(one) for one in (0, 59.9, 60, 3599, 3600, 9000)] == [
        "0 s",
        "59 s",
        "1 min 0 s",
        "59 min 59 s",
        "1 h 0 min",
        "2 h 30 min",
    ]
