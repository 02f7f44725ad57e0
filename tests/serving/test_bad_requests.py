"""Every bad request, over a real socket, and what it gets: the lines of what may go wrong in serving."""

import base64
import gzip
import json
import socket
import time

import pytest

from serving.conftest import picture
from serving.server import Server, wait_until

GOOD = picture()
TEXT = base64.b64encode(GOOD).decode()
HEAD = b"POST /invocations HTTP/1.1\r\nHost: here\r\nContent-Type: image/jpeg\r\n"
MEGABYTE = 1 << 20


def body(value: object) -> bytes:
    return json.dumps(value).encode()


BAD = {
    "oversize": (b"x" * (MEGABYTE + 1), "image/jpeg", {}, 413, "larger than"),
    "far oversize": (b"x" * (9 * MEGABYTE), "image/jpeg", {}, 413, "larger than"),
    "wrong type": (GOOD, "text/plain", {}, 415, "Content-Type must be"),
    "a form": (GOOD, "application/x-www-form-urlencoded", {}, 415, "Content-Type must be"),
    "no type": (GOOD, "", {}, 415, "Received: none"),
    "compressed": (gzip.compress(GOOD), "image/jpeg", {"Content_Encoding": "gzip"}, 415, "not decompressed"),
    "empty": (b"", "image/jpeg", {}, 400, "empty"),
    "empty JSON": (b"", "application/json", {}, 400, "empty"),
    "blank JSON": (b"  \n", "application/json", {}, 400, "not JSON"),
    "malformed JSON": (b'{"image": ', "application/json", {}, 400, "not JSON"),
    "no UTF-8": (b'{"image": "\xff\xfe"}', "application/json", {}, 400, "not JSON"),
    "nested": (b"[" * 65 + b"]" * 65, "application/json", {}, 400, "nested deeper than 64"),
    "nested past any stack": (b"[" * 200_000, "application/json", {}, 400, "nested deeper than 64"),
    "nested within a picture": (
        b'{"image": ' + b'{"a": ' * 80 + b"1" + b"}" * 81,
        "application/json",
        {},
        400,
        "nested",
    ),
    "empty lists by the thousand": (b"[" + b"[]," * 40_000 + b"[]]", "application/json", {}, 400, "parts"),
    "numbers by the million": (b"[" + b"1," * 400_000 + b"1]", "application/json", {}, 400, "parts"),
    "keys by the million": (
        b"{" + b",".join(b'"%d":1' % n for n in range(90_000)) + b"}",
        "application/json",
        {},
        400,
        "parts",
    ),
    "quotes that never end": (b"[]" * 65 + b'"' + b'\\"' * 500_000, "application/json", {}, 400, "not JSON"),
    "lines by the million": (b"1\n" * 500_000, "application/jsonlines", {}, 400, "parts"),
    "too many items": (b"[" + b"1," * 256 + b"1]", "application/json", {}, 400, "At most 256"),
    "key twice": (f'{{"image": "{TEXT}", "image": ""}}'.encode(), "application/json", {}, 400, "twice"),
    "a number": (b"3", "application/json", {}, 400, "must be an object"),
    "an empty list": (b"[]", "application/json", {}, 400, "empty"),
    "no images": (body({"images": []}), "application/json", {}, 400, "'images'"),
    "too many images": (body({"images": ["QQ=="] * 257}), "application/json", {}, 400, "At most 256"),
    "unknown key": (body({"picture": TEXT}), "application/json", {}, 400, "Unknown key 'picture'"),
    "no image": (body({}), "application/json", {}, 400, "'image' is missing"),
    "base64 junk": (body({"image": "no!base64?"}), "application/json", {}, 400, "not base64"),
    "base64 of nothing": (body({"image": ""}), "application/json", {}, 400, "empty"),
    "base64 of no picture": (body({"image": "QUJDRA=="}), "application/json", {}, 400, "cannot be read"),
    "image is a number": (body({"image": 5}), "application/json", {}, 400, "must be text"),
    "an address": (body({"image": "http://127.0.0.1:1/a.jpg"}), "application/json", {}, 400, "nothing is fetched"),
    "a file's address": (body({"image": "file:///etc/passwd"}), "application/json", {}, 400, "nothing is fetched"),
    "NaN": (f'{{"image": "{TEXT}", "threshold": NaN}}'.encode(), "application/json", {}, 400, "NaN"),
    "infinite": (f'{{"image": "{TEXT}", "threshold": 1e999}}'.encode(), "application/json", {}, 400, "1e999"),
    "threshold is true": (body({"image": TEXT, "threshold": True}), "application/json", {}, 400, "threshold"),
    "threshold above 1": (body({"image": TEXT, "threshold": 1.5}), "application/json", {}, 400, "threshold"),
    "an HTML page": (b"<!doctype html><p>Not found", "image/jpeg", {}, 400, "HTML"),
    "half a picture": (GOOD[: len(GOOD) // 2], "image/jpeg", {}, 400, "truncated"),
    "zero bytes": (bytes(500), "image/png", {}, 400, "zero"),
    "an answer in CSV": (GOOD, "image/jpeg", {"Accept": "text/csv"}, 406, "application/json only"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_refused_with_its_reason(server: Server, name: str) -> None:
    content, kind, headers, status, why = BAD[name]
    began = time.monotonic()
    reply = server.post(content, kind, **headers)
    assert time.monotonic() - began < 2, "nobody else is kept waiting"
    assert (reply.status, why in reply.json["error"]) == (status, True), reply.json
    assert "\n" not in reply.json["error"]
    assert server.post(GOOD).status == 200, "the next one is answered"


def test_chunks_are_counted_too(server: Server) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    status, answer, closed = server.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 20, b"0\r\n\r\n")
    assert status == 413
    assert closed
    assert b"larger than" in answer


def test_a_length_alone_is_enough_to_be_refused(server: Server) -> None:
    began = time.monotonic()
    status, _, closed = server.raw(HEAD + b"Content-Length: 99999999999\r\n\r\nabc")
    assert (status, closed) == (413, True)
    assert time.monotonic() - began < 3


AMBIGUOUS = {
    "length beside chunks": b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "chunks beside length": b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "the same length twice": b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "a list of lengths": b"Content-Length: 3, 3\r\n\r\nabc",
    "a negative length": b"Content-Length: -3\r\n\r\nabc",
    "a length with a sign": b"Content-Length: +3\r\n\r\nabc",
    "unknown transfer": b"Transfer-Encoding: xchunked\r\n\r\nabc",
    "a folded header": b"X-A: b\r\n c\r\nContent-Length: 3\r\n\r\nabc",
    "a space before the colon": b"X-A : b\r\nContent-Length: 3\r\n\r\nabc",
    "two hosts": b"Host: there\r\nContent-Length: 3\r\n\r\nabc",
    "no number of a chunk": b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_two_readers_take_differently_ends_the_connection(server: Server, name: str) -> None:
    status, answer, closed = server.raw(HEAD + AMBIGUOUS[name] + b"GET /ping HTTP/1.1\r\nHost: here\r\n\r\n")
    assert (status, closed) == (400, True), answer
    assert answer.count(b"HTTP/1.1 ") == 1, "what follows is not taken for a request"


def test_http_1_1_names_its_host(server: Server) -> None:
    assert server.raw(b"GET /ping HTTP/1.1\r\n\r\n")[::2] == (400, True)
    assert server.raw(b"\x16\x03\x01\x02\x00 hello over TLS\r\n\r\n")[::2] == (400, True)


@pytest.mark.parametrize("end", [b"", b"\r\n"])
@pytest.mark.parametrize("headers", [b"X-A: " + b"a" * 40_000 + b"\r\n", b"X-A: b\r\n" * 5000, b"a:\r\n" * 60_000])
def test_headers_without_end_are_cut_off(server: Server, headers: bytes, end: bytes) -> None:
    began = time.monotonic()
    status, answer, closed = server.raw(HEAD + headers + end)
    assert (status, closed) == (431, True)
    assert answer.endswith(b"}"), "the reason is heard"
    assert time.monotonic() - began < 3


def heard(connection: socket.socket, end: bytes) -> bytes:
    """Return what comes until ``end`` is in it."""
    received = b""
    while end not in received:
        part = connection.recv(1 << 16)
        assert part, received
        received += part
    return received


GET = b"GET /ping HTTP/1.1\r\nHost: here\r\n\r\n"


@pytest.mark.parametrize(
    "bad", [b"GET /ping HTTP/1.1\r\n\r\n", b"\x00", HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"]
)
def test_what_comes_before_a_bad_request_is_answered_first(server: Server, bad: bytes) -> None:
    good = HEAD + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD
    _, answer, closed = server.raw(good + good + bad)
    assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"200", b"200", b"400"]
    assert closed


def test_who_is_answered_early_and_never_ends_is_hung_up_on(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\nabc")
        assert connection.recv(12).endswith(b"404")
        connection.sendall(b"abc")
        connection.settimeout(5)
        while connection.recv(1 << 16):
            pass


def test_who_is_answered_early_may_ask_again(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: here\r\nContent-Length: 6\r\n\r\nabc")
        assert b" 404 " in heard(connection, b"}")
        connection.sendall(b"def")
        time.sleep(1.3)  # longer than headers may take
        connection.sendall(GET)
        assert b" 200 " in heard(connection, b"\r\n\r\n")


@pytest.mark.parametrize("name", ["Upgrade", "UPGRADE"])
def test_another_protocol_is_not_spoken_and_the_body_is_read(server: Server, name: str) -> None:
    """Java's client asks for HTTP/2 with its first request."""
    wish = f"Connection: Upgrade, HTTP2-Settings\r\n{name}: h2c\r\nHTTP2-Settings: AAMAAABk\r\n".encode()
    head = HEAD + wish + b"Content-Length: %d\r\n\r\n" % len(GOOD)
    with server.connect() as connection:
        for _ in range(2):
            connection.sendall(head + GOOD)
            assert b" 200 " in heard(connection, b"}")


def test_slow_headers_are_not_waited_for(server: Server) -> None:
    began = time.monotonic()
    status, answer, closed = server.raw(b"POST /invocations HTTP/1.1\r\nHost: he")
    assert (status, closed) == (408, True), answer
    status, _, closed = server.raw(*[b"P", b"O", b"S", b"T", b" "], pause=0.3)
    assert (status, closed) == (408, True)
    assert time.monotonic() - began < 6


def test_who_connects_and_says_nothing_is_hung_up_on(server: Server) -> None:
    status, answer, closed = server.raw()
    assert (status, answer, closed) == (0, b"", True)


def test_a_slow_body_is_not_waited_for(server: Server) -> None:
    began = time.monotonic()
    status, answer, closed = server.raw(HEAD + b"Content-Length: 1000\r\n\r\nabc")
    assert (status, closed) == (408, True), answer
    assert time.monotonic() - began < 5


def test_slow_ones_keep_nobody_waiting(server: Server) -> None:
    slow = [server.connect() for _ in range(50)]
    try:
        for connection in slow:
            connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\nabc")
        began = time.monotonic()
        assert server.post(GOOD).status == 200
        assert server.get("/ping").status == 200
        assert time.monotonic() - began < 2
    finally:
        for connection in slow:
            connection.close()


def test_wrong_addresses_and_methods_are_said(server: Server) -> None:
    assert server.get("/nowhere").status == 404
    assert server.get("/invocations").status == 405
    assert server.get("/invocations").headers["allow"] == "POST"
    assert server.get("/../../etc/passwd").status == 404
    assert server.get("/page.css/../server.py").status == 404


def test_refusals_are_counted_and_logged(server: Server) -> None:
    before = server.metric('trainbox_refused_total{reason="bad type"}')
    assert server.post(GOOD, "text/plain", X_Request_Id="request-17").headers["x-request-id"] == "request-17"
    assert server.metric('trainbox_refused_total{reason="bad type"}') == before + 1

    def logged() -> bool:
        entries = [json.loads(line) for line in list(server.out)]
        return any(one["event"] == "refused" and "Received: 'text/plain'" in one["why"] for one in entries)

    assert wait_until(logged)
