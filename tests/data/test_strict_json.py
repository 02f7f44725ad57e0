"""JSON that two readers could take differently."""

import pytest

from trainbox.data.strict_json import DuplicateKey, NotStrict, loads


def test_what_all_readers_take_alike_is_read() -> None:
    assert loads('{"a": [1, 2.5, "x", null, true]}') == {"a": [1, 2.5, "x", None, True]}


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "[1e999]", '{"a": -1e400}'])
def test_numbers_that_are_not_finite(text: str) -> None:
    with pytest.raises(NotStrict, match=r"is not a number of JSON|is not finite"):
        loads(text)


def test_equal_keys_at_any_depth() -> None:
    with pytest.raises(DuplicateKey, match="the key 'b' occurs twice in one object"):
        loads('[{"a": {"b": 1, "b": 1}}]')


def test_what_is_shown_is_short() -> None:
    long = "x" * 5000
    with pytest.raises(DuplicateKey) as refused:
        loads(f'{{"{long}": 1, "{long}": 2}}')
    assert len(str(refused.value)) < 100


def test_what_is_no_json() -> None:
    with pytest.raises(ValueError, match="Expecting") as refused:
        loads("{")
    assert not isinstance(refused.value, NotStrict)
