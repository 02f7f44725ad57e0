"""A real registry on this machine, and ECR's API in front of it: what moto knows of no image, the registry does."""

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from amazon.front import Answer, Answering, Asked
from trainbox.platforms.pushing import DOCKER_MANIFEST

PROGRAM = "docker-registry"
USER, PASSWORD = "AWS", "123456789012-auth-token"
"""What moto's token says."""
HASH = "$2y$05$abcdefghijklmnopqrstuu/4ofrUS75HrKu6f.iuRo0I/XlrmpqlC"
"""bcrypt of that password."""
OCI = "application/vnd.oci.image.manifest.v1+json"
SECONDS_TO_START = 20


class Registry:
    """A registry that asks for a password, at ``host`` (HOST:PORT), with its images in ``folder``."""

    def __init__(self, host: str, folder: Path) -> None:
        self.host = host
        self.folder = folder

    def as_oci(self, repository: str, tag: str, under: str) -> None:
        """Store what has ``tag`` under another one as an engine would that makes images of OCI's media types."""
        body = self.ask("GET", f"{repository}/manifests/{tag}", DOCKER_MANIFEST)[2]
        text = body.decode().replace(DOCKER_MANIFEST, OCI)
        text = text.replace("vnd.docker.container.image.v1+json", "vnd.oci.image.config.v1+json")
        text = text.replace("vnd.docker.image.rootfs.diff.tar.gzip", "vnd.oci.image.layer.v1.tar+gzip")
        assert self.ask("PUT", f"{repository}/manifests/{under}", content=text.encode(), kind=OCI)[0] == 201

    def digest(self, repository: str, reference: str) -> str:
        """Return the digest of what has a tag, "" where nothing has."""
        return self.ask("GET", f"{repository}/manifests/{reference}")[1].get("Docker-Content-Digest", "")

    def remove(self, repository: str, tag: str | None, digest: str | None) -> None:
        """Remove an image as ECR does: by its digest with all its tags, by a tag only with the last of them."""
        digest = digest or self.digest(repository, str(tag))
        tags = json.loads(self.ask("GET", f"{repository}/tags/list")[2])["tags"]
        if tag and any(self.digest(repository, one) == digest for one in tags if one != tag):
            # Its API forgets no tag alone.
            shutil.rmtree(self.folder / f"docker/registry/v2/repositories/{repository}/_manifests/tags/{tag}")
        else:
            assert self.ask("DELETE", f"{repository}/manifests/{digest}")[0] == 202

    def ask(
        self, method: str, path: str, accept: str = "*/*", content: bytes | None = None, kind: str = ""
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Ask its HTTP API, logged in; return status, headers and body. ``kind`` is the media type of ``content``."""
        request = urllib.request.Request(f"http://{self.host}/v2/{path}", content, method=method)
        if kind:
            request.add_header("Content-Type", kind)
        request.add_header("Authorization", "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode())
        request.add_header("Accept", accept)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.headers, refusal.read()


@contextlib.contextmanager
def running_registry(folder: Path) -> Iterator[Registry]:
    """Run a registry that keeps its images in ``folder``."""
    program = shutil.which(PROGRAM)
    assert program
    host = f"127.0.0.1:{_free_port()}"
    (folder / "passwords").write_text(f"{USER}:{HASH}\n")
    configuration = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "images")}, "delete": {"enabled": True}},
        "http": {"addr": host},
        "auth": {"htpasswd": {"realm": "test", "path": str(folder / "passwords")}},
    }
    # JSON is YAML.
    (folder / "registry.yml").write_text(json.dumps(configuration))
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(folder / "registry.yml")], stdout=log, stderr=log)
        try:
            registry = Registry(host, folder / "images")
            _wait(registry, process, folder / "registry.log")
            yield registry
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(registry: Registry, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while True:
        assert process.poll() is None and time.monotonic() < end, log.read_text()[-2000:]
        with contextlib.suppress(OSError):
            assert registry.ask("GET", "")[0] == 200, log.read_text()[-2000:]
            return
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def ecr_of(registry: Registry) -> Answering:
    """Answer as ECR: repositories are those of the server behind, images and address those of the registry."""

    def answering(asked: Asked, forward: Callable[[], Answer]) -> Answer:
        answer = forward()
        if answer.status != 200:
            return answer
        body = _rewritten(registry, asked.operation, json.loads(asked.body), json.loads(answer.body))
        return Answer(200, body, {"Content-Type": "application/x-amz-json-1.1"})

    return answering


def _rewritten(registry: Registry, operation: str, asked: dict[str, Any], answer: dict[str, Any]) -> bytes:
    """Put the registry where moto names a host of AWS, and its images where moto has none."""
    for one in [answer.get("repository", {}), *answer.get("repositories", [])]:
        if one:
            one["repositoryUri"] = f"{registry.host}/{one['repositoryName']}"
    for one in answer.get("authorizationData", []):
        one["proxyEndpoint"] = f"http://{registry.host}"
    if operation == "BatchGetImage":
        answer = {"images": _images(registry, asked), "failures": []}
    if operation == "BatchDeleteImage":
        for image in asked["imageIds"]:
            registry.remove(asked["repositoryName"], image.get("imageTag"), image.get("imageDigest"))
        answer = {"imageIds": asked["imageIds"], "failures": []}
    return json.dumps(answer).encode()


def _images(registry: Registry, asked: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for image in asked["imageIds"]:
        reference = image.get("imageTag") or image["imageDigest"]
        path = f"{asked['repositoryName']}/manifests/{reference}"
        status, headers, body = registry.ask("GET", path, ", ".join(asked.get("acceptedMediaTypes", ["*/*"])))
        if status == 200:
            named = {"imageDigest": headers["Docker-Content-Digest"], **image}
            found.append(
                {"imageId": named, "imageManifest": body.decode(), "imageManifestMediaType": headers["Content-Type"]}
            )
    return found
