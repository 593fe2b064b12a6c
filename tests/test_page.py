"""The page in a real Chromium, before the real server: what its users do, and that nothing leaves the host."""

import base64
import io
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data
from skimage.color import rgb2lab

from tintype import Colorizer
from tintype.colorize.locate import Located

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
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
BLUE = "#34568b"
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on a free port, whose generator has learnt nothing and sees the world in sepia."""
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

    located = Located(folder, "sepia 1 (row)", {"ciede2000": 7.465, "psnr": 25.4})
    app = create_app(Colorizer.load(folder), located)
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
        """Pick files; wait until the first of them is in colour."""
        self.page.set_input_files("#files", list(files))
        if wait:
            self.done()

    def done(self) -> None:
        """Wait until the photo on the stage is as it is wanted."""
        self.page.wait_for_selector(".frame.done")
        self.page.wait_for_timeout(350)  # in which the page waits for more
        self.page.wait_for_selector(".frame.done")

    def answer(self) -> np.ndarray:
        """The photo in colour, in full, Lab."""
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
def visit(browser, url: str) -> Iterator[Visit]:
    visit = Visit(browser, url, viewport={"width": 1100, "height": 800})
    yield visit
    visit.context.close()
    assert [one for one in visit.asked if not one.startswith((visit.url, f"blob:{visit.url}", "data:"))] == []
    assert visit.complaints == []


@pytest.fixture
def grandmother(tmp_path: Path) -> Path:
    """A gray PNG: lossless, so that colours can be compared."""
    path = tmp_path / "grand.mother.png"
    Image.fromarray(data.astronaut()).convert("L").resize((480, 360)).save(path)
    return path


def chroma(lab: np.ndarray) -> np.ndarray:
    return np.hypot(lab[..., 1], lab[..., 2])


def test_a_photo_is_coloured_and_downloaded_at_its_own_size_under_its_own_name(visit, grandmother, tmp_path):
    visit.open(grandmother)
    with visit.page.expect_download() as started:
        visit.page.click("text=Download")
    assert started.value.suggested_filename == "grand.mother-colour.png"
    started.value.save_as(tmp_path / "out.png")
    before, after = Image.open(grandmother), Image.open(tmp_path / "out.png")
    assert after.size == before.size
    lab, gray = rgb2lab(np.asarray(after.convert("RGB"))), rgb2lab(np.asarray(before.convert("RGB")))
    np.testing.assert_allclose(lab[..., 0], gray[..., 0], atol=1)
    assert np.median(chroma(lab)) > 10


def test_the_slider_shows_gray_on_its_left_and_colour_on_its_right_and_moves_by_pointer_and_keys(visit, grandmother):
    visit.open(grandmother)
    page, slider = visit.page, visit.page.get_by_role("slider", name="Before and after")

    def colour_at(*shares: float) -> list[bool]:
        picture = chroma(visit.seen())
        return [bool(np.median(picture[40:-60, int(x * picture.shape[1]) - 4 :][:, :8]) > 5) for x in shares]

    assert slider.get_attribute("aria-valuenow") == "50"
    assert colour_at(0.15, 0.35, 0.65, 0.85) == [False, False, True, True]

    box = page.locator(".frame").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 60, steps=4)
    page.mouse.up()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 60)  # let go: no longer follows
    assert slider.get_attribute("aria-valuenow") == "25"
    assert colour_at(0.15, 0.35, 0.65, 0.85) == [False, True, True, True]

    for key, value in (("ArrowRight", "27"), ("Shift+ArrowRight", "37"), ("PageDown", "27"), ("End", "100")):
        page.keyboard.press(key)  # the pointer gave it the focus
        assert slider.get_attribute("aria-valuenow") == value
    assert slider.get_attribute("aria-valuetext") == "100 % before, 0 % after"
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    assert slider.get_attribute("aria-valuenow") == "0"
    assert colour_at(0.15, 0.35, 0.65, 0.85) == [True] * 4


def test_a_hint_colours_its_spot_moves_changes_and_goes_again(visit, grandmother):
    visit.open(grandmother)
    page = visit.page
    plain = visit.answer()
    page.click("text=Colour hints")
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

    for _ in range(3):  # moved, coloured, set
        page.click("text=Undo")
    visit.done()
    assert marker.count() == 0
    np.testing.assert_array_equal(visit.answer(), plain)


def test_hints_without_a_pointer(visit, grandmother):
    visit.open(grandmother)
    page = visit.page
    plain = visit.answer()
    page.get_by_role("button", name="Colour hints").press("Enter")
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


def test_the_strength_of_colour(visit, grandmother):
    visit.open(grandmother)
    plain = np.median(chroma(visit.answer()))
    slider = visit.page.get_by_role("slider", name="Strength of colour")
    slider.press("Home")
    visit.done()
    assert chroma(visit.answer()).max() < 1
    for _ in range(10):
        slider.press("ArrowRight")
    visit.done()
    assert visit.page.locator(".amount output").inner_text() == "50 %"
    assert np.median(chroma(visit.answer())) == pytest.approx(plain / 2, rel=0.1)


def test_several_photos_are_coloured_side_by_side_and_one_that_is_none_says_so(visit, grandmother, tmp_path):
    page = visit.page
    cat, text = tmp_path / "cat.jpg", tmp_path / "diary.jpg"
    Image.fromarray(data.chelsea()).convert("L").save(cat)
    text.write_text("Dear diary")
    visit.open(grandmother, text, cat, wait=False)
    thumbs = page.locator(".thumb")
    page.locator(".thumb.failed").wait_for()
    page.locator(".thumb.done").nth(1).wait_for()
    assert [thumb.get_attribute("aria-label") for thumb in thumbs.all()] == [
        "grand.mother.png, in colour",
        "diary.jpg, failed",
        "cat.jpg, in colour",
    ]
    visit.complaints = [line for line in visit.complaints if "status of 4" not in line]  # the browser's own lines

    thumbs.nth(1).click()
    message = page.get_by_role("alert").inner_text()
    assert "JPEG, PNG" in message
    assert str(tmp_path) not in message
    assert not page.locator("text=Try again").is_visible()  # it would fail again
    assert not page.get_by_role("link", name="Download").is_visible()

    thumbs.nth(2).click()
    visit.done()
    assert visit.answer().shape[:2] == (300, 451)
    with page.expect_download() as first, page.expect_download(lambda one: one.suggested_filename.startswith("cat")):
        page.click("text=Download all")
    assert first.value.suggested_filename == "grand.mother-colour.png"

    for left in (2, 1):
        page.get_by_role("button", name="Remove this photo").click()
        assert thumbs.count() == left
    page.get_by_role("button", name="Remove this photo").click()
    assert page.get_by_role("button", name="Choose photos").is_visible()


def test_what_failed_on_the_way_is_tried_again(visit, grandmother):
    page, tries = visit.page, []

    def answer(route) -> None:
        tries.append(route.request.url)
        if len(tries) == 1:
            return route.abort()
        if len(tries) == 2:
            body = json.dumps({"error": {"code": "busy", "message": "too many photos at once"}})
            return route.fulfill(status=429, headers={"Retry-After": "1"}, body=body)
        route.continue_()

    page.route("**/api/colorize", answer)
    visit.open(grandmother, wait=False)
    page.wait_for_selector(".frame.failed")
    assert "The server cannot be reached" in page.get_by_role("alert").inner_text()
    page.click("text=Try again")
    page.wait_for_selector("text=The server is busy")
    place = page.locator(".frame").bounding_box()
    visit.done()
    assert page.locator(".frame").bounding_box() == place
    assert len(tries) == 3
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
    assert started.value.suggested_filename == "scan-colour.tif"
    assert Image.open(started.value.path()).format == "TIFF"


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


def test_examples_and_what_is_known_of_the_model(visit):
    page = visit.page
    page.click("text=Cat")
    visit.done()
    assert visit.answer().shape[:2] == (300, 451)
    assert page.locator("#model-name").inner_text() == "sepia 1 (row)"
    page.click("#model-name")
    rows = [row.split() for row in page.locator("#model-sheet tr").all_inner_texts()]
    assert rows == [["CIEDE2000", "7.46", "↓"], ["PSNR,", "dB", "25.4", "↑"]]
    page.keyboard.press("Escape")
    assert not page.locator("#model-sheet").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_never_scrolls_sideways_and_hints_are_set_by_touch(browser, url, grandmother, scheme):
    visit = Visit(browser, url, viewport=PHONE, has_touch=True, color_scheme=scheme)
    page = visit.page

    def width() -> int:
        return page.evaluate("document.documentElement.scrollWidth")

    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) > 380) == (scheme == "light")
    assert width() == PHONE["width"]
    visit.open(grandmother)
    assert width() == PHONE["width"]
    page.click("text=Colour hints")
    assert width() == PHONE["width"]
    box = page.locator(".hints").bounding_box()
    page.touchscreen.tap(box["x"] + 100, box["y"] + 100)
    visit.done()
    assert page.locator(".marker").count() == 1
    page.click("#model-name")
    sheet = page.locator("#model-sheet").bounding_box()
    assert sheet["x"] >= 0
    assert sheet["x"] + sheet["width"] <= PHONE["width"]
    assert visit.complaints == []
    visit.context.close()


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
