import io
import re

from rich.console import Console

from trainbox.training.progress import SECONDS_BETWEEN_LINES, Bar, Lines, metric_line


def test_a_line_can_be_read_by_a_regular_expression_for_each_value():
    line = metric_line(
        {"epoch": 3, "step": 1200, "loss": 0.12130437, "val_loss": 0.13364, "images_per_second": 310.018}
    )
    assert line == "epoch=3; step=1200; loss=0.1213; val_loss=0.13364; images_per_second=310.02;"
    assert re.search(r"(?<![a-z_])loss=([0-9.]+);", line)[1] == "0.1213"
    assert re.search(r"val_loss=([0-9.]+);", line)[1] == "0.13364"


def test_numbers_never_have_exponents_and_keep_their_digits():
    assert metric_line({"a": 1.23456e-7}) == "a=0.00000012346;"
    assert metric_line({"a": 123456.0}) == "a=123460;"
    assert metric_line({"a": 0.0, "b": float("nan")}) == "a=0; b=nan;"


def test_lines_speak_once_an_epoch_and_now_and_then_between():
    said, now = [], [0.0]
    lines = Lines(said.append, lambda: now[0])
    for second in range(1, 61):
        now[0] = float(second)
        lines.step(1, second, 100, {"loss": 0.5})
    assert len(said) == 60 // SECONDS_BETWEEN_LINES
    lines.epoch(1, 100, {"loss": 0.25})
    assert said[-1] == "epoch=1; step=100; loss=0.25;"


def test_the_bar_shows_values_and_keeps_a_line_an_epoch():
    target = io.StringIO()
    bar = Bar(Console(file=target, force_terminal=True, width=120))
    bar.step(1, 5, 10, {"loss": 0.5})
    bar.epoch(1, 10, {"loss": 0.25, "val_loss": 0.125})
    bar.close()
    assert "epoch=1; loss=0.25; val_loss=0.125;" in target.getvalue()
