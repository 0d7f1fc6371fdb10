import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from fungal_assets.errors import InputError, ProvenanceError
from fungal_assets.exhibition.checks import check_asks_no_other_host, check_links_resolve
from fungal_assets.exhibition.field_guide import build_field_guide
from fungal_assets.exhibition.links import read_page, read_pages
from fungal_assets_tests.exhibition.conftest import NAMES, GrowthWriter, guide_inputs

TITLE = 'Guide to "nothing" & <more>'


def build(inputs, folder: Path, *asked_for: Path, title: str = TITLE):
    """The guide, with the atlas and the comparison if they are given."""
    folder.mkdir(exist_ok=True)
    return build_field_guide(*inputs, folder, *asked_for, title=title)


def hashes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_figures_count_what_is_in_the_folder(inputs, tmp_path):
    figures = build(inputs, tmp_path)
    assert figures["species"] == 3
    assert figures["forms"] == 1
    assert figures["pages"] == len(list(tmp_path.rglob("*.html"))) == 9
    assert figures["pictures"] == len(list((tmp_path / "media").glob("*.webp")))
    assert figures["size_mb"] == pytest.approx(sum(map(len, hashes(tmp_path).values())) / 1e6, abs=1e-3)


def test_the_same_growth_gives_the_same_bytes(inputs, whole, tmp_path):
    build(inputs, tmp_path / "again")
    assert hashes(tmp_path / "again") == hashes(whole)


def test_a_guide_begun_by_a_killed_run_is_finished(inputs, built, whole):
    (built / "forgetting.html").unlink()
    (built / "media" / "golden-field-bonnet-poster.webp").write_bytes(b"half")
    build(inputs, built)
    assert hashes(built) == hashes(whole)


def test_no_temporary_file_is_left(built):
    assert not [path for path in built.rglob(".*") if path.is_file()]


def test_names_with_markup_quotes_and_accents_are_escaped_and_read_back(built):
    text = (built / "index.html").read_text()
    assert "<b>" not in text and "<more>" not in text
    page = read_page(built, built / "species" / "witchs-ear.html")
    assert page.name == "species/witchs-ear.html"
    shown = (built / "species" / "witchs-ear.html").read_text()
    assert "Witch&#39;s &lt;b&gt;&#34;ear&#34;&lt;/b&gt; &amp; cup" in shown
    assert "Otidella œdipus" in shown


def test_a_slug_with_an_accent_has_a_quoted_link_to_its_file(built):
    assert "species/%C3%A9lans-coral.html" in {
        link.target for link in read_page(built, built / "index.html").links
    }
    assert (built / "species" / "élans-coral.html").is_file()


def test_every_picture_has_an_alternative_text_and_every_film_a_label(built):
    for path in built.rglob("*.html"):
        text = path.read_text()
        assert all(re.search(r'alt="[^"]+"', tag) for tag in re.findall(r"<img[^>]*>", text)), path
        assert all(re.search(r'aria-label="[^"]+"', tag) for tag in re.findall(r"<video[^>]*>", text)), path


def test_films_do_not_start_by_themselves_and_heed_reduced_motion(built):
    text = (built / "index.html").read_text()
    assert "<video" in text
    assert "autoplay" not in text
    assert "prefers-reduced-motion" in text


def test_a_species_with_a_form_shows_its_film_and_offers_its_mesh(built):
    text = (built / "species" / "golden-field-bonnet.html").read_text()
    assert 'src="../media/golden-field-bonnet-turntable.mp4"' in text
    assert 'href="../media/golden-field-bonnet-mesh.glb" download' in text
    assert (built / "media" / "golden-field-bonnet-mesh.glb").read_bytes().startswith(b"glTF")
    assert 'href="../media/golden-field-bonnet-mesh.usdz" download' in text
    assert "2\N{NARROW NO-BREAK SPACE}kB" in text


def test_a_species_offers_its_films_for_other_screens_and_shows_its_group(built):
    text = (built / "species" / "golden-field-bonnet.html").read_text()
    offered = (
        "pyramid.mp4", "pyramid-template.svg", "black.mp4", "vertical.mp4", "group.json", "quilt_qs8x6a0.75.png",
    )  # fmt: skip
    for name in offered:
        assert f'href="../media/golden-field-bonnet-{name}" download' in text
        assert (built / "media" / f"golden-field-bonnet-{name}").is_file()
    assert 'src="../media/golden-field-bonnet-group.webp"' in text
    other = (built / "species" / "witchs-ear.html").read_text()
    assert "-group" not in other and "pyramid-template" not in other


def test_a_form_stands_beside_the_picture_that_it_began_as(built):
    text = (built / "species" / "golden-field-bonnet.html").read_text()
    assert "the picture that its form began as" in text
    shown = re.search(r'<figure class="beginning">\s*<img src="\.\./([^"]+)"', text)[1]
    assert (built / shown).is_file()
    assert "beginning" not in (built / "species" / "witchs-ear.html").read_text()


def test_a_species_without_a_form_shows_a_gallery_picture(built):
    text = (built / "species" / "witchs-ear.html").read_text()
    assert "<video" not in text
    assert "none was grown" in text
    entry = json.loads((built / "guide.json").read_text())["species"][1]
    assert entry["video"] is None
    assert (built / entry["poster"]).is_file()


def test_a_form_that_was_not_filmed_and_a_gallery_without_its_pictures_are_shown_as_far_as_they_go(
    growth, tmp_path
):
    copies = []
    for path in guide_inputs(growth):
        copies.append(tmp_path / "inputs" / path.parent.parent.name)
        shutil.copytree(path, copies[-1])
    shutil.rmtree(copies[9] / "golden-field-bonnet")
    (copies[4] / "recognition.json").unlink()
    (copies[5] / "side_by_side.webp").unlink()
    build(copies, tmp_path / "guide")
    text = (tmp_path / "guide" / "species" / "golden-field-bonnet.html").read_text()
    assert "<video" not in text and "-mesh.glb" in text
    assert "recognised" not in (tmp_path / "guide" / "index.html").read_text().split("</header>")[0]


def test_a_species_without_any_gallery_picture_shows_its_medoid(tmp_path):
    growth = GrowthWriter(tmp_path / "store", samples=0, grown=0).write()
    build(guide_inputs(growth), tmp_path / "guide")
    assert "the specimen at the middle of its cluster" in (tmp_path / "guide" / "index.html").read_text()


def test_prompts_stand_on_the_page_of_their_species_and_mutants_on_the_index(built):
    page = (built / "species" / "golden-field-bonnet.html").read_text()
    assert "a photo of pale golden field bonnet" in page
    assert "a photo of golden field bonnet, on a log" in page
    assert "Written, but not sampled" in page
    assert "a photo of coral bonnet" in (built / "index.html").read_text()
    assert "a photo of coral bonnet" not in page


def test_specimens_stand_beside_their_captions(built):
    page = (built / "species" / "golden-field-bonnet.html").read_text()
    assert page.count("golden-field-bonnet-specimen-") == 6
    assert "a photo of golden field bonnet, pale brown, in a field" in page


def test_every_input_and_all_that_it_came_from_is_in_the_provenance(built, growth):
    text = (built / "provenance.html").read_text()
    for name, output in growth.items():
        assert output.record.content_hash in text, name
    assert "CC-BY-4.0, CC0-1.0" in text


def test_the_index_for_machines_names_files_that_are_there(built):
    index = json.loads((built / "guide.json").read_text())
    assert [entry["common_name"] for entry in index["species"]] == [name for name, _, _ in NAMES]
    assert index["headline"]["retention"] == 0.7778
    assert len(index["inputs"]) == 11
    assert set(index["pages"]) == {page.name for page in read_pages(built)}


def test_the_account_of_forgetting_has_both_judges_and_tells_when_it_went(built):
    text = (built / "forgetting.html").read_text()
    assert "86\N{NARROW NO-BREAK SPACE}%" in text and "by two judges" in text
    assert "When it went" in text and "&#39;flower&#39; by step 150" in text
    for name in ("side-by-side", "over-training", "when"):
        assert f"media/forgetting-{name}.webp" in text
        assert (built / f"media/forgetting-{name}.webp").is_file()


def test_a_report_of_one_judge_on_a_training_that_nobody_looked_at_makes_a_page_too(growth, tmp_path):
    copy = tmp_path / "forgetting_report"
    shutil.copytree(growth["forgetting_report"].path, copy)
    report = json.loads((copy / "report.json").read_text()) | {"by_text": None, "over_training": None}
    (copy / "report.json").write_text(json.dumps(report))
    for name in ("over_training.png", "when.webp"):
        (copy / name).unlink()
    inputs = [copy if "forgetting_report" in str(path) else path for path in guide_inputs(growth)]
    build(inputs, tmp_path / "guide")
    text = (tmp_path / "guide" / "forgetting.html").read_text()
    assert "by two judges" not in text and "When it went" not in text


def test_the_training_has_its_curves_and_tells_which_step_was_kept(built):
    text = (built / "training.html").read_text()
    assert 'src="media/training-curves.webp"' in text and (built / "media/training-curves.webp").is_file()
    assert "those of step 150, before the last" in text and "Rehearsal loss" in text and "0.2031" in text
    assert 'href="training.html"' in (built / "index.html").read_text()


def test_what_nobody_asked_for_has_no_page_and_no_link(built):
    assert not (built / "sizes.html").exists() and not (built / "comparison.html").exists()
    text = (built / "index.html").read_text()
    assert "sizes.html" not in text and "comparison.html" not in text


def test_the_atlas_and_the_comparison_have_pages_that_every_page_leads_to(tmp_path):
    growth = GrowthWriter(tmp_path / "store", grown=0)
    inputs, asked_for = guide_inputs(growth.write()), growth.write_asked_for()
    build(inputs, tmp_path / "guide", *(output.path for output in asked_for))
    assert (
        check_links_resolve(tmp_path / "guide").passed and check_asks_no_other_host(tmp_path / "guide").passed
    )
    for page in read_pages(tmp_path / "guide"):
        assert {"sizes.html", "comparison.html"} <= {link.path.split("/")[-1] for link in page.links}, (
            page.name
        )
    sizes = (tmp_path / "guide" / "sizes.html").read_text()
    assert (
        "a photo of a &lt;b&gt;&#34;bonnet&#34;&lt;/b&gt;" in sizes
        and "They part most in up_blocks.1." in sizes
    )
    weights = (tmp_path / "guide" / "comparison.html").read_text()
    own = re.findall(r'<tr class="own"><th scope="row">([a-z]+ [a-f]+)<', weights)
    assert own == ["lora abababab"], "the guide's own weights alone are marked"
    provenance = (tmp_path / "guide" / "provenance.html").read_text()
    assert "its record does not lie beside" not in provenance
    assert all(output.record.content_hash in provenance for output in asked_for)


def test_a_gallery_with_other_sizes_shows_them_without_an_atlas(growth, tmp_path):
    copy = tmp_path / "sample_galleries"
    shutil.copytree(growth["sample_galleries"].path, copy)
    (copy / "grids").mkdir()
    Image.new("RGB", (320, 160)).save(copy / "grids" / "sizes.webp")
    inputs = [copy if "sample_galleries" in str(path) else path for path in guide_inputs(growth)]
    build(inputs, tmp_path / "guide")
    text = (tmp_path / "guide" / "sizes.html").read_text()
    assert "The gallery at other sizes" in text and "Block by block" not in text
    assert 'href="sizes.html"' in (tmp_path / "guide" / "index.html").read_text()
    assert check_links_resolve(tmp_path / "guide").passed


def test_an_atlas_of_other_weights_is_refused(tmp_path):
    growth = GrowthWriter(tmp_path / "store", grown=0)
    growth.write()
    atlas, _ = growth.write_asked_for()
    inputs = guide_inputs(growth.tune(seed=1))
    with pytest.raises(InputError, match=r"resolution_atlas tells of other weights than the gallery's"):
        build(inputs, tmp_path / "guide", atlas.path)


def test_undefined_retention_is_said_not_shown_as_a_number(growth, tmp_path):
    copy = tmp_path / "forgetting_report"
    shutil.copytree(growth["forgetting_report"].path, copy)
    report = json.loads((copy / "report.json").read_text()) | {"retention": None, "interval": None}
    (copy / "report.json").write_text(json.dumps(report))
    inputs = [copy if "forgetting_report" in str(path) else path for path in guide_inputs(growth)]
    build(inputs, tmp_path / "guide")
    assert "not defined" in (tmp_path / "guide" / "forgetting.html").read_text()
    assert "not defined" in (tmp_path / "guide" / "index.html").read_text()


def test_inputs_without_a_record_are_refused_all_at_once(growth, tmp_path):
    inputs = guide_inputs(growth)
    with pytest.raises(ProvenanceError, match=r"(?s)species.*captions.*no provenance.json.*fungal grow"):
        build([tmp_path / "species", inputs[1], tmp_path / "captions", *inputs[3:]], tmp_path / "guide")


@pytest.mark.parametrize("slug", ["../elsewhere", "", ".hidden", "a/b"])
def test_a_slug_that_is_no_file_name_is_refused(growth, tmp_path, slug):
    copy = tmp_path / "species"
    shutil.copytree(growth["species"].path, copy)
    content = json.loads((copy / "species.json").read_text())
    content["species"][0]["slug"] = slug
    (copy / "species.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="no file name"):
        build([copy, *guide_inputs(growth)[1:]], tmp_path / "guide")


def test_the_species_report_has_a_row_for_each_species_the_worst_first_and_its_sheets(built):
    page = read_page(built, built / "species-report.html")
    leads = [link.path for link in page.links if link.path.startswith("species/")]
    assert leads == [
        "species/élans-coral.html",
        "species/witchs-ear.html",
        "species/golden-field-bonnet.html",
    ]
    text = (built / "species-report.html").read_text()
    assert text.count("copied, not itself") == 2
    clusters = re.findall(r'</a><span class="aside">(cluster \d)</span></th>', text)
    assert clusters == ["cluster 2", "cluster 1", "cluster 0"], "sheets and distances speak of clusters"
    assert "real ≥ 75" in text and "halves ≤ 0.44, others 2.95" in text
    for name in ("real_and_painted", "originals", "confusion"):
        assert f'src="media/species-report-{name}.webp"' in text
    assert 'href="species-report.html"' in (built / "index.html").read_text().split("</header>")[0]


def test_a_species_report_of_other_species_is_refused(growth, tmp_path):
    copy = tmp_path / "species_report"
    shutil.copytree(growth["species_report"].path, copy)
    report = json.loads((copy / "report.json").read_text())
    report["species"][0]["species_id"] = "species-77"
    (copy / "report.json").write_text(json.dumps(report))
    inputs = [copy if "species_report" in str(path) else path for path in guide_inputs(growth)]
    with pytest.raises(InputError, match=r"tells of \['species-77'\]"):
        build(inputs, tmp_path / "guide")
