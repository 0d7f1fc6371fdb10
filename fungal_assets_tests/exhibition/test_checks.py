import pytest

from fungal_assets.exhibition.checks import (
    check_asks_no_other_host,
    check_every_species_has_a_page,
    check_links_resolve,
)


def test_a_fresh_guide_passes_all_checks(built, growth):
    assert check_links_resolve(built).passed
    assert check_links_resolve(built).figures["links"] > 50
    assert check_every_species_has_a_page(built, growth["species"].path).passed
    assert check_asks_no_other_host(built).passed


@pytest.mark.parametrize(
    "planted",
    [
        '<a href="nowhere.html">x</a>',
        '<img src="media/gone.webp" alt="x">',
        '<video poster="media/gone.webp"></video>',
        '<img srcset="media/gone.webp 2x" alt="x">',
        '<a href="#no-such-id">x</a>',
        '<a href="provenance.html#no-such-id">x</a>',
        '<a href="../outside.html">x</a>',
        '<a href="/etc/hostname">x</a>',
        '<p style="background: url(media/gone.webp)">x</p>',
    ],
)
def test_a_planted_broken_link_is_found_and_named(built, planted):
    index = built / "index.html"
    index.write_text(index.read_text().replace("</main>", planted + "</main>"))
    verdict = check_links_resolve(built)
    assert not verdict.passed
    assert verdict.figures["broken"] == 1
    assert "index.html" in verdict.finding


def test_a_media_file_that_was_lost_is_found(built):
    (built / "media" / "witchs-ear-poster.webp").unlink()
    assert not check_links_resolve(built).passed


def test_a_broken_reference_of_the_style_sheet_is_found(built):
    sheet = built / "guide.css"
    sheet.write_text(sheet.read_text() + "body { background: url('paper.webp') }")
    assert "guide.css" in check_links_resolve(built).finding


def test_an_empty_folder_passes_for_no_guide(tmp_path):
    assert not check_links_resolve(tmp_path).passed


def test_a_species_without_a_page_is_found(built, growth):
    (built / "species" / "witchs-ear.html").unlink()
    verdict = check_every_species_has_a_page(built, growth["species"].path)
    assert not verdict.passed
    assert "witch" in verdict.finding


def test_a_page_that_the_index_does_not_lead_to_is_found(built, growth):
    index = built / "index.html"
    index.write_text(index.read_text().replace("species/witchs-ear.html", "index.html"))
    assert not check_every_species_has_a_page(built, growth["species"].path).passed


@pytest.mark.parametrize(
    "planted",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<img src="//cdn.example/x.png" alt="x">',
        '<link rel="stylesheet" href="http://fonts.example/x.css">',
        '<style>@import "https://fonts.example/x.css";</style>',
        '<p style="background: url(https://x.example/x.png)">x</p>',
        '<script>fetch("data.json")</script>',
        '<meta http-equiv="refresh" content="0; url=https://x.example/">',
        '<a href="mailto:someone@x.example">x</a>',
    ],
)
def test_a_page_that_asks_another_host_is_found(built, planted):
    page = built / "forgetting.html"
    page.write_text(page.read_text().replace("</main>", planted + "</main>"))
    verdict = check_asks_no_other_host(built)
    assert not verdict.passed
    assert "forgetting.html" in verdict.finding


def test_a_script_file_that_asks_another_host_is_found(built):
    script = built / "solids.js"
    script.write_text(script.read_text() + "fetch('data.json');")
    verdict = check_asks_no_other_host(built)
    assert not verdict.passed and "solids.js" in verdict.finding
