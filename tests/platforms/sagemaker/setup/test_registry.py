"""The image in ECR: the repository, and pushes to a real registry by Docker itself."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from amazon.front import Answer, Asked, in_front_of
from amazon.registry import OCI, PASSWORD, PROGRAM, Registry, ecr_of, running_registry
from docker_images import NoEngine, base_image, call, made_from
from trainbox import cli
from trainbox.platforms import containers, pushing
from trainbox.platforms.sagemaker.setup import registry as ecr
from trainbox.platforms.settings import Settings

BASE64 = b64encode(PASSWORD.encode()).decode().rstrip("=")
SECRETS = [PASSWORD, b64encode(f"AWS:{PASSWORD}".encode()).decode(), BASE64]


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("trainbox:train", "trainbox"),
        ("trainbox", "trainbox"),
        ("me/detectors:1", "me/detectors"),
        ("127.0.0.1:5000/me/detectors:1", "me/detectors"),
        ("localhost/detectors", "detectors"),
        ("ghcr.io/me/detectors@sha256:0a", "me/detectors"),
    ],
)
def test_the_repository_has_the_images_name(image: str, repository: str) -> None:
    assert ecr.default_repository(image) == repository


@pytest.mark.parametrize(
    ("image", "labels", "tag"),
    [
        ("trainbox:train", {"version": "0.1.0", "revision": "4e1ed5a" + "0" * 33}, "train-0.1.0-4e1ed5a00000"),
        ("trainbox:serve", {"version": "0.1.0+dirty"}, "serve-0.1.0-dirty-abcdefabcdef"),
        ("mine:latest", {}, "abcdefabcdef"),
        ("mine", None, "abcdefabcdef"),
    ],
)
def test_the_tag_is_of_this_image_alone(image: str, labels: dict[str, str] | None, tag: str) -> None:
    named = labels and {f"org.opencontainers.image.{name}": value for name, value in labels.items()}
    assert ecr.default_tag(image, {"Id": "sha256:" + "abcdef" * 10, "Config": {"Labels": named}}) == tag


@dataclass
class Place:
    """Where an image is pushed to from, and by whom: a folder of the user's, with a configuration of Docker's."""

    registry: Registry
    folder: Path
    image: str

    def everything_written(self) -> str:
        """Return all that stands in files of the user's, of the working folder and of temporary ones."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return "\n".join(path.read_text(errors="replace") for path in files)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    if not shutil.which(PROGRAM):
        pytest.skip(f"no registry: {PROGRAM} is not installed")
    with running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="session")
def small_image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make an image of a file and two labels."""
    try:
        base_image()
    except NoEngine as reason:
        pytest.skip(f"no Docker engine: {reason}")
    return small(tmp_path_factory.mktemp("small"), "one", "push")


def small(context: Path, text: str, name: str) -> str:
    (context / "file").write_text(text)
    labels = "LABEL org.opencontainers.image.version=0.1.0 org.opencontainers.image.revision=0123456789abcdef\n"
    return made_from("scratch", context, f"COPY file /file\n{labels}", name)


@pytest.fixture
def place(
    aws: Any, registry: Registry, small_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    """Hold an account whose ECR is the registry, and a working folder; what is pushed is gone afterwards."""
    for name in ("home/.docker", "work", "temporary"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "home/.docker/config.json").write_text('{"auths": {"elsewhere": {}}}')
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path / "work")
    with in_front_of(aws.environment["AWS_ENDPOINT_URL"], ecr_of(registry)) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", address)
        yield Place(registry, tmp_path, small_image)
    # An image whose tag has moved on is known by its digest alone.
    for kind in ("{{.Repository}}:{{.Tag}}", "{{.Repository}}@{{.Digest}}"):
        for name in call("images", "--digests", "--format", kind).split():
            if name.startswith(f"{registry.host}/") and "<none>" not in name:
                call("rmi", "--no-prune", name)


def pushed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert cli.run(["image", "push", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_push_makes_the_repository_and_prints_the_address(
    place: Place, aws: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["image", "push", place.image, "--repository", "first", "--save"]) == 0
    said = capfd.readouterr()
    address = said.out.strip()
    assert said.out.count("\n") == 1 and address.startswith(f"{place.registry.host}/first@sha256:")
    assert Settings.read().sagemaker.image == address
    digest = address.partition("@")[2]
    status, headers, body = place.registry.ask("GET", f"first/manifests/{digest}", pushing.DOCKER_MANIFEST)
    assert status == 200 and headers["Content-Type"] == pushing.DOCKER_MANIFEST
    found = containers.require_image(place.image)
    assert json.loads(body)["config"]["digest"] == found["Id"]
    tags = json.loads(place.registry.ask("GET", "first/tags/list")[2])["tags"]
    assert tags == ["push-0.1.0-0123456789ab"]
    assert "Made the repository 'first'" in said.err
    # An image that is there by this tag is not pushed again.
    assert cli.run(["image", "push", place.image, "--repository", "first", "--json"]) == 0
    said = capfd.readouterr()
    assert json.loads(said.out)["was_there"] is True and json.loads(said.out)["address"] == address
    assert "Pushing" not in said.err


@pytest.mark.slow
def test_a_tag_that_another_image_has_is_refused(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    (place.folder / "context").mkdir()
    other = small(place.folder / "context", "two", "push-other")
    first = pushed(capsys, place.image, "--repository", "second", "--tag", "same")
    assert cli.run(["image", "push", other, "--repository", "second", "--tag", "same"]) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and not said.out
    assert "The tag 'same' of the repository 'second' is another image's" in said.err
    suggested = said.err.strip().rpartition("--tag ")[2]
    second = pushed(capsys, other, "--repository", "second", "--tag", suggested)
    assert second["digest"] != first["digest"]
    assert (
        place.registry.ask("HEAD", "second/manifests/same", pushing.DOCKER_MANIFEST)[1]["Docker-Content-Digest"]
        == (first["digest"])
    )


@pytest.mark.slow
def test_a_tag_of_a_repository_where_tags_move_moves(
    place: Place, aws: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    aws.client("ecr").create_repository(repositoryName="moving", imageTagMutability="MUTABLE")
    (place.folder / "context").mkdir()
    other = small(place.folder / "context", "three", "push-other")
    first = pushed(capsys, place.image, "--repository", "moving", "--tag", "newest")
    second = pushed(capsys, other, "--repository", "moving", "--tag", "newest")
    assert first["digest"] != second["digest"] and not second["was_there"]


@pytest.mark.slow
def test_images_for_other_machines_are_refused_before_anything_is_made(
    place: Place, aws: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (place.folder / "context").mkdir()
    (place.folder / "context/file").write_text("arm")
    foreign = made_from(
        "scratch", place.folder / "context", "COPY file /file\n", "push-arm", "--platform", "linux/arm64"
    )
    assert cli.run(["image", "push", foreign, "--repository", "third"]) == 2
    assert "is made for linux/arm64, SageMaker runs linux/amd64. Build it with: " in capsys.readouterr().err
    assert cli.run(["image", "push", "there-is:none", "--repository", "third"]) == 2
    assert "There is no image 'there-is:none' on this machine" in capsys.readouterr().err
    assert not [asked for asked in aws.traffic if asked.service == "ecr"]


@pytest.mark.slow
def test_an_image_of_other_media_types_is_refused(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    pushed(capsys, place.image, "--repository", "fourth", "--tag", "docker")
    place.registry.as_oci("fourth", "docker", "oci")
    assert cli.run(["image", "push", place.image, "--repository", "fourth", "--tag", "oci"]) == 2
    said = capsys.readouterr()
    assert f"fourth:oci in ECR has a manifest of type {OCI}, which SageMaker refuses. Build it with: " in said.err
    assert "--provenance=false --sbom=false --output type=docker,oci-mediatypes=false" in said.err
    assert f" --tag {place.image} ." in said.err
    assert said.err.count("\n") == 1 and not said.out


@pytest.mark.slow
def test_what_was_pushed_with_other_media_types_is_taken_out_again(
    place: Place, aws: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The engine here makes Docker's alone, so what it pushed is stored as another engine would have, at once."""
    real, usual = ecr_of(place.registry), os.environ["AWS_ENDPOINT_URL_ECR"]

    def answering(asked: Asked, forward: Callable[[], Answer]) -> Answer:
        tags = json.loads(place.registry.ask("GET", "fifth/tags/list")[2]).get("tags")
        if asked.operation == "BatchGetImage" and tags == ["new"]:
            place.registry.as_oci("fifth", "new", "theirs")
            place.registry.as_oci("fifth", "new", "new")
        return real(asked, forward)

    with in_front_of(aws.environment["AWS_ENDPOINT_URL"], answering) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", address)
        assert cli.run(["image", "push", place.image, "--repository", "fifth", "--tag", "new", "--save"]) == 2
    said = capsys.readouterr()
    assert f"has a manifest of type {OCI}, which SageMaker refuses" in said.err.splitlines()[-1] and not said.out
    assert place.registry.ask("GET", "fifth/manifests/new")[0] == 404
    # What has another tag too is somebody else's.
    assert place.registry.ask("GET", "fifth/manifests/theirs", OCI)[0] == 200
    assert Settings.read().sagemaker.image is None
    # So the tag is free for the image as it should have been.
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", usual)
    assert pushed(capsys, place.image, "--repository", "fifth", "--tag", "new")["was_there"] is False


@pytest.mark.slow
def test_a_wrong_password_is_one_line(place: Place) -> None:
    wrong = pushing.logged_in(place.registry.host, "AWS", "not-the-password")
    with pytest.raises(containers.DockerFailed, match="Docker cannot log in to") as failed, wrong:
        pass
    assert "not-the-password" not in str(failed.value) and "\n" not in str(failed.value)
    assert list((place.folder / "temporary").iterdir()) == []


@pytest.mark.slow
def test_the_token_is_in_no_command_line_no_file_and_no_output(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    with watched_processes() as seen:
        assert cli.run(["image", "push", place.image, "--repository", "secret", "--save"]) == 0
    assert any("login" in line and place.registry.host in line for line in seen), "the login was not seen"
    assert any("push" in line and place.registry.host in line for line in seen), "the push was not seen"
    said = capfd.readouterr()
    for secret in (*SECRETS, os.environ["AWS_SECRET_ACCESS_KEY"]):
        assert not [line for line in seen if secret in line]
        assert secret not in said.out + said.err
        assert secret not in place.everything_written()
    assert (place.folder / "home/.docker/config.json").read_text() == '{"auths": {"elsewhere": {}}}'
    assert list((place.folder / "temporary").iterdir()) == []


class watched_processes:
    """Look at the arguments of all processes, again and again."""

    def __enter__(self) -> set[str]:
        self.seen: set[str] = set()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._look)
        self.thread.start()
        return self.seen

    def _look(self) -> None:
        while not self.over.wait(0.002):
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(process.read_text(errors="replace").replace("\0", " "))
                except OSError:
                    continue

    def __exit__(self, *problem: object) -> None:
        self.over.set()
        self.thread.join()


HOLD = """
import sys, time
from trainbox.platforms import pushing
with pushing.logged_in(sys.argv[1], "AWS", sys.stdin.readline().strip()):
    print("in", flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
def test_a_push_that_is_ended_leaves_no_token(place: Place) -> None:
    temporary = place.folder / "temporary"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, place.registry.host],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdin and process.stdout
            process.stdin.write(f"{PASSWORD}\n")
            process.stdin.flush()
            assert process.stdout.readline() == "in\n"
            assert SECRETS[1] in "".join(path.read_text() for path in temporary.rglob("config.json"))
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        finally:
            process.kill()
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
def test_the_engine_of_the_users_context_is_the_one_that_is_asked(place: Place) -> None:
    """A context's engine that is not there is asked, so the context is known where Docker is logged in."""
    call("context", "create", "away", "--docker", f"host=unix://{place.folder}/no.sock")
    call("context", "use", "away")
    before = (place.folder / "home/.docker/config.json").read_text()
    assert '"away"' in before
    with pushing.logged_in(place.registry.host, "AWS", PASSWORD) as environment:
        answer = containers.call("info", environment=environment)
    assert answer.returncode != 0 and "no.sock" in answer.stderr
    assert (place.folder / "home/.docker/config.json").read_text() == before
    call("context", "use", "default")
