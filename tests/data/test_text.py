import math

import pytest

from trainbox.data.text import UnreadableText, decode_text, parse_json, printable


@pytest.mark.parametrize(
    "content",
    [b'{"a": 1}', b'\xef\xbb\xbf{"a": 1}', '{"a": 1}'.encode("utf-16"), b' {"a": 1}\r\n', '{"a": 1}'],
    ids=["plain", "byte order mark", "utf-16", "blanks", "text"],
)
def test_reads_json_in_any_wrapping(content):
    assert parse_json(content) == ({"a": 1}, ())


def test_repeated_keys_are_told_and_the_last_one_counts():
    assert parse_json(b'{"a": 1, "b": {"c": 1, "c": 2}, "a": 3}') == ({"a": 3, "b": {"c": 2}}, ("c", "a"))


def test_not_a_number_is_read_as_one():
    value, _ = parse_json(b"[NaN, -Infinity, 1e999]")
    assert math.isnan(value[0])
    assert value[1:] == [-math.inf, math.inf]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b" \n\x00\x00", "is empty"),
        (b'{"a": ', "is not valid JSON"),
        (b"\x00\x01\x02", "is not valid JSON"),
        (b"[" * 200_000 + b"]" * 200_000, "is nested too deep"),
        (b'{"a":' * 100_000, "is nested too deep"),
        (b"9" * 100_000, "is not valid JSON"),
    ],
    ids=["empty", "zero bytes", "torn", "binary", "deep list", "deep object", "endless number"],
)
def test_says_why_json_means_nothing(content, reason):
    with pytest.raises(UnreadableText) as caught:
        parse_json(content)
    assert caught.value.reason == reason


def test_foreign_bytes_do_not_lose_the_rest():
    assert decode_text(b"caf\xe9") == "caf\N{REPLACEMENT CHARACTER}"
    assert parse_json(b'{"mode": "caf\xe9", "angle": 0.5}')[0]["angle"] == 0.5


def test_names_are_made_fit_for_a_log():
    assert printable("a\x1b[31m\nb\udce9") == "a\\x1b[31m\\nb\\xe9"
    assert printable("\ud800 and \udfff") == "\\ud800 and \\udfff"
    assert printable("Straße 1.jpg") == "Straße 1.jpg"
