"""Bodies: what a request asks about which pictures, and how the answers are put together.

Nothing in a body is believed: it may be no JSON, nested without end, or no picture at all. The reason is then said.
"""

import base64
import binascii
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trainbox.data import strict_json
from trainbox.serving.refusals import Refused

PICTURES = (
    "image/jpeg",
    "image/png",
    "application/x-image",
    "image/jpg",
    "image/webp",
    "image/gif",
    "image/bmp",
    "image/tiff",
    "application/octet-stream",
)
"""Whatever it is called: what kind of picture it is, its first bytes tell."""
JSON, LINES = "application/json", "application/jsonlines"
DEEPEST = 64
MOST_PARTS = 20_000
"""Far more than the most pictures need: base64 has none of what separates the parts of JSON."""
MOST_PICTURES = 256
KEYS = {"image", "images", "threshold"}


@dataclass(frozen=True)
class Item:
    """One picture asked about, or why there is none to ask about."""

    picture: bytes = b""
    threshold: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class Asked:
    """What a request asks. ``form``: "one" picture, "images" of one object, a "list" of objects, or "lines" of them."""

    items: Sequence[Item]
    form: str


@dataclass(frozen=True)
class Wanted:
    """How the answer is to be put: a wording of the task's service, as ``media`` type."""

    wording: str
    media: str


def read(content_type: str, body: bytes, threshold: float | None, takes_threshold: bool) -> Asked:
    """Return what a body of this type asks; raise Refused (400, 415).

    ``threshold`` holds for pictures without one of their own.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in (*PICTURES, JSON, LINES):
        received = f"'{kind}'" if kind else "none"
        raise Refused(415, f"The Content-Type must be {', '.join(PICTURES[:3])} or {JSON}. Received: {received}.")
    if not body:
        raise Refused(400, "The body is empty. Send a picture.")
    asked = Asked([Item(body)], "one") if kind in PICTURES else _of_text(kind, body)
    items = [item if item.threshold is not None else replace(item, threshold=threshold) for item in asked.items]
    if not takes_threshold and any(item.threshold is not None for item in items):
        raise Refused(400, "This model's answers have no scores, so there is no threshold. Leave it out.")
    return replace(asked, items=items)


def threshold_of(text: str) -> float:
    """Return the threshold that a query or header names; raise Refused."""
    try:
        return _threshold(float(text))
    except ValueError:
        raise Refused(400, f"The threshold must be a number from 0 to 1. Received: '{text[:40]}'.") from None


def wanted(accept: str, wordings: Iterable[str], form: str) -> Wanted:
    """Return how to answer a request with this Accept header; raise Refused (406) where that is not to be had."""
    media = LINES if form == "lines" else JSON
    for choice in accept.split(",") if accept.strip() else ("*/*",):
        kind, *parameters = [part.strip().lower() for part in choice.split(";")]
        if kind not in ("*/*", "application/*", media, JSON):
            continue
        asked = [name for name, _, value in (part.partition("=") for part in parameters) if value.strip() == "1"]
        named = [name.strip() for name in asked if name.strip() in wordings]
        return Wanted(named[0] if named else "", media)
    raise Refused(406, f"Answers are {media} only. Received Accept: '{accept[:80]}'.")


def put(asked: Asked, answers: Sequence[bytes | None], reasons: Sequence[str | None]) -> bytes:
    """Return the body of the answer: JSON of each picture, or why there is none.

    Raise Refused (400) where the one picture of a request has no answer.
    """
    if asked.form == "one" and reasons[0]:
        raise Refused(400, f"The picture cannot be read: {reasons[0]}.")
    bodies = [
        json.dumps({"error": reason}).encode() if reason or answer is None else answer
        for answer, reason in zip(answers, reasons, strict=True)
    ]
    if asked.form == "one":
        return bodies[0]
    if asked.form == "lines":
        return b"".join(body + b"\n" for body in bodies)
    joined = b"[" + b", ".join(bodies) + b"]"
    return joined if asked.form == "list" else b'{"predictions": ' + joined + b"}"


def _of_text(kind: str, body: bytes) -> Asked:
    """Read JSON, or lines of it.

    Their parts are counted first, at the speed of memory: millions of them would take seconds and gigabytes to build.
    """
    if sum(map(body.count, (b"[", b"{", b",", b":", b"\n"))) > MOST_PARTS:
        raise _too_deep()
    return _of_lines(body) if kind == LINES else _of_json(_parsed(body))


def _of_json(value: Any) -> Asked:
    if isinstance(value, list):
        if not value:
            raise Refused(400, "The list is empty. Send pictures.")
        _refuse_many(len(value))
        return Asked([_forgiving(one) for one in value], "list")
    if not isinstance(value, dict):
        raise Refused(400, 'The JSON must be an object: {"image": base64}. Received: something else.')
    if "images" not in value:
        return Asked([_item(value)], "one")
    _check_keys(value, {"images", "threshold"})
    if not isinstance(value["images"], list) or not value["images"]:
        raise Refused(400, "'images' must be a list of pictures in base64. Received: something else, or none.")
    _refuse_many(len(value["images"]))
    threshold = _threshold(value["threshold"]) if value.get("threshold") is not None else None
    items = [_forgiving({"image": image}) for image in value["images"]]
    return Asked([replace(item, threshold=threshold) for item in items], "images")


def _of_lines(body: bytes) -> Asked:
    """Read JSON lines. A line that is no JSON is an error of its own, as in a batch transform's file."""
    lines = [line for line in io.BytesIO(body) if line.strip()]
    if not lines:
        raise Refused(400, "The body has no line. Send a JSON object a line.")
    _refuse_many(len(lines))
    return Asked([_of_line(line) for line in lines], "lines")


def _of_line(line: bytes) -> Item:
    try:
        return _forgiving(_parsed(line))
    except Refused as refusal:
        return Item(error=str(refusal))


def _refuse_many(count: int) -> None:
    """Raise Refused before each of too many is looked at."""
    if count > MOST_PICTURES:
        raise Refused(400, f"At most {MOST_PICTURES} pictures at once. Received: {count}. Send several requests.")


def _forgiving(value: Any) -> Item:
    """Return one item of several: what is wrong with it is its own error."""
    try:
        if not isinstance(value, dict):
            raise Refused(400, 'An item must be an object: {"image": base64}.')
        return _item(value)
    except Refused as refusal:
        return Item(error=str(refusal))


def _item(value: Mapping[str, Any]) -> Item:
    _check_keys(value, {"image", "threshold"})
    if "image" not in value:
        raise Refused(400, "'image' is missing. Send the picture in base64 under that name.")
    threshold = value.get("threshold")
    return Item(_decoded(value["image"]), None if threshold is None else _threshold(threshold))


def _check_keys(value: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(value) - known)
    if unknown:
        raise Refused(400, f"Unknown key '{unknown[0][:40]}'. Known: {', '.join(sorted(known))}.")


def _threshold(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise Refused(400, f"The threshold must be a number from 0 to 1. Received: {str(value)[:40]}.")
    return float(value)


def _decoded(text: Any) -> bytes:
    if not isinstance(text, str):
        raise Refused(400, "'image' must be text: the picture in base64.")
    if "://" in text[:64]:
        raise Refused(400, "'image' is an address, and nothing is fetched. Send the picture itself in base64.")
    try:
        # Some encoders break lines at 76 letters.
        picture = base64.b64decode(text.encode("ascii").translate(None, b" \t\r\n"), validate=True)
    except (binascii.Error, ValueError):
        raise Refused(400, "'image' is not base64. Encode the file's bytes.") from None
    if not picture:
        raise Refused(400, "'image' is empty. Send a picture.")
    return picture


def _parsed(body: bytes) -> Any:
    """Parse JSON that two readers cannot take differently; raise Refused."""
    try:
        value = strict_json.loads(body.decode("utf-8"))
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        reason = str(error) if isinstance(error, strict_json.NotStrict) else "it is damaged, or no UTF-8"
        raise Refused(400, f"The body is not JSON that can be read: {reason}.") from None
    _refuse_deeper(value, DEEPEST)
    return value


def _refuse_deeper(value: Any, deepest: int) -> None:
    """Raise Refused where lists and objects are nested deeper than that."""
    if isinstance(value, list | dict):
        if not deepest:
            raise _too_deep()
        for inner in value.values() if isinstance(value, dict) else value:
            _refuse_deeper(inner, deepest - 1)


def _too_deep() -> Refused:
    return Refused(400, f"The JSON is nested deeper than {DEEPEST}, or has more than {MOST_PARTS} parts.")
