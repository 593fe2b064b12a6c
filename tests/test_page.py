"""The page in a real Chromium, before the real server: what its users do, and that nothing leaves the host."""

import base64
import io
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data
from skimage.color import rgb2lab

from tintype import Colorizer
from tintype.inference.model_card import ModelCard
from tintype.inference.model_names import FoundModel

PAGE = Path(__file__).resolve().parents[1] / "src/tintype/serving/page"
EXAMPLES = PAGE.parent / "examples"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP photos.example.org 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
BLUE = "#34568b"
PHONE = {"width": 390, "height": 844}
COLORIZE = "**/api/colorize"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on a free port, whose generator has learned nothing and sees the world in sepia."""
    pytest.importorskip("fastapi")
    import torch
    import uvicorn
    from torch import nn

    from tintype.config import Generator
    from tintype.models import build_generator, save_generator
    from tintype.serving.app import create_app

    folder = tmp_path_factory.mktemp("sepia") / "row"
    config = Generator(filters=4, depth=4)
    torch.manual_seed(1)
    generator = build_generator(config, 0, 32)
    last = [layer for layer in generator.modules() if isinstance(layer, nn.ConvTranspose2d | nn.Conv2d)][-1]
    with torch.no_grad():
        last.bias.copy_(torch.tensor([0.05, 0.2]))
    save_generator(folder, generator, config=config, classes=[], image_size=32)

    located = FoundModel(folder, "sepia 1 (row)", {"ciede2000": 7.465, "psnr": 25.4})
    colorizer = Colorizer.load(folder)
    colorizer.backend.card = ModelCard(
        name="sepia",
        version="1",
        description="Colors all in sepia.",
        data="none",
        license="MIT",
        limitations="Knows no blue.",
        metrics={},
        weights_sha256="0" * 64,
    )
    app = create_app(colorizer, located)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    server.should_exit = True
    thread.join(20)


@pytest.fixture(scope="module")
def browser():
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    required = os.environ.get("TINTYPE_BROWSER_REQUIRED") == "1"
    if not found and not required:
        pytest.skip("no chromium or google-chrome on the PATH, and no CHROMIUM")
    assert found, "TINTYPE_BROWSER_REQUIRED=1, and there is no browser"
    if not required:
        pytest.importorskip("playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Playwright gives it a profile of its own.
        browser = playwright.chromium.launch(executable_path=found, headless=True, args=FLAGS)
        yield browser
        browser.close()


class Visit:
    """A page, and what it asked for and complained of."""

    def __init__(self, browser, url: str, **settings) -> None:
        self.url = url
        self.settings = settings
        self.context = browser.new_context(reduced_motion="reduce", **settings)
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.context.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda line: line.type == "error" and self.complaints.append(line.text))
        self.page.goto(url)

    def open(self, *files, wait: bool = True) -> None:
        """Pick files; wait until the first of them is in color."""
        self.page.set_input_files("#files", list(files))
        if wait:
            self.done()

    def done(self) -> None:
        """Wait until the photo on the stage is as it is wanted."""
        self.page.wait_for_selector(".frame.done")

    def hold(self) -> list:
        """The photos' requests from now on: they wait until they are continued."""
        held: list = []
        self.page.route(COLORIZE, lambda route: held.append(route))
        return held

    def until(self, true: Callable[[], object]) -> None:
        for _ in range(500):
            if true():
                return
            self.page.wait_for_timeout(20)
        raise AssertionError("never came")

    def answer(self) -> np.ndarray:
        """The photo in color, in full, Lab."""
        content = self.page.evaluate(
            """() => {
                const shown = document.querySelector("img.after");
                const canvas = document.createElement("canvas");
                [canvas.width, canvas.height] = [shown.naturalWidth, shown.naturalHeight];
                canvas.getContext("2d").drawImage(shown, 0, 0);
                return canvas.toDataURL("image/png").split(",")[1];
            }"""
        )
        return rgb2lab(np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB")))

    def seen(self) -> np.ndarray:
        """What the frame looks like on the screen, Lab."""
        return rgb2lab(np.asarray(Image.open(io.BytesIO(self.page.locator(".frame").screenshot())).convert("RGB")))

    def click(self, selector: str, x: float, y: float) -> None:
        """At a spot, in shares of what is there."""
        box = self.page.locator(selector).bounding_box()
        self.page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])


@pytest.fixture
def visit(browser, url: str, request: pytest.FixtureRequest) -> Iterator[Visit]:
    visit = Visit(browser, url, **getattr(request, "param", {"viewport": {"width": 1100, "height": 800}}))
    yield visit
    visit.context.close()
    assert [one for one in visit.asked if not one.startswith((visit.url, f"blob:{visit.url}", "data:"))] == []
    assert visit.complaints == []


@pytest.fixture
def grandmother(tmp_path: Path) -> Path:
    """A gray PNG: lossless, so that colors can be compared."""
    path = tmp_path / "grand.mother.png"
    Image.fromarray(data.astronaut()).convert("L").resize((480, 360)).save(path)
    return path


def chroma(lab: np.ndarray) -> np.ndarray:
    return np.hypot(lab[..., 1], lab[..., 2])


def test_a_photo_is_colored_and_downloaded_at_its_own_size_under_its_own_name(visit, grandmother, tmp_path):
    visit.open(grandmother)
    with visit.page.expect_download() as started:
        visit.page.click("text=Download")
    assert started.value.suggested_filename == "grand.mother-color.png"
    started.value.save_as(tmp_path / "out.png")
    before, after = Image.open(grandmother), Image.open(tmp_path / "out.png")
    assert after.size == before.size
    lab, gray = rgb2lab(np.asarray(after.convert("RGB"))), rgb2lab(np.asarray(before.convert("RGB")))
    np.testing.assert_allclose(lab[..., 0], gray[..., 0], atol=1)
    assert np.median(chroma(lab)) > 10


def test_the_slider_shows_gray_on_its_left_and_color_on_its_right_and_moves_by_pointer_and_keys(visit, grandmother):
    visit.open(grandmother)
    page, slider = visit.page, visit.page.get_by_role("slider", name="Before and after")

    def color_at(*shares: float) -> list[bool]:
        picture = chroma(visit.seen())
        return [bool(np.median(picture[40:-60, int(x * picture.shape[1]) - 4 :][:, :8]) > 5) for x in shares]

    assert slider.get_attribute("aria-valuenow") == "50"
    assert color_at(0.15, 0.35, 0.65, 0.85) == [False, False, True, True]

    box = page.locator(".frame").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 60, steps=4)
    page.mouse.up()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 60)  # let go: no longer follows
    assert slider.get_attribute("aria-valuenow") == "25"
    assert color_at(0.15, 0.35, 0.65, 0.85) == [False, True, True, True]

    for key, value in (("ArrowRight", "27"), ("Shift+ArrowRight", "37"), ("PageDown", "27"), ("End", "100")):
        page.keyboard.press(key)  # the pointer gave it the focus
        assert slider.get_attribute("aria-valuenow") == value
    assert slider.get_attribute("aria-valuetext") == "100 % before, 0 % after"
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    assert slider.get_attribute("aria-valuenow") == "0"
    assert color_at(0.15, 0.35, 0.65, 0.85) == [True] * 4


def test_a_hint_colors_its_spot_moves_changes_and_goes_again(visit, grandmother):
    visit.open(grandmother)
    page = visit.page
    plain = visit.answer()
    page.click("text=Color hints")
    page.click(f'.swatch[data-color="{BLUE}"]')
    visit.click(".hints", 0.3, 0.75)  # the suit
    visit.done()

    hinted = visit.answer()
    change = np.linalg.norm(hinted - plain, axis=-1)
    wanted = rgb2lab(np.array([0x34, 0x56, 0x8B]) / 255)
    spot = hinted[268:272, 142:146].mean((0, 1))
    hue = np.degrees(np.arctan2(spot[2], spot[1]) - np.arctan2(wanted[2], wanted[1]))
    assert abs((hue + 180) % 360 - 180) < 15
    assert change[255:285, 130:158].mean() > 3 * change[:40, :100].mean()
    np.testing.assert_allclose(hinted[..., 0], plain[..., 0], atol=1.5)

    marker = page.locator(".marker")
    page.click('.swatch[data-color="#6f9a45"]')  # the marker is still chosen
    visit.done()
    assert visit.answer()[270, 144, 1] < -5
    assert "#6f9a45" in marker.get_attribute("aria-label")

    box = marker.bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 20 - 60, box["y"] + 20 - 100, steps=3)
    page.mouse.up()
    visit.done()
    moved = marker.bounding_box()
    assert (round(moved["x"] - box["x"]), round(moved["y"] - box["y"])) == (-60, -100)

    for _ in range(3):  # moved, colored, set
        page.click("text=Undo")
    visit.done()
    assert marker.count() == 0
    np.testing.assert_array_equal(visit.answer(), plain)


@pytest.mark.slow
def test_hints_without_a_pointer(visit, grandmother):
    visit.open(grandmother)
    page = visit.page
    plain = visit.answer()
    page.get_by_role("button", name="Color hints").press("Enter")
    page.get_by_role("button", name="denim").press("Space")
    page.locator(".hints").focus()
    for key in ("Shift+ArrowLeft", "Shift+ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    visit.done()
    marker = page.locator(".marker")
    assert marker.evaluate("(node) => [node.style.getPropertyValue('--x'), node.style.getPropertyValue('--y')]") == [
        "45.00%",
        "56.00%",
    ]
    assert np.abs(visit.answer() - plain)[195:208, 210:222].mean() > 2
    marker.focus()
    page.keyboard.press("ArrowRight")
    assert (
        marker.evaluate("(node) => node === document.activeElement && node.style.getPropertyValue('--x')") == "46.00%"
    )
    page.keyboard.press("Delete")
    visit.done()
    assert marker.count() == 0
    np.testing.assert_array_equal(visit.answer(), plain)


@pytest.mark.slow
def test_a_marker_stays_at_the_pointer_when_an_answer_comes(visit, grandmother):
    visit.open(grandmother)
    page, marker = visit.page, visit.page.locator(".marker")
    page.click("text=Color hints")
    held = visit.hold()
    visit.click(".hints", 0.3, 0.75)
    visit.until(lambda: held)
    box = marker.bounding_box()
    x, y = box["x"] + 20, box["y"] + 20
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 30, y - 50, steps=2)
    held[0].continue_()
    page.unroute(COLORIZE)
    visit.done()
    assert round(marker.bounding_box()["x"] - box["x"]) == -30
    page.mouse.move(x - 60, y - 100, steps=2)
    page.mouse.up()
    visit.done()
    moved = marker.bounding_box()
    assert (round(moved["x"] - box["x"]), round(moved["y"] - box["y"])) == (-60, -100)


@pytest.mark.slow
def test_a_photo_is_not_done_from_the_moment_another_is_wanted_and_the_line_stays(visit, grandmother):
    visit.open(grandmother)
    page = visit.page
    page.get_by_role("slider", name="Before and after").press("End")
    download = page.get_by_role("button", name="Download", exact=True)
    download.focus()
    done = """(slider) => {
        slider.value = 0.5;
        slider.dispatchEvent(new Event("change"));
        return document.querySelector(".frame").classList.contains("done");
    }"""
    held = visit.hold()
    assert page.locator("#saturation").evaluate(done) is False
    assert download.get_attribute("aria-disabled") == "true"
    visit.until(lambda: held)
    assert "being colored" in page.locator("#status").inner_text()
    held[0].continue_()
    visit.done()
    assert download.get_attribute("aria-disabled") == "false"
    assert download.evaluate("(node) => node === document.activeElement")
    assert page.locator(".frame.mostly-before").count() == 1


@pytest.mark.slow
def test_a_removed_photo_is_not_sent_again(visit, grandmother):
    visit.open(grandmother)
    page = visit.page
    page.click("text=Color hints")
    visit.click(".hints", 0.3, 0.75)
    visit.done()
    sent = sum("/api/colorize" in one for one in visit.asked)
    page.get_by_role("button", name="Remove this photo").click()
    page.keyboard.press("Control+z")
    page.wait_for_timeout(500)
    assert sum("/api/colorize" in one for one in visit.asked) == sent


@pytest.mark.slow
def test_all_that_are_done_can_be_downloaded_once_what_works_is_removed(visit, grandmother, tmp_path):
    page, download = visit.page, visit.page.locator("#download-all")
    held = visit.hold()
    copies = [shutil.copy(grandmother, tmp_path / f"{index}.png") for index in range(5)]
    visit.open(*copies, wait=False)
    visit.until(lambda: len(held) == 3)
    thumbs = page.locator(".thumb")
    thumbs.nth(4).click()
    held[0].continue_()
    visit.until(lambda: len(held) == 4)
    assert thumbs.nth(4).get_attribute("aria-label") == "4.png, being colored"  # before 3.png: it is looked at
    for _ in range(2):
        page.get_by_role("button", name="Remove this photo").click()
    assert download.is_disabled()
    held[1].continue_()
    page.locator(".thumb.done").nth(1).wait_for()
    page.get_by_role("button", name="Remove this photo").click()
    assert thumbs.count() == 2
    assert download.is_enabled()


@pytest.mark.slow
def test_a_failed_wish_leaves_the_earlier_photo_and_one_hint_too_many_is_refused(visit, grandmother, tmp_path):
    page = visit.page

    def less(route) -> None:
        model = route.fetch().json()
        route.fulfill(json=model | {"limits": model["limits"] | {"hints": 1, "pixels": 480 * 360}})

    page.route("**/api/model", less)
    with page.expect_response("**/api/model"):
        page.reload()
    page.wait_for_selector("#model-name")
    visit.open(grandmother)
    page.click("text=Color hints")
    page.route(COLORIZE, lambda route: route.fulfill(status=500))
    visit.click(".hints", 0.3, 0.75)
    page.wait_for_selector(".frame.failed")
    assert "is the earlier result" in page.get_by_role("alert").inner_text()
    with page.expect_download() as started:
        page.get_by_role("button", name="Download", exact=True).click()
    assert Image.open(started.value.path()).size == (480, 360)
    page.unroute(COLORIZE)
    page.click("text=Try again")
    visit.done()
    visit.click(".hints", 0.6, 0.2)
    assert page.locator(".marker").count() == 1
    assert page.locator(".tip").inner_text() == "No more hints: this server takes 1 a photo"

    sent = len(visit.asked)
    Image.open(grandmother).resize((960, 720)).save(tmp_path / "large.png")
    visit.open(tmp_path / "large.png", wait=False)
    page.wait_for_selector('.note:has-text("0.7 megapixels")')
    assert not [one for one in visit.asked[sent:] if "/api/" in one]
    visit.complaints = [line for line in visit.complaints if "Failed to load resource" not in line]


@pytest.mark.slow
def test_the_strength_of_color(visit, grandmother):
    visit.open(grandmother)
    plain = np.median(chroma(visit.answer()))
    slider = visit.page.get_by_role("slider", name="Strength of color")
    slider.press("Home")
    visit.done()
    assert chroma(visit.answer()).max() < 1
    for _ in range(10):
        slider.press("ArrowRight")
    visit.done()
    assert visit.page.locator(".amount output").inner_text() == "50 %"
    assert np.median(chroma(visit.answer())) == pytest.approx(plain / 2, rel=0.1)


def test_several_photos_are_colored_side_by_side_and_one_that_is_none_says_so(visit, grandmother, tmp_path):
    page = visit.page
    cat, text = tmp_path / "cat.jpg", tmp_path / "diary.jpg"
    Image.fromarray(data.chelsea()).convert("L").save(cat)
    text.write_text("Dear diary")
    visit.open(grandmother, text, cat, wait=False)
    thumbs = page.locator(".thumb")
    page.locator(".thumb.failed").wait_for()
    page.locator(".thumb.done").nth(1).wait_for()
    assert [thumb.get_attribute("aria-label") for thumb in thumbs.all()] == [
        "grand.mother.png, in color",
        "diary.jpg, failed",
        "cat.jpg, in color",
    ]
    visit.complaints = [line for line in visit.complaints if "status of 4" not in line]  # the browser's own lines

    thumbs.nth(1).click()
    message = page.get_by_role("alert").inner_text()
    assert "JPEG, PNG" in message
    assert str(tmp_path) not in message
    assert not page.locator("text=Try again").is_visible()  # it would fail again
    assert not page.get_by_role("button", name="Download", exact=True).is_visible()

    thumbs.nth(2).click()
    visit.done()
    assert visit.answer().shape[:2] == (300, 451)
    with page.expect_download() as first, page.expect_download(lambda one: one.suggested_filename.startswith("cat")):
        page.click("text=Download all")
    assert first.value.suggested_filename == "grand.mother-color.png"

    for left in (2, 1):
        page.get_by_role("button", name="Remove this photo").click()
        assert thumbs.count() == left
    page.get_by_role("button", name="Remove this photo").click()
    assert page.get_by_role("button", name="Choose photos").is_visible()


@pytest.mark.slow
def test_what_failed_on_the_way_is_tried_again(visit, grandmother):
    page, tries = visit.page, []

    def answer(route) -> None:
        tries.append(route.request.url)
        if len(tries) == 1:
            return route.abort()
        if len(tries) == 2:
            body = json.dumps({"error": {"code": "busy", "message": "too many photos at once"}})
            return route.fulfill(status=429, headers={"Retry-After": "1"}, body=body)
        if len(tries) == 3:
            return route.fulfill(status=503)  # a proxy's
        route.continue_()

    page.route(COLORIZE, answer)
    visit.open(grandmother, wait=False)
    page.wait_for_selector(".frame.failed")
    assert "The server cannot be reached" in page.get_by_role("alert").inner_text()
    page.click("text=Try again")
    page.wait_for_selector("text=The server is busy")
    place = page.locator(".frame").bounding_box()
    visit.done()
    assert page.locator(".frame").bounding_box() == place
    assert len(tries) == 4
    assert np.median(chroma(visit.answer())) > 10
    visit.complaints = [line for line in visit.complaints if "Failed to load resource" not in line]


def test_a_photo_that_no_browser_shows_is_shown_all_the_same(visit, tmp_path):
    gray = np.asarray(Image.fromarray(data.camera()).resize((120, 90)))
    Image.fromarray(gray).save(tmp_path / "scan.tif")
    visit.open(tmp_path / "scan.tif")
    seen = chroma(visit.seen())
    middle = seen.shape[1] // 2
    assert np.median(seen[:, : middle - 30]) < 3
    assert np.median(seen[:, middle + 30 :]) > 5
    with visit.page.expect_download() as started:
        visit.page.click("text=Download")
    assert started.value.suggested_filename == "scan-color.tif"
    assert Image.open(started.value.path()).format == "TIFF"


@pytest.mark.slow
def test_photos_may_be_dropped(visit):
    content = io.BytesIO()
    Image.fromarray(data.coffee()).convert("L").save(content, "JPEG")
    visit.page.evaluate(
        """(content) => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const carried = new DataTransfer();
            carried.items.add(new File([bytes], "cup.jpg", { type: "image/jpeg" }));
            const event = (name) => new DragEvent(name, { dataTransfer: carried, bubbles: true, cancelable: true });
            for (const name of ["dragenter", "dragover", "drop"]) document.body.dispatchEvent(event(name));
        }""",
        base64.b64encode(content.getvalue()).decode(),
    )
    visit.done()
    assert visit.answer().shape[:2] == (400, 600)


def test_what_cannot_be_fetched_or_read_is_said_and_the_rest_comes_in(visit):
    page, notice = visit.page, visit.page.locator("#notice")
    page.locator(".examples img").first.wait_for()
    page.route("**/examples/*", lambda route: route.abort())
    page.click("text=Cat")
    notice.wait_for()
    assert notice.inner_text() == "Cat: The server cannot be reached. Is it still running?"
    page.evaluate(
        """() => {
            const file = new File(["?"], "whole.jpg", { type: "image/jpeg" });
            const whole = { isFile: true, name: "whole.jpg", file: (done) => done(file) };
            const lost = { isFile: true, name: "lost.jpg", file: (_, fail) => fail(new DOMException("gone")) };
            const lists = [[whole, lost], []];
            const reader = { readEntries: (done) => done(lists.shift()) };
            const folder = { isDirectory: true, name: "album", createReader: () => reader };
            const event = new Event("drop", { bubbles: true, cancelable: true });
            event.dataTransfer = { items: [{ webkitGetAsEntry: () => folder }], files: [], types: ["Files"] };
            document.body.dispatchEvent(event);
        }"""
    )
    page.locator(".thumb").wait_for(state="attached")
    assert notice.inner_text() == "Could not be read: lost.jpg."
    page.wait_for_selector(".frame.failed")
    visit.complaints = [line for line in visit.complaints if "Failed to load resource" not in line]


def test_examples_and_what_is_known_of_the_model(visit):
    page = visit.page
    page.click("text=Cat")
    visit.done()
    assert visit.answer().shape[:2] == (300, 451)
    assert page.locator("#model-name").inner_text() == "sepia 1 (row)"
    page.click("#model-name")
    assert page.locator("#model-sheet p").all_inner_texts()[1:3] == ["Colors all in sepia.", "Knows no blue."]
    rows = [row.split() for row in page.locator("#model-sheet tr").all_inner_texts()]
    assert rows == [["CIEDE2000", "7.46", "↓"], ["PSNR,", "dB", "25.4", "↑"]]
    page.keyboard.press("Escape")
    assert not page.locator("#model-sheet").is_visible()


@pytest.mark.slow
@pytest.mark.parametrize(
    "visit",
    [{"viewport": PHONE, "has_touch": True, "color_scheme": scheme} for scheme in ("light", "dark")],
    indirect=True,
    ids=["light", "dark"],
)
def test_a_phone_never_scrolls_sideways_and_hints_are_set_by_touch(visit, grandmother):
    page = visit.page

    def width() -> int:
        return page.evaluate("document.documentElement.scrollWidth")

    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) > 380) == (visit.settings["color_scheme"] == "light")
    assert width() == PHONE["width"]
    visit.open(grandmother)
    assert width() == PHONE["width"]
    page.click("text=Color hints")
    assert width() == PHONE["width"]
    box = page.locator(".hints").bounding_box()
    page.touchscreen.tap(box["x"] + 100, box["y"] + 100)
    visit.done()
    assert page.locator(".marker").count() == 1
    page.click("#model-name")
    sheet = page.locator("#model-sheet").bounding_box()
    assert sheet["x"] >= 0
    assert sheet["x"] + sheet["width"] <= PHONE["width"]


def test_the_files_of_the_page_name_no_other_host_and_each_other_rightly():
    for path in PAGE.iterdir():
        text = path.read_text(encoding="utf-8")
        addresses = set(re.findall(r"(?:https?:)?//([a-z0-9-]+\.[a-z0-9.]+)", text))
        assert addresses <= {"www.w3.org"}, path.name  # the name of SVG, which nobody asks for
        for name in re.findall(r"""(?:from "\./|["(]/static/|url\(")([\w.-]+)""", text):
            assert (PAGE / name).is_file(), f"{path.name}: {name}"
        symbols = re.findall(r"""#icon-(\w+)|icon\("(\w+)"\)""", text)
        known = set(re.findall(r'id="icon-(\w+)"', (PAGE / "index.html").read_text()))
        assert {one or other for one, other in symbols} <= known, path.name


def test_the_examples_are_gray_small_and_credited():
    listed = json.loads((EXAMPLES / "credits.json").read_text(encoding="utf-8"))
    files = {path.name for path in EXAMPLES.glob("*.jpg")}
    assert {one["file"] for one in listed} == files
    for name in files:
        assert Image.open(EXAMPLES / name).mode == "L"
        assert (EXAMPLES / name).stat().st_size < 80_000
        assert f"`{name}`" in (EXAMPLES / "CREDITS.md").read_text(encoding="utf-8")
