"""Building images: the command, what the Dockerfile keeps to, and the images themselves."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from docker_images import ROOT, base_image, built, call
from opt_ml import TrainingFolder
from trainbox.errors import UsageError
from trainbox.platforms import image
from trainbox.platforms.containers import DockerFailed

DOCKERFILE = (ROOT / "Dockerfile").read_text()
HARDENED = ["--user", "1000", "--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp", "--network", "none"]


def command(buildx: bool, environment: dict[str, str] | None = None, network: str | None = None) -> list[str]:
    return image.build_command(Path("src"), "train", "t:train", "debian:1", network, buildx, environment or {})


@pytest.mark.parametrize("buildx", [False, True])
def test_images_are_made_for_the_machines_of_sagemaker(buildx: bool) -> None:
    words = command(buildx)
    assert words[words.index("--platform") + 1] == "linux/amd64"
    assert words[words.index("--target") + 1] == "train"
    assert "BASE_IMAGE=debian:1" in words
    assert words[-1] == "src"


def test_a_builder_that_attests_is_told_not_to() -> None:
    with_buildx = " ".join(command(buildx=True))
    assert "--provenance=false --sbom=false --output type=docker,oci-mediatypes=false" in with_buildx
    assert not {"--provenance=false", "--output"} & set(command(buildx=False)), "older builders know of no such thing"


def test_pip_is_told_by_name_so_that_no_address_is_among_the_arguments() -> None:
    words = command(False, {"PIP_INDEX_URL": "https://name:secret@example.test", "PIP_CERT": "/etc/x", "HOME": "/root"})
    assert "PIP_INDEX_URL" in words
    assert not [word for word in words if "secret" in word or word.startswith(("PIP_CERT", "HOME"))]


def test_what_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no checkout of Trainbox.*--source"):
        image.build(tmp_path, "train")
    assert image.checkout() == ROOT


FETCHING = """#!/bin/sh
# An engine without any image: what is pulled or built is there afterwards, and the base is not by building alone.
echo "$*" >> "$0.log"
case "$1 $2" in
  "info "*) printf '[]\\n{}\\n';;
  "buildx "*) exit 1;;
  "image inspect") [ -e "$0.$3" ] && echo '[{"Size": 1000}]';;
  "pull "*) [ "$4" != nobody/nothing ] && touch "$0.$4";;
  "build "*) touch "$0.trainbox:serve";;
esac
"""


def test_a_base_that_is_not_here_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = tmp_path / "docker"
    docker.write_text(FETCHING)
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert image.build(ROOT, "serve", base_image="debian:1") == image.Built("trainbox:serve", 1000, 1000)
    image.build(ROOT, "serve", base_image="debian:1")
    pulls = [line for line in (tmp_path / "docker.log").read_text().splitlines() if line.startswith("pull")]
    assert pulls == ["pull --platform linux/amd64 debian:1"], "once, and for the machines of SageMaker"
    with pytest.raises(DockerFailed, match="nobody/nothing cannot be had"):
        image.build(ROOT, "serve", base_image="nobody/nothing")


def test_a_revision_is_named_only_where_nothing_differs_from_it(tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.test"]
    assert image.revision(tmp_path) is None
    (tmp_path / "a").write_text("1")
    for arguments in (["init", "--quiet"], ["add", "a"], ["commit", "--quiet", "--message", "A"]):
        subprocess.run([*git, *arguments], check=True)
    assert re.fullmatch("[0-9a-f]{40}", image.revision(tmp_path) or "")
    (tmp_path / "a").write_text("2")
    assert image.revision(tmp_path) is None


def test_the_dockerfile_has_the_targets_in_an_order_for_every_builder() -> None:
    stages = re.findall(r"^FROM \S+ AS (\S+)", DOCKERFILE, flags=re.MULTILINE)
    assert [stage for stage in stages if stage in image.TARGETS] == list(image.TARGETS)
    assert "# syntax" not in DOCKERFILE and "--mount" not in DOCKERFILE and "<<" not in DOCKERFILE


def test_no_address_of_an_index_is_in_what_the_image_is_made_of() -> None:
    for path in [ROOT / "Dockerfile", *(ROOT / "image").iterdir(), *(ROOT / "requirements").iterdir()]:
        text = path.read_text()
        assert not re.findall(r"https?://|--(?:extra-)?index-url|--find-links|--trusted-host", text), path.name


@pytest.mark.parametrize("target", ["serve", "train", "train-gpu"])
def test_every_line_of_a_lock_is_pinned_and_hashed(target: str) -> None:
    lock = (ROOT / f"requirements/{target}.txt").read_text()
    requirements = re.findall(r"^[a-z].*(?:\n    --hash=.*)*", lock, flags=re.MULTILINE)
    assert len(requirements) > 20
    assert all(re.match(r"[\w.\-]+==[\w.+]+", one) and "--hash=sha256:" in one for one in requirements)


def pins(target: str) -> set[str]:
    return set(
        re.findall(r"^[\w.\-]+==.*?(?= \\)", (ROOT / f"requirements/{target}.txt").read_text(), flags=re.MULTILINE)
    )


def test_what_serves_is_what_trained_less_what_trains() -> None:
    assert pins("serve") < pins("train") < pins("train-gpu")
    assert not [pin for pin in pins("serve") if pin.startswith(("tensorflow", "keras", "h5py", "matplotlib"))]
    assert [pin for pin in pins("train-gpu") if pin.startswith("jax-cuda12-plugin")]


@pytest.mark.slow
def test_the_images_are_small_and_hold_what_they_say(serve_image: str, train_image: str) -> None:
    serve, train = built("serve"), built("train")
    print(f"\nserve {serve.over_base / 1e6:.0f} MB and train {train.over_base / 1e6:.0f} MB over {base_image()[0]}")
    assert serve.over_base <= 250e6
    assert train.over_base <= 1300e6
    held = {}
    for tag in (serve_image, train_image):
        bill = json.loads(image.bill_of_materials(tag))
        held[tag] = {component["purl"].split("@")[0] for component in bill["components"]}
        assert {"pkg:pypi/trainbox", "pkg:pypi/ai-edge-litert", "pkg:deb/debian/libc6"} <= held[tag]
    assert "pkg:pypi/tensorflow-cpu" in held[train_image] - held[serve_image]


@pytest.mark.slow
@pytest.mark.parametrize("target", ["serve", "train"])
def test_an_image_is_labelled_and_tells_nothing_of_how_it_was_built(
    target: str, request: pytest.FixtureRequest
) -> None:
    tag = request.getfixturevalue(f"{target}_image")
    about = json.loads(call("image", "inspect", tag))[0]
    labels = about["Config"]["Labels"]
    assert (about["Os"], about["Architecture"]) == ("linux", "amd64")
    assert about["Config"]["Entrypoint"] == ["trainbox-container"]
    assert labels["com.amazonaws.sagemaker.capabilities.accept-bind-to-port"] == "true"
    assert labels["com.amazonaws.sagemaker.capabilities.multi-models"] == "true"
    assert re.fullmatch("[0-9a-f]{40}", labels["org.opencontainers.image.revision"])
    assert labels["org.opencontainers.image.version"] and labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert "PIP_INDEX" not in call("history", "--no-trunc", tag)


@pytest.mark.slow
def test_it_trains_as_nobody_on_a_system_that_is_read_only(train_image: str, tmp_path: Path) -> None:
    from trainbox.tasks import get

    for task in ("detect", "drive"):
        get(task).write_demo(tmp_path / task / "data", 0, 120)
        folder = TrainingFolder(tmp_path / task / "ml").prepare(
            {}, {"epochs": "1", "steps_per_epoch": "4", "batch_size": "8"}
        )
        (folder.base / "input/config/inputdataconfig.json").write_text('{"train": {}}')
        (folder.base / "output").mkdir()
        folder.model.mkdir()
        for path in (folder.base, folder.model, folder.base / "output"):
            path.chmod(0o777)
        mounts = ["-v", f"{folder.base}:/opt/ml", "-v", f"{tmp_path / task / 'data'}:/opt/ml/input/data/train:ro"]
        call("run", "--rm", *HARDENED, *mounts, train_image, "train")
        manifest = json.loads((folder.model / "manifest.json").read_text())
        assert manifest["task"] == task and manifest["models"]
        assert (folder.model / "manifest.json").stat().st_uid == 1000
