"""The breeding page in a real browser, by the keyboard alone: three generations, a reload between, a saved child."""

import json
import os
import threading
from contextlib import contextmanager

import pytest

pytest.importorskip("websockets")

from fungal_assets.ancestors.breeding import PICTURE_NOTES
from fungal_assets.ancestors.keeping import read_genome
from fungal_assets.ancestors.serving import BreedingServer
from fungal_assets.ancestors.sessions import list_saved, open_pictures, open_session
from fungal_assets_tests.browser import CHROMIUM, Browser

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed on this machine")

TITLE = "document.title"
CHOSEN = "[...document.querySelectorAll('.creature[aria-pressed=true]')].map((one) => +one.dataset.key)"
KEYS = "[...document.querySelectorAll('.creature')].map((one) => +one.dataset.key)"
FOCUSED = "+document.activeElement.dataset.key"
SEEN = "[...document.querySelectorAll('#grid img')].every((one) => one.complete && one.naturalWidth === 144)"
BROKEN = "[...document.images].filter((one) => one.complete && !one.naturalWidth).length"
UNNAMED = "[...document.images].filter((one) => !one.alt).length"


@contextmanager
def opened(session):
    server = BreedingServer(session)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with Browser() as browser:
        browser.open(server.url)
        yield browser, server
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(tmp_path):
    session = open_session(str(tmp_path), "page", ["fungarium:bolete"], None, seed=2)
    with opened(session) as (browser, server):
        yield browser, server, tmp_path


def test_three_generations_a_reload_and_a_saved_child(page):
    browser, server, root = page
    browser.wait_for(f"{TITLE} === 'Generation 0 · Breeding'")
    browser.wait_for(SEEN)
    first = browser.run(KEYS)
    assert len(first) == 12 and browser.run(UNNAMED) == 0 and browser.run(BROKEN) == 0

    browser.press("ArrowRight", "Enter", "ArrowDown", "Space")
    chosen = browser.run(CHOSEN)
    assert len(chosen) == 2 and chosen[0] == first[0]
    browser.press("n")
    browser.wait_for(f"{TITLE} === 'Generation 1 · Breeding'")
    second = browser.run(KEYS)
    assert not set(first) & set(second) and browser.run(FOCUSED) == second[0]
    assert f"children of {chosen[0]} and {chosen[1]}" in browser.run("document.body.innerText")

    browser.run("document.querySelectorAll('.creature')[2].click()")
    browser.press("b", "n")
    browser.wait_for(f"{TITLE} === 'Generation 2 · Breeding'")
    third = browser.run(KEYS)

    browser.open(server.url)
    browser.wait_for(f"{TITLE} === 'Generation 2 · Breeding'")
    assert browser.run(KEYS) == third and browser.run(CHOSEN) == []

    browser.press("u")
    browser.wait_for(f"{TITLE} === 'Generation 1 · Breeding'")
    assert browser.run(KEYS) == second
    browser.run("document.querySelectorAll('.creature')[5].click()")
    browser.press("n")
    browser.wait_for(f"{TITLE} === 'Generation 2 · Breeding'")
    browser.run("document.querySelectorAll('.creature')[0].click()")
    browser.press("n")
    browser.wait_for(f"{TITLE} === 'Generation 3 · Breeding'")

    browser.run("document.querySelectorAll('.creature')[3].click()")
    key = browser.run(CHOSEN)[0]
    browser.press("s")
    browser.wait_for("document.querySelectorAll('#saved li').length === 1")
    saved = list_saved(str(root))
    assert [json.loads((path / "form.json").read_text())["key"] for path in saved] == [key]
    descendant, _ = read_genome(saved[0] / "genome.json")
    assert [one["generation"] for one in descendant.descent] == [0, 1, 2, 3]
    browser.wait_for(SEEN)
    assert browser.run(BROKEN) == 0 and browser.run(UNNAMED) == 0
    if path := os.environ.get("FUNGAL_SCREENSHOT"):
        browser.screenshot(path)


def test_nothing_can_be_bred_before_a_choice_and_the_page_says_so(page):
    browser, _, _ = page
    browser.wait_for(f"{TITLE} === 'Generation 0 · Breeding'")
    assert browser.run("document.getElementById('next').disabled && document.getElementById('undo').disabled")
    browser.press("n")
    assert browser.run("document.getElementById('said').textContent") == "Choose at least one parent first."
    assert browser.run("document.getElementById('said').getAttribute('aria-live')") == "polite"


def test_pictures_are_bred_reloaded_and_saved_on_the_same_page(tmp_path):
    with opened(open_pictures(str(tmp_path), "pictures", None, seed=1)) as (browser, server):
        browser.wait_for(f"{TITLE} === 'Generation 0 · Breeding'")
        browser.wait_for(SEEN)
        assert browser.run("document.getElementById('title').textContent") == "Breeding pictures"
        assert browser.run("document.querySelector('#grid img').alt").startswith("Picture 1: ")
        for generation in (1, 2, 3):
            browser.run("document.querySelectorAll('.creature')[7].click()")
            browser.press("n")
            browser.wait_for(f"{TITLE} === 'Generation {generation} · Breeding'")
            if generation == 2:
                browser.open(server.url)
                browser.wait_for(f"{TITLE} === 'Generation 2 · Breeding'")
        browser.run("document.querySelectorAll('.creature')[2].click()")
        key = browser.run(CHOSEN)[0]
        browser.press("s")
        browser.wait_for("document.querySelectorAll('#saved li').length === 1")
        (saved,) = list_saved(str(tmp_path), PICTURE_NOTES)
        assert json.loads((saved / PICTURE_NOTES).read_text())["key"] == key
        assert [one["generation"] for one in read_genome(saved / "genome.json")[0].descent][-3:] == [1, 2, 3]
        browser.wait_for(SEEN)
        if path := os.environ.get("FUNGAL_SCREENSHOT_OF_PICTURES"):
            browser.screenshot(path)
