"""A bring-your-own image as small as one can be: it keeps the contract but for what BREAKAGE names."""

import http.server
import json
import os
import signal
import sys
import time
from pathlib import Path

ML = Path("/opt/ml")
BREAKAGE = os.environ.get("BREAKAGE", "nothing")


def train() -> int:
    def stopped(*_: object) -> None:
        sys.exit(0)

    signal.signal(signal.SIGTERM, signal.SIG_IGN if BREAKAGE == "is deaf to SIGTERM while it trains" else stopped)
    failure = ML / "output/failure"
    failure.parent.mkdir(parents=True, exist_ok=True)
    channel = ML / "input/data/train"
    if not any(channel.iterdir()) and BREAKAGE != "takes no data for success":
        if BREAKAGE != "fails without a word":
            failure.write_text("Channel 'train' is empty.")
        return 1
    for epoch in range(int(json.loads((ML / "input/config/hyperparameters.json").read_text())["epochs"])):
        print(f"epoch={epoch + 1};")
        time.sleep(0.1)
    if BREAKAGE == "changes its input":
        (channel / "a.jpg").write_bytes(b"another picture")
    if BREAKAGE == "writes a failure where it succeeds":
        failure.write_text("all went well")
    if BREAKAGE != "exits 0 without a model":
        (ML / "model/weights").write_bytes(b"weights")
    return 0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"pong" if BREAKAGE == "pings with a body" else b""
        self.answer(404 if BREAKAGE == "pings with 404" else 200, body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if BREAKAGE == "hangs up on pictures":
            return
        body = b"{" if BREAKAGE == "says JSON and is none" else b'{"prediction": []}'
        self.answer(500 if BREAKAGE == "answers pictures with 500" else 200, body)

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve() -> int:
    if BREAKAGE == "ends where it is to serve":
        return 4

    def stopped(*_: object) -> None:
        os._exit(3 if BREAKAGE == "ends serving with status 3" else 0)

    signal.signal(signal.SIGTERM, signal.SIG_IGN if BREAKAGE == "is deaf to SIGTERM while it serves" else stopped)
    if BREAKAGE == "writes into its model":
        (ML / "model/served").touch()
    port = 8080 if BREAKAGE == "knows one port" else int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
    http.server.ThreadingHTTPServer(("", port), Handler).serve_forever()
    return 0


if __name__ == "__main__":
    what = sys.argv[1:] or ([] if BREAKAGE == "needs an argument" else ["train"])
    sys.exit({"train": train, "serve": serve}[what[0]]() if what else 2)
