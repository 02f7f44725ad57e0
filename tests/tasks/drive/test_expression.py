import pytest

from trainbox.tasks.drive.expression import CannotApply, Expression

RECORD = {
    "user/angle": 0.5,
    "angle": 0.5,
    "user/throttle": 0.3,
    "mode": "user",
    "enc/speed": 4,
    "imu/accel": [1.0, 2.0],
    "behavior/state": 2,
}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("user/throttle > 0.2", True),
        ("user/throttle > 0.2 and angle < 0.5", False),
        ("user/throttle > 1 or angle == 0.5", True),
        ("not angle < 0", True),
        ("0 < angle <= 0.5", True),
        ("0 < angle < 0.5 < 3", False),
        ("mode == 'user'", True),
        ("mode in ['local', 'local_angle']", False),
        ("behavior/state not in (1, 3)", True),
        ("enc/speed / 2 == 2", True),
        ("enc/speed * angle - 1 > 1", False),
        ("imu/accel[1] == 2", True),
        ("-angle < -0.4", True),
        ("True", True),
    ],
)
def test_answers(text: str, kept: bool) -> None:
    assert Expression(text).keeps(RECORD) is kept


@pytest.mark.parametrize(
    "text",
    [
        "",
        "angle >",
        "__import__('os').system('true')",
        "open('x')",
        "angle.__class__",
        "(lambda: 1)()",
        "[x for x in angle]",
        "angle ** 9",
        "1 << 9",
        "f'{angle}'",
        "angle := 1",
        "angle; angle",
        "{1: 2}",
        "angle if mode else 1",
        "mode[angle]",
        "b'x' == mode",
        "not " * 40 + "angle",
        "(" * 500 + "1" + ")" * 500,
        "angle > 1" + " or angle > 1" * 100,
    ],
)
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r".+") as refusal:
        Expression(text)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "text", ["speed > 1", "mode > 1", "'x' * 999999999 == mode", "imu/accel[7] > 1", "angle / 0 > 1"]
)
def test_no_answer_for_a_record_is_said(text: str) -> None:
    with pytest.raises(CannotApply):
        Expression(text).keeps(RECORD)
