"""The page at / in a real Chromium: a picture goes in, its answer is drawn, and nobody else is asked."""

import base64
import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.conftest import picture
from serving.server import Server, serving, wait_until
from trainbox.tasks import available, get

pytestmark = pytest.mark.slow
playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: see requirements/dev.txt")

FLAGS = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
NAMES = ("chromium", "chromium-browser", "google-chrome")
ANSWERED = "document.getElementById('status').textContent.startsWith('Answered in')"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Playwright's Chromium, or the machine's."""
    with playwright.sync_playwright() as driver:
        found = [None, *filter(None, map(shutil.which, NAMES))]
        flags = [*FLAGS, *(["--no-sandbox"] if os.getuid() == 0 else [])]
        for path in found:
            with contextlib.suppress(playwright.Error):
                started = driver.chromium.launch(executable_path=path, args=flags)
                break
        else:
            pytest.skip("No Chromium: run `python -m playwright install --with-deps chromium-headless-shell`.")
        yield started
        started.close()


@pytest.fixture(scope="module", params=available())
def served(
    request: pytest.FixtureRequest, model: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Server]]:
    with serving(tmp_path_factory.mktemp("page") / "ml", model(request.param), MODEL_SERVER_WORKERS="1") as server:
        yield request.param, server


class Visit:
    """The page, opened, with what it asked for and what went wrong in it."""

    def __init__(self, context: Any, server: Server) -> None:
        self.address = f"http://127.0.0.1:{server.port}"
        self.page = context.new_page()
        self.asked: list[str] = []
        self.wrong: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda entry: self.wrong.append(entry.text) if entry.type == "error" else None)
        self.page.goto(self.address)
        self.wait("document.querySelectorAll('#card dt').length > 3")

    def wait(self, true: str) -> None:
        """Wait until an expression is true; Playwright's own way is evaluated in the page, which lets nobody do so."""
        assert wait_until(lambda: self.page.evaluate(true), 60), true

    def choose(self, content: bytes, name: str = "a.jpg") -> None:
        self.page.set_input_files("#file", {"name": name, "mimeType": "image/jpeg", "buffer": content})

    def wait_answer(self) -> None:
        self.wait(ANSWERED)

    def answer(self) -> list[str]:
        return [text.strip() for text in self.page.locator("#answer li").all_inner_texts()]

    def pixels(self) -> list[int]:
        """Return the canvas' pixels, RGBA, as they are shown."""
        script = """() => { const c = document.getElementById('picture');
            return Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data) }"""
        return self.page.evaluate(script)


@pytest.fixture
def visit(browser: Any, served: tuple[str, Server]) -> Iterator[Visit]:
    context = browser.new_context(permissions=["camera"], viewport={"width": 1200, "height": 800})
    visit = Visit(context, served[1])
    yield visit
    context.close()
    assert visit.wrong == []
    strangers = [url for url in visit.asked if not url.startswith((visit.address, "blob:", "data:"))]
    assert strangers == []


def test_a_picture_is_answered_and_drawn_on(visit: Visit, served: tuple[str, Server]) -> None:
    task, _ = served
    content = picture(320, 240)
    if get(task).service().takes_threshold:
        visit.page.evaluate("""() => { const t = document.getElementById('threshold'); t.value = 0.02;
            t.dispatchEvent(new Event('input')) }""")
    visit.choose(content)
    visit.wait_answer()
    said, drawn = visit.answer(), visit.pixels()
    assert said
    assert len(drawn) == 960 * 720 * 4, "enlarged, since it is small"
    plain = visit.page.evaluate(
        """async (base64) => { const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
        const bitmap = await createImageBitmap(new Blob([bytes])); const c = new OffscreenCanvas(960, 720);
        c.getContext('2d').scale(3, 3); c.getContext('2d').drawImage(bitmap, 0, 0);
        return Array.from(c.getContext('2d').getImageData(0, 0, 960, 720).data) }""",
        base64.b64encode(content).decode(),
    )
    assert sum(one != other for one, other in zip(plain, drawn, strict=True)) > 500, "something is drawn on it"
    keep(visit, task)


def keep(visit: Visit, task: str) -> None:
    """Keep a picture of the page where somebody wants to look at it."""
    folder = os.environ.get("TRAINBOX_TEST_SCREENSHOTS")
    if folder:
        visit.page.screenshot(path=str(Path(folder) / f"page-{task}.png"))


def test_what_is_said_is_what_the_server_says(visit: Visit, served: tuple[str, Server]) -> None:
    task, server = served
    wording = get(task).service().page_wording
    accept = f"application/json;{wording}=1" if wording else "application/json"
    expected = server.post(picture(200, 150, seed=5), Accept=accept).json
    visit.choose(picture(200, 150, seed=5))
    visit.wait_answer()
    said = visit.answer()
    if "detections" in expected:
        found = [f"{one['label']} {one['score']:.2f}" for one in expected["detections"]]
        assert said == (found or ["nothing found"])
    else:
        assert said[0].startswith(f"angle {expected['angle']:.3f}")
        assert said[1] == f"throttle {expected['throttle']:.3f}"


def test_pictures_may_be_dropped_and_pasted(visit: Visit) -> None:
    for kind, target, field in (
        ("drop", "document.getElementById('stage')", "dataTransfer"),
        ("paste", "document", "clipboardData"),
    ):
        visit.page.evaluate(
            f"""(base64) => {{ const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
            document.getElementById('status').textContent = '';
            const data = new DataTransfer(); data.items.add(new File([bytes], 'a.jpg', {{type: 'image/jpeg'}}));
            const event = new Event('{kind}', {{bubbles: true, cancelable: true}});
            Object.defineProperty(event, '{field}', {{value: data}}); {target}.dispatchEvent(event) }}""",
            base64.b64encode(picture()).decode(),
        )
        visit.wait_answer()
        assert visit.answer()


def test_a_file_that_is_no_picture_is_said(visit: Visit) -> None:
    visit.choose(b"not a picture", "notes.jpg")
    visit.wait("document.getElementById('status').classList.contains('bad')")
    assert "cannot show" in visit.page.inner_text("#status")


def test_the_camera_is_answered_frame_by_frame(visit: Visit) -> None:
    visit.page.click("#camera")
    visit.wait_answer()
    count = len([url for url in visit.asked if "/invocations" in url])
    visit.wait(
        f"performance.getEntriesByType('resource').filter((e) => e.name.includes('invocations')).length > {count + 2}"
    )
    assert visit.page.get_attribute("#camera", "aria-pressed") == "true"
    visit.page.click("#camera")
    assert visit.page.get_attribute("#camera", "aria-pressed") == "false"


def test_a_higher_threshold_leaves_less(visit: Visit, served: tuple[str, Server]) -> None:
    if not get(served[0]).service().takes_threshold:
        assert visit.page.is_hidden("#threshold-row")
        return
    counts = []
    for value in ("0", "0.99"):
        visit.page.evaluate(
            f"""() => {{ const t = document.getElementById('threshold'); t.value = {value};
            t.dispatchEvent(new Event('input')) }}"""
        )
        visit.page.evaluate("document.getElementById('status').textContent = ''")
        visit.choose(picture(320, 240))
        visit.wait_answer()
        counts.append([line for line in visit.answer() if line != "nothing found"])
    assert len(counts[0]) > len(counts[1])
    visit.page.click("#as-trained")
    assert visit.page.inner_text("#threshold-value") == "as trained"
