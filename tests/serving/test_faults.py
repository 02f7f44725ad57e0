"""Minutes of everything at once: good and bad requests, slow clients, disconnects, interpreters killed, then SIGTERM.

TRAINBOX_FAULT_SECONDS says how long; 600 is what a release is tried with.
"""

import base64
import contextlib
import http.client
import json
import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serving.conftest import picture
from serving.server import Server, megabytes, serving

SECONDS = float(os.environ.get("TRAINBOX_FAULT_SECONDS", "60"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS + 300)]

PICTURES = [picture(160, 120, seed=seed) for seed in range(8)]
BAD = (
    (b"junk", "image/jpeg", 400),
    (b"", "image/jpeg", 400),
    (b"{", "application/json", 400),
    (PICTURES[0], "text/html", 415),
    (b"x" * (2 << 20), "image/jpeg", 413),
)
HEAD = b"POST /invocations HTTP/1.1\r\nHost: here\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
SETTINGS = {
    "MODEL_SERVER_WORKERS": "2",
    "SAGEMAKER_MAX_PAYLOAD_IN_MB": "1",
    "TRAINBOX_HEADER_TIMEOUT": "2",
    "TRAINBOX_BODY_TIMEOUT": "2",
}
MEGABYTES_MORE = 24


class Traffic:
    """Clients of every kind, each in a thread, and what they saw: ``wrong`` is what must stay empty."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.expected = [server.post(content).json for content in PICTURES]
        self.count: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.pings: list[float] = []
        self.stopping = self.over = False
        kinds = [self.good, self.good, self.good, self.batches, self.bad, self.slow, self.rude, self.ping]
        self.threads = [
            threading.Thread(target=self.again, args=(kind, seed), daemon=True) for seed, kind in enumerate(kinds)
        ]

    def again(self, kind: Callable[[random.Random], None], seed: int) -> None:
        """Be one kind of client until the end; a server that was told to stop may take no more connections."""
        chance = random.Random(seed)
        while not self.over:
            try:
                kind(chance)
            except (OSError, http.client.HTTPException) as error:
                if not self.stopping:
                    self.wrong.append(f"{kind.__name__}: {type(error).__name__}: {error}")
                    time.sleep(0.1)
                else:
                    return

    def good(self, chance: random.Random) -> None:
        """Ask twenty things over one connection: each accepted request is answered, and rightly."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)) as connection:
            for _ in range(20):
                which = chance.randrange(len(PICTURES))
                connection.request("POST", "/invocations", PICTURES[which], {"Content-Type": "image/jpeg"})
                response = connection.getresponse()
                self.judge(response.status, response.read(), self.expected[which])
                if self.over or response.getheader("connection") == "close":
                    return

    def judge(self, status: int, body: bytes, expected: Any) -> None:
        if status == 503:
            self.count["503"] += 1  # every interpreter was just killed
            time.sleep(0.1)
        elif status != 200 or json.loads(body) != expected:
            self.wrong.append(f"answered {status} {body[:200]!r} instead of {expected}")
        else:
            self.count["good"] += 1

    def batches(self, chance: random.Random) -> None:
        places = [chance.randrange(len(PICTURES)) for _ in range(chance.randint(1, 12))]
        images = [base64.b64encode(PICTURES[place]).decode() for place in places]
        reply = self.server.json({"images": [*images, "?"]})
        answers = reply.json.get("predictions", [{}]) if reply.status == 200 else []
        if reply.status == 200 and "error" not in answers.pop():
            self.wrong.append("a bad picture of a batch was answered")
        self.judge(reply.status, json.dumps(answers).encode(), [self.expected[place] for place in places])

    def bad(self, chance: random.Random) -> None:
        content, kind, status = chance.choice(BAD)
        reply = self.server.post(content, kind)
        if reply.status not in (status, 503):
            self.wrong.append(f"{kind} {content[:10]!r} got {reply.status}, not {status}")
        self.count["bad"] += 1
        time.sleep(0.01)

    def slow(self, chance: random.Random) -> None:
        """Send half a request and wait for what is said to that: 408."""
        with self.server.connect() as connection:
            request = HEAD % len(PICTURES[0]) + PICTURES[0]
            connection.sendall(request[: chance.randrange(5, len(request))])
            status = connection.recv(12)[9:]
        if status != b"408" and not self.stopping:
            self.wrong.append(f"slow client got {status!r}, not 408")
        self.count["slow"] += 1

    def rude(self, chance: random.Random) -> None:
        """Ask and hang up before the answer, sometimes in the middle of the request, sometimes with a reset."""
        with self.server.connect() as connection:
            request = HEAD % len(PICTURES[0]) + PICTURES[0]
            connection.sendall(request[: chance.choice([len(request), len(request), len(request) // 2])])
            if chance.random() < 0.5:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.count["rude"] += 1
        time.sleep(0.02)

    def ping(self, chance: random.Random) -> None:
        began = time.monotonic()
        if self.server.get("/ping").status not in (200, 503):
            self.wrong.append("/ping")
        self.pings.append(time.monotonic() - began)
        time.sleep(0.05)


def test_nothing_is_wrong_or_lost_whatever_happens(model: Callable[[str], Path], tmp_path: Path) -> None:
    with serving(tmp_path / "ml", model("drive"), **SETTINGS) as server:
        traffic = Traffic(server)
        for thread in traffic.threads:
            thread.start()
        end, killed, sizes = time.monotonic() + SECONDS, 0, []
        while time.monotonic() < end:
            time.sleep(SECONDS / 20)
            if len(server.workers()) == 2:
                sizes.append(megabytes([server.process.pid, *server.workers()]))
            if killed < 5 and len(sizes) % 3 == 2:
                os.kill(server.workers()[0], signal.SIGKILL)
                killed += 1
        respawned = server.metric("trainbox_interpreters_respawned_total")
        traffic.stopping, began = True, time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.end(25) == 0
        assert time.monotonic() - began < 25
        traffic.over = True
        for thread in traffic.threads:
            thread.join(30)
    print(f"{dict(traffic.count)}, ping at most {max(traffic.pings):.2f} s, MB {[round(size) for size in sizes]}")
    assert traffic.wrong == []
    assert killed
    assert respawned == killed
    assert all(traffic.count[kind] for kind in ("good", "bad", "slow", "rude"))
    assert sorted(traffic.pings)[int(0.99 * len(traffic.pings))] < 2
    early, late = max(sizes[: len(sizes) // 2]), sorted(sizes[len(sizes) // 2 :])[len(sizes) // 4]
    assert late < early + MEGABYTES_MORE, f"memory grows: {sizes}"
