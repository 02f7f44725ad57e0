"""What an image does when it is to serve: ping, a picture, a model that it may only read, another port, and SIGTERM."""

import contextlib
import http.client
import json
import mimetypes
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from trainbox.platforms.conformance.findings import Finding, Limits
from trainbox.platforms.conformance.running import Running, container
from trainbox.platforms.containers import DockerFailed, mount

MODEL = "/opt/ml/model"
PORT = 8080
SECONDS_TO_PING = 2
SECONDS_TO_ANSWER = 60
LONGEST_SHOWN = 80


def findings(image: str, name: str, model: Path, picture: Path, limits: Limits) -> Iterator[Finding]:
    """Yield how the image serves ``model``, read-only; where it cannot, how it does with one that it may write to."""
    about = f"serve {name}:"
    with _serving(image, model, read_only=True) as made:
        first = _ready(made, limits.to_serve)
        if not first:
            yield from _of_one(made, about, picture, limits)
            yield Finding(f"{about} its model may be read-only", True, "served")
            return
    with _serving(image, model, read_only=False) as made:
        second = _ready(made, limits.to_serve)
        if second:
            yield Finding(f"{about} answers /ping with 200", False, second)
            return
        yield from _of_one(made, about, picture, limits)
        yield Finding(f"{about} its model may be read-only", False, f"serves only where it may write to it: {first}")


def port_finding(image: str, model: Path, limits: Limits) -> Finding:
    """Serve on the port that SageMaker names where several containers share a machine."""
    point, port = "serve: takes the port SAGEMAKER_BIND_TO_PORT", PORT + 1
    with _serving(image, model, read_only=True, port=port, variables={"SAGEMAKER_BIND_TO_PORT": str(port)}) as made:
        problem = _ready(made, limits.to_serve, port)
        return Finding(point, not problem, problem or f"/ping answers on {port}")


def _of_one(made: Running, about: str, picture: Path, limits: Limits) -> Iterator[Finding]:
    took = made.seconds
    status, kind, body, seconds = ask_container(made, "GET", "/ping")
    holds = status == 200 and not body and seconds <= SECONDS_TO_PING
    yield Finding(
        f"{about} answers /ping with 200",
        holds,
        f"{status}, {len(body)} bytes in {1000 * seconds:.0f} ms; ready in {took:.1f} s",
    )
    headers = {"Content-Type": mimetypes.guess_type(picture.name)[0] or "application/x-image"}
    status, kind, body, seconds = ask_container(made, "POST", "/invocations", picture.read_bytes(), headers)
    shown = body[:LONGEST_SHOWN].decode("utf-8", "backslashreplace")
    yield Finding(
        f"{about} answers a picture",
        status == 200 and _sound(kind, body),
        f"{status} in {1000 * seconds:.0f} ms: {shown}",
    )
    ended, took = made.terminate(limits.to_stop_serving)
    seen = f"still running {took:.0f} s later" if ended is None else f"status {ended} after {took:.1f} s"
    yield Finding(f"{about} SIGTERM ends it within {limits.to_stop_serving:g} s", ended == 0, seen)


def ask_container(
    made: Running, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, str, bytes, float]:
    """Ask it; where it hangs up instead, or is gone, the status is 0 and the body what went wrong."""
    try:
        return ask(made.address(PORT), method, path, body, headers)
    except (OSError, DockerFailed) as problem:
        return 0, "", f"no answer ({problem})".encode(), 0.0


def _sound(kind: str, body: bytes) -> bool:
    """Tell whether there is an answer, and is JSON where it says so."""
    if "json" in kind:
        with contextlib.suppress(ValueError):
            json.loads(body)
            return True
        return False
    return bool(body)


@contextlib.contextmanager
def _serving(
    image: str, model: Path, *, read_only: bool, port: int = PORT, variables: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """Hold a container that is started with ``serve``."""
    environment = [word for name, value in (variables or {}).items() for word in ("--env", f"{name}={value}")]
    options = ["--publish", f"127.0.0.1::{port}", *environment]
    if read_only:
        holding = container(image, "serve", options=[*options, *mount(model, MODEL, read_only=True)])
    else:
        holding = container(image, "serve", options=options, files={MODEL: model})
    with holding as made:
        yield made


def _ready(made: Running, seconds: float, port: int = PORT) -> str:
    """Start it and wait for the first 200 of /ping; return "" or what came instead."""
    if problem := made.start():
        return problem
    seen = "no answer"
    while made.seconds < seconds:
        if (status := made.status) is not None:
            return f"ended with status {status}: {made.last_words()}"
        try:
            answer = ask(made.address(port), "GET", "/ping")[0]
            if answer == 200:
                return ""
            seen = f"/ping answers {answer}"
        except (OSError, DockerFailed) as problem:  # it may end between two looks, and then has no address
            seen = f"no answer ({type(problem).__name__})"
        time.sleep(0.2)
    return f"{seen} within {seconds:g} s"


def ask(
    address: tuple[str, int],
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, str, bytes, float]:
    """Return status, content type, body and seconds of one request; raise OSError where there is no answer."""
    begun = time.monotonic()
    connection = http.client.HTTPConnection(*address, timeout=SECONDS_TO_ANSWER)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        content = response.read()
        return response.status, response.headers.get("Content-Type", ""), content, time.monotonic() - begun
    except http.client.HTTPException as problem:
        raise ConnectionError(f"{type(problem).__name__}") from problem
    finally:
        connection.close()
