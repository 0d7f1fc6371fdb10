"""The guide in a real browser, opened from the file system: the object turns, the film plays, one can walk."""

import base64
import io
import time

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("websockets")

from fungal_assets_tests.browser import CHROMIUM, SOFTWARE_GPU, Browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed on this machine")

PAGE = "species/golden-field-bonnet.html"
FAULTS = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
NAME = "document.querySelector('.walk-name')"


@pytest.fixture(scope="module")
def browser():
    """A window whose pages keep still but where they are moved, so that two looks at the same are the same."""
    with Browser(*SOFTWARE_GPU, size_px=(560, 760)) as browser:
        for domain in ("Runtime", "Log", "Network"):
            browser.call(f"{domain}.enable")
        calm = [{"name": "prefers-reduced-motion", "value": "reduce"}]
        browser.call("Emulation.setEmulatedMedia", features=calm)
        yield browser


def open_page(browser, guide, path, canvas):
    browser.events.clear()
    browser.open((guide / path.partition("?")[0]).as_uri())
    browser.wait_for(f"document.getElementById('{canvas}')?.dataset.drawn === 'true'")


def look(browser, selector):
    """What stands on an element within the ring that tells of its focus, RGB, with its place in the window."""
    box = browser.run(
        f"(() => {{ const box = document.querySelector('{selector}').getBoundingClientRect();"
        " return [box.left + 8, box.top + 8, box.width - 16, box.height - 16]; })()"
    )
    clip = dict(zip(("x", "y", "width", "height"), box, strict=True)) | {"scale": 1}
    shown = browser.call("Page.captureScreenshot", clip=clip)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(shown["data"]))).convert("RGB"), float), box


def shares(picture):
    """The shares of pixels that are red, and blue, as the form's halves are."""
    red, green, blue = np.moveaxis(picture, -1, 0)
    return float(((red > 90) & (red > 2 * blue) & (red > 2 * green)).mean()), float(
        ((blue > 90) & (blue > 2 * red)).mean()
    )


def wait_for_change(browser, selector, before, seconds=60):
    """What stands on an element once it looks otherwise than before, and moves no more."""
    end, last = time.monotonic() + seconds, before
    while True:
        picture, _ = look(browser, selector)
        if np.abs(picture - before).mean() > 1 and np.array_equal(picture, last):
            return picture
        assert time.monotonic() < end, f"{selector} still looks the same, or never comes to rest"
        last = picture


def assert_quiet(browser):
    """Nothing failed on the page, and nothing but files was asked for."""
    browser.run("1")
    assert [event for event in browser.events if event["method"] in FAULTS] == []
    asked = [
        one["params"]["request"]["url"]
        for one in browser.events
        if one["method"] == "Network.requestWillBeSent"
    ]
    assert asked and all(url.startswith(("file:", "data:", "blob:")) for url in asked)


def test_the_object_is_drawn_in_its_colours_and_turns_by_mouse_and_keyboard(browser, whole):
    open_page(browser, whole, PAGE, "solid")
    first, (left, top, width, height) = look(browser, "#solid")
    red, blue = shares(first)
    assert red > 0.05 and blue < 0.01, "its red half is in front, in its colours"
    assert np.ptp(first[:, : int(0.1 * width)]) < 60, "beside it stands the page's own ground"

    middle = top + height / 2
    browser.drag((left + 0.02 * width, middle), (left + 0.02 * width + 0.98 * height, middle))
    turned = wait_for_change(browser, "#solid", first)
    red, blue = shares(turned)
    assert blue > 0.05 and red < 0.01, "half a turn brings the blue half to the front"

    browser.press("Home")
    again = wait_for_change(browser, "#solid", turned)
    assert np.abs(again - first).mean() < 0.5
    browser.press("ArrowLeft", "ArrowLeft", "+")
    wait_for_change(browser, "#solid", again)
    assert_quiet(browser)


def test_the_film_takes_the_objects_place_and_plays(browser, whole):
    open_page(browser, whole, PAGE, "solid")
    assert browser.run("document.querySelector('video').offsetHeight") == 0
    browser.run("document.getElementById('solid-film').click()")
    assert browser.run(
        "document.getElementById('solid').offsetHeight === 0 && document.querySelector('video').offsetHeight > 100"
    )
    browser.run("document.getElementById('motion').click()")
    browser.wait_for("document.querySelector('video').currentTime > 0")
    assert_quiet(browser)


def test_a_mesh_that_is_cut_off_leaves_the_film_in_its_place(browser, built):
    script = built / "media" / "golden-field-bonnet-solid.js"
    script.write_text(script.read_text()[:200] + '"});')
    browser.events.clear()
    browser.open((built / PAGE).as_uri())
    browser.wait_for("document.querySelector('video')?.readyState > 1")
    assert browser.run(
        "document.getElementById('solid').hidden && document.getElementById('solid-tools').hidden"
    )
    assert browser.run("document.querySelector('video').offsetHeight") > 100
    assert any(event["method"] == "Runtime.exceptionThrown" for event in browser.events)


def test_the_walk_shows_its_species_names_them_and_leads_to_their_pages(browser, whole):
    small = {"width": 340, "height": 430, "deviceScaleFactor": 1, "mobile": False}
    browser.call("Emulation.setDeviceMetricsOverride", **small)
    open_page(browser, whole, "walk.html", "walk")
    first, _ = look(browser, "#walk")
    red, blue = shares(first)
    assert red + blue > 0.002, "the form stands there in its colours"
    assert first[: len(first) // 3].mean() > 1.2 * first[-len(first) // 3 :].mean(), (
        "mist above, ground below"
    )
    assert browser.run(f"{NAME}.innerText").startswith("Golden field bonnet")
    assert browser.run(f"getComputedStyle({NAME}).visibility") == "visible"

    browser.hold("w")
    browser.wait_for(f"{NAME}.classList.contains('near')")
    browser.release("w")
    wait_for_change(browser, "#walk", first)
    browser.hold("ArrowLeft")
    browser.wait_for(f"getComputedStyle({NAME}).visibility === 'hidden'")
    browser.release("ArrowLeft")
    browser.hold("ArrowRight")
    browser.wait_for(f"{NAME}.classList.contains('near')")
    browser.release("ArrowRight")
    assert "stands before you" in browser.run("document.getElementById('walk-said').textContent")
    assert_quiet(browser)
    browser.press("Enter")
    browser.wait_for(f"location.href.endsWith('{PAGE}')")


def test_without_webgl_the_page_keeps_its_film_and_the_walk_its_list(whole):
    with Browser("--disable-gpu", "--disable-3d-apis", size_px=(560, 760)) as browser:
        browser.open((whole / PAGE).as_uri())
        browser.wait_for("document.querySelector('video')?.readyState > 1")
        assert browser.run(
            "document.getElementById('solid').hidden && document.getElementById('solid-tools').hidden"
        )
        browser.open((whole / "walk.html").as_uri())
        browser.wait_for("document.getElementById('stage')?.hidden === true")
        assert "Golden field bonnet" in browser.run("document.body.innerText")
