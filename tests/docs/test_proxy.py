"""Compose and the proxy of docs/on-premises.md: one address, two servers, and a model replaced while they are asked."""

import contextlib
import http.client
import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from docs.conftest import needed, wait_ready
from docs.page import Place, held
from serving.conftest import picture
from serving.server import Reply, free_port, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
Places = Callable[..., Place]
NAME = "vision.example.org"
MEGABYTE = 1 << 20


class Ports:
    """Where the two servers and the proxy are, and the page's words for that."""

    def __init__(self, one: int = 0, two: int = 0) -> None:
        self.one, self.two, self.proxy = one or free_port(), two or free_port(), free_port()

    @property
    def words(self) -> dict[str, str]:
        return {
            "127.0.0.1:8081": f"127.0.0.1:{self.one}",
            "127.0.0.1:8082": f"127.0.0.1:{self.two}",
            "listen 443 ssl": f"listen 127.0.0.1:{self.proxy} ssl",
            "curl --fail --cacert": f"curl --resolve {NAME}:{self.proxy}:127.0.0.1 --fail --cacert",
            f"https://{NAME}": f"https://{NAME}:{self.proxy}",
        }


@contextlib.contextmanager
def proxied(nginx: str, made: Place, ports: Ports) -> Iterator[None]:
    """Hold an nginx with the page's configuration, which says where it listens; it is over afterwards."""
    made.run("certificate")
    folder = made.folder / "nginx"
    folder.mkdir()
    kept = " ".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"daemon off; {user} pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; {kept} include {made.write('trainbox.conf')}; }}\n"
    )
    command = [nginx, "-p", str(folder), "-e", f"{folder}/error.log", "-c", str(folder / "nginx.conf")]
    tested = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stderr
    assert "warn" not in tested.stderr
    with held(" ".join(command), made.folder, made.variables):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", ports.proxy), timeout=1):
                break
            time.sleep(0.05)
        yield


class Client:
    """Asks by TLS, trusting the certificate that the page's command made."""

    def __init__(self, certificate: Path, port: int) -> None:
        self._trusting, self._port = ssl.create_default_context(cafile=certificate), port

    def ask(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Reply:
        plain = socket.create_connection(("127.0.0.1", self._port), timeout=60)
        connection = http.client.HTTPConnection(NAME, self._port)
        connection.sock = self._trusting.wrap_socket(plain, server_hostname=NAME)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def post(self, body: bytes) -> Reply:
        return self.ask("POST", "/invocations", body, {"Content-Type": "image/jpeg"})


class Traffic:
    """Clients that ask without a pause until told to end; ``seen`` is what each was answered, in order."""

    def __init__(self, client: Client, count: int) -> None:
        self.seen: list[tuple[int, str]] = []
        self._client, self._ended = client, threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(count)]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(60)

    def _ask(self) -> None:
        content = picture()
        while not self._ended.is_set():
            try:
                reply = self._client.post(content)
                self.seen.append((reply.status, ",".join(sorted(reply.json)) if reply.status == 200 else ""))
            except (OSError, http.client.HTTPException) as lost:
                self.seen.append((0, repr(lost)))


def test_by_tls_it_answers_the_same_and_refuses_in_our_words(nginx: str, with_model: Places, tmp_path: Path) -> None:
    needed("curl"), needed("openssl")
    made = with_model()
    model = made.folder / "model"
    with contextlib.ExitStack() as stack:
        one, two = (
            stack.enter_context(serving(tmp_path / name, model, MODEL_SERVER_WORKERS="1")) for name in ("1", "2")
        )
        ports = Ports(one.port, two.port)
        made = made.saying(**ports.words)
        stack.enter_context(proxied(nginx, made, ports))
        client = Client(made.folder / "trainbox.crt", ports.proxy)
        direct = one.post((made.folder / "street.jpg").read_bytes()).json
        assert json.loads(made.run("ask-tls")) == direct
        assert client.ask("GET", "/metrics").status == 404
        assert client.ask("GET", "/readyz").status == 200
        assert b"<html" in client.ask("GET", "/").body, "the page"
        ours = client.post(bytes(32 * MEGABYTE + 1))
        assert (ours.status, "larger than" in ours.json["error"]) == (413, True)
        theirs = client.post(bytes(34 * MEGABYTE))
        assert (theirs.status, b"<html" in theirs.body) == (413, True)
        two.stop()
        assert {client.post(picture()).status for _ in range(20)} == {200}, "the other answers"
        one.stop()
        assert client.post(picture()).status == 502


@contextlib.contextmanager
def project(made: Place) -> Iterator[None]:
    """See to it that the containers and networks of the compose file are gone afterwards."""
    command = ["docker", "compose", "down", "--timeout", "5", "--remove-orphans"]
    try:
        yield
    finally:
        subprocess.run(command, cwd=made.folder, env=made.variables, check=False, capture_output=True, timeout=300)


def composed(with_model: Places, image: str, compose: Mapping[str, str], ports: Ports) -> Place:
    named = {"trainbox:serve": image, "name: trainbox": f"name: trainbox-test-{secrets.token_hex(4)}"}
    made = with_model({**ports.words, **named}, **compose)
    made.write("compose.yaml")
    return made


def inspected(made: Place) -> list[dict]:
    """Return what Docker says of the containers of the compose file."""
    listing = ["docker", "compose", "ps", "--quiet"]
    options = {"cwd": made.folder, "env": made.variables, "text": True, "timeout": 60}
    found = subprocess.check_output(listing, **options).split()
    return json.loads(subprocess.check_output(["docker", "inspect", *found], **options))


def test_compose_brings_up_two_that_may_do_nothing(
    serve_image: str, compose: Mapping[str, str], with_model: Places
) -> None:
    ports = Ports()
    made = composed(with_model, serve_image, compose, ports)
    with project(made):
        made.run("up")
        both = inspected(made)
        assert len(both) == 2
        for one in both:
            host = one["HostConfig"]
            assert one["State"]["Health"]["Status"] == "healthy"
            assert (one["Config"]["User"], host["ReadonlyRootfs"], host["CapDrop"]) == ("1000", True, ["ALL"])
            assert host["RestartPolicy"]["Name"] == "unless-stopped"
        assert made.run("health").startswith('{"alive":true}{"ready":true}')
        wait_ready(ports.two)
        stop = ["docker", "compose", "stop"]
        subprocess.run(stop, cwd=made.folder, env=made.variables, check=True, capture_output=True, timeout=120)
        listing = ["docker", "compose", "ps", "--all", "--format", "{{.ExitCode}}"]
        ended = subprocess.check_output(listing, cwd=made.folder, env=made.variables, text=True, timeout=60)
        assert ended.split() == ["0", "0"]


def test_another_model_is_put_in_without_losing_a_request(
    nginx: str, serve_image: str, compose: Mapping[str, str], with_model: Places, packed: Callable[[str], Path]
) -> None:
    ports = Ports()
    made = composed(with_model, serve_image, compose, ports)
    shutil.copy(packed("detect"), made.folder / "model-2.tar.gz")
    with project(made):
        made.run("up")
        with proxied(nginx, made, ports):
            client = Client(made.folder / "trainbox.crt", ports.proxy)
            with Traffic(client, 4) as traffic:
                time.sleep(1)
                made.run("update")
                time.sleep(1)
            after = {",".join(client.post(picture()).json) for _ in range(10)}
    statuses = {status for status, _ in traffic.seen}
    assert statuses == {200}, [seen for seen in traffic.seen if seen[0] != 200][:5]
    assert {said for _, said in traffic.seen} == {"angle,throttle", "prediction"}
    assert after == {"prediction"}
    print(f"\n{len(traffic.seen)} requests while the model was replaced, none lost")
