"""docs/on-premises.md tells the truth: its commands are run here, and the files that it shows are used."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from docker_images import ROOT
from docs.conftest import BLOCKS, PAGE, needed
from docs.page import Place
from serving.server import serving
from trainbox.serving import server
from trainbox.serving.settings import MEGABYTE, Settings

Places = Callable[..., Place]
TEXT = PAGE.read_text()
USES = {"run", "started", "write", "text"}


def used(source: str) -> set[str]:
    """Return the names of the blocks that a test module uses."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and node.args]
    named = [(node.func, node.args[0]) for node in calls]
    return {
        first.value
        for function, first in named
        if isinstance(function, ast.Attribute) and function.attr in USES and isinstance(first, ast.Constant)
    }


def test_every_block_is_used_by_a_test() -> None:
    others = {Path(__file__).with_name("test_sagemaker.py")}  # which tries a page of its own
    sources = [*{*Path(__file__).parent.glob("test_*.py")} - others, Path(__file__).with_name("conftest.py")]
    names = set().union(*(used(path.read_text()) for path in sources))
    assert sorted(set(BLOCKS) - names) == []
    assert sorted(names - set(BLOCKS)) == []


def test_links_lead_somewhere() -> None:
    anchors = {
        re.sub(r"[^a-z -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^## (.*)", TEXT, re.M)
    }
    for link in re.findall(r"\]\(([^)]+)\)", TEXT):
        path, _, anchor = link.partition("#")
        assert not path or (PAGE.parent / path).exists(), link
        assert path or anchor in anchors, link
    for page in ("README.md", "docs/serving.md", "docs/images.md"):
        assert "on-premises.md" in (ROOT / page).read_text(), page


def seconds(name: str) -> float:
    """Return a time of the proxy's configuration."""
    return float(re.search(rf"{name} (\d+)s;", BLOCKS["trainbox.conf"].text)[1])  # type: ignore[index]


def test_limits_of_the_proxy_agree_with_ours() -> None:
    ours = Settings()
    megabytes = int(re.search(r"client_max_body_size (\d+)m;", BLOCKS["trainbox.conf"].text)[1])  # type: ignore[index]
    assert megabytes == ours.largest_body // MEGABYTE + 1
    assert (seconds("client_header_timeout"), seconds("client_body_timeout")) == (
        ours.header_timeout,
        ours.body_timeout,
    )
    assert ours.timeout < seconds("proxy_read_timeout")
    nginx_keeps_idle_connections = 60
    assert nginx_keeps_idle_connections < server.KEEP_ALIVE


def test_all_wait_for_what_was_accepted() -> None:
    drains = server.SECONDS_UNREADY + Settings().drain_timeout
    composed = yaml.safe_load(BLOCKS["compose.yaml"].text)["services"]["one"]["stop_grace_period"]
    assert float(composed.removesuffix("s")) > drains
    for name in ("trainbox.service", "trainbox-alone.service"):
        waits = float(re.search(r"^TimeoutStopSec=(\d+)$", BLOCKS[name].text, re.M)[1])  # type: ignore[index]
        assert waits > drains
    stops = float(re.search(r"docker stop -t (\d+)", BLOCKS["trainbox.service"].text)[1])  # type: ignore[index]
    assert drains < stops < 40


def test_a_job_s_model_is_fetched_unpacked_asked_and_watched(with_model: Places, tmp_path: Path) -> None:
    needed("curl")
    made = with_model()
    with serving(tmp_path / "ml", made.folder / "model", MODEL_SERVER_WORKERS="1") as one:
        here = f"127.0.0.1:{one.port}"
        made = made.saying(**{"127.0.0.1:8080": here, "127.0.0.1:8081": here})
        assert set(json.loads(made.run("ask"))) == {"angle", "throttle"}
        said = made.run("health")
    assert said.startswith('{"alive":true}{"ready":true}')
    metrics = set(re.findall(r"^# TYPE (trainbox_\w+)", said, re.M))
    alerts = set(re.findall(r"trainbox_\w+", BLOCKS["trainbox-alerts.yml"].text))
    assert alerts and {name.removesuffix("_bucket") for name in alerts} <= metrics


def test_prometheus_takes_what_it_is_given(place: Places) -> None:
    made = place()
    scraped, alerts = made.write("prometheus.yml"), made.write("trainbox-alerts.yml")
    targets = yaml.safe_load(scraped.read_text())["scrape_configs"][0]["static_configs"][0]["targets"]
    composed = yaml.safe_load(BLOCKS["compose.yaml"].text)["services"].values()
    assert targets == [ports.removesuffix(":8080") for one in composed for ports in one["ports"]]
    assert yaml.safe_load(scraped.read_text())["rule_files"] == [alerts.name]
    promtool = needed("promtool")
    done = subprocess.run([promtool, "check", "config", scraped], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 rules found" in done.stdout


def test_what_is_no_model_is_refused_in_a_line(with_model: Places) -> None:
    made = with_model()
    (made.folder / "model/model.tflite").write_bytes(b"nothing")
    done = subprocess.run(
        [sys.executable, "-m", "trainbox", "serve", made.folder / "model", "--port", "0"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "model.tflite' is not the file of its manifest" in done.stderr
