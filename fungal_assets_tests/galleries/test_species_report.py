import json
import math

import numpy as np
import pytest
from PIL import Image, ImageFilter, ImageOps

from fungal_assets.errors import InputError
from fungal_assets.galleries.checks import check_not_pixelated
from fungal_assets.galleries.flaws import MAX_SHARED_GRID, shared_grid
from fungal_assets.galleries.planning import COLUMNS
from fungal_assets.galleries.reading import open_pictures, read_gallery
from fungal_assets.galleries.species_checks import (
    check_every_species_told,
    check_no_copies,
    check_species_new,
    check_species_varied,
)
from fungal_assets.galleries.species_report import PICTURES, report_species
from fungal_assets.previews import MAX_SHEET_BYTES, sheet
from fungal_assets.shards import read_table, write_table
from fungal_assets_tests.galleries.specimens import (
    KINDS,
    PAINTED,
    SIDE_PX,
    grow_world,
    paint_gallery,
    trained,
    unseen,
)

SETTINGS = {"min_variety": 0.3, "max_copied_share": 0.02}


def pixelated(image):
    small = image.resize((SIDE_PX // 2,) * 2, Image.Resampling.BOX)
    return small.resize(image.size, Image.Resampling.NEAREST)


def cropped_mirror(image):
    side = round(0.87 * SIDE_PX)
    return ImageOps.mirror(image).crop((0, 0, side, side)).resize(image.size, Image.Resampling.BICUBIC)


SOUND = [unseen(kind) for kind in KINDS]
PLANTED = {
    "a perfect model": (SOUND, set()),
    "copies": ([[cropped_mirror(each) for each in trained(kind)[:PAINTED]] for kind in KINDS], {"copied"}),
    "one picture again and again": ([[images[0]] * PAINTED for images in SOUND], {"hardly varied"}),
    "names exchanged": ([SOUND[1], SOUND[0], SOUND[2]], {"not itself", "like another cluster"}),
    "blocks": ([[pixelated(each) for each in images] for images in SOUND], {"made of blocks"}),
    "blocks again and again": ([[pixelated(images[0])] * PAINTED for images in SOUND], {"made of blocks"}),
    "one picture of another": (
        [[SOUND[1][0]] * PAINTED, [SOUND[0][0]] * PAINTED, SOUND[2]],
        {"not itself", "like another cluster", "hardly varied"},
    ),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return grow_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def reported(world, tmp_path_factory):
    """The folders of a gallery and its report, by what was planted; each is made once."""
    made = {}

    def report(name):
        if name not in made:
            root = tmp_path_factory.mktemp("planted")
            gallery = paint_gallery(root / "gallery", PLANTED[name][0])
            (root / "report").mkdir()
            report_species(gallery, world.clusters, world.dataset, root / "report", **SETTINGS)
            made[name] = gallery, root / "report"
        return made[name]

    return report


def read(report):
    return json.loads((report / "report.json").read_text())


@pytest.mark.parametrize("name", PLANTED)
def test_each_planted_fault_is_named_and_no_other(reported, name):
    _, report = reported(name)
    assert {fault for entry in read(report)["species"] for fault in entry["faults"]} == PLANTED[name][1]


@pytest.mark.parametrize(
    ("name", "failing"),
    [
        ("a perfect model", set()),
        ("copies", {"copies"}),
        ("one picture again and again", {"varied"}),
        ("names exchanged", {"new"}),
        ("blocks", set()),
        ("blocks again and again", set()),
    ],
)
def test_each_check_fails_for_its_own_fault(reported, name, failing):
    gallery, report = reported(name)
    verdicts = {
        "told": check_every_species_told(report, gallery),
        "copies": check_no_copies(report),
        "new": check_species_new(report),
        "varied": check_species_varied(report),
    }
    assert {name for name, verdict in verdicts.items() if not verdict.passed} == failing
    assert all("try half" in verdicts[each].finding or each == "new" for each in failing)


def softly(image):
    """In blocks of 8 px, softened as an autoencoder softens them."""
    small = image.resize((SIDE_PX // 8,) * 2, Image.Resampling.BOX)
    return small.resize(image.size, Image.Resampling.NEAREST).filter(ImageFilter.BoxBlur(2))


def test_blocks_that_no_picture_shows_alone_are_told_of_all_together(world, tmp_path):
    painted = [[softly(each) for each in SOUND[0]], *([softly(each[0])] * PAINTED for each in SOUND[1:])]
    gallery = paint_gallery(tmp_path / "gallery", painted)
    report_species(gallery, world.clusters, world.dataset, tmp_path, **SETTINGS)
    found = read(tmp_path)
    assert found["figures"]["pixelated"] == 0
    assert found["figures"]["shared_grid"] > MAX_SHARED_GRID
    assert "blocks, painted softly" in found["verdict"] and "enlarged pictures" in found["advice"]
    verdict = check_not_pixelated(gallery)
    assert not verdict.passed and "edges on one grid" in verdict.finding
    varied = check_species_varied(tmp_path)
    assert varied.passed and "because the model paints blocks; 2 of them have less" in varied.finding
    assert (found["figures"]["varied"], found["figures"]["judged_for_variety"]) == (0, 0)


def test_blocks_of_species_are_seen_beside_controls_that_have_none(tmp_path):
    """Controls that were rehearsed stay sound; what the species report calls blocks is flagged all the same."""
    soft = paint_gallery(tmp_path / "soft", [[softly(each) for each in images] for images in SOUND])
    controls = [[*images, *trained(kind)[:8]] for kind, images in zip(KINDS, SOUND, strict=True)]
    sound = paint_gallery(tmp_path / "sound", controls)
    rows = read_gallery(soft)
    for row in read_gallery(sound):
        path = row["path"].replace("pictures/", "pictures/control-")
        (soft / path).parent.mkdir(exist_ok=True)
        (sound / row["path"]).rename(soft / path)
        rows.append({**row, "path": path, "prompt_id": f"control-{row['prompt_id']}", "kind": "control"})
    assert shared_grid(open_pictures(soft, rows)) < MAX_SHARED_GRID
    write_table(soft / "gallery.parquet", rows, COLUMNS)
    verdict = check_not_pixelated(soft)
    assert not verdict.passed and verdict.figures["shared_grid"] > MAX_SHARED_GRID


def test_the_grid_that_enlarging_sets_is_none_of_the_models(world, tmp_path):
    """Enlarged pictures share a grid, unless they are known to have been drawn smaller."""
    side_px = 2 * SIDE_PX
    enlarged = [
        [image.resize((side_px, side_px), Image.Resampling.BICUBIC) for image in own] for own in SOUND
    ]
    gallery = paint_gallery(tmp_path / "gallery", enlarged)
    assert shared_grid(open_pictures(gallery, read_gallery(gallery))) > MAX_SHARED_GRID
    assert "edges on one grid" in check_not_pixelated(gallery).finding
    (gallery / "gallery.json").write_text(json.dumps({"models": {}, "settings": {"first_px": SIDE_PX}}))
    assert check_not_pixelated(gallery).passed
    report_species(gallery, world.clusters, world.dataset, tmp_path, **SETTINGS)
    assert read(tmp_path)["figures"]["shared_grid"] < MAX_SHARED_GRID / 2


def test_sound_pictures_share_no_grid(reported):
    gallery, report = reported("a perfect model")
    assert read(report)["figures"]["shared_grid"] < MAX_SHARED_GRID / 2
    assert check_not_pixelated(gallery).passed


def test_a_copy_stands_beside_its_own_original(reported):
    _, report = reported("copies")
    rows = read_table(report / "pictures.parquet")
    assert [row["nearest_id"] for row in rows] == [
        f"{number}-{index}" for number in range(len(KINDS)) for index in range(PAINTED)
    ]
    assert all(row["is_copied"] for row in rows)
    assert read(report)["figures"]["copied_share"] == 1
    assert read(report)["advice"].startswith("Pictures are training images again")


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("a perfect model", "Nothing"),
        ("one picture again and again", "learning_rate of fine_tuned_weights"),
        ("one picture of another", "max_clusters of clusters"),
        ("blocks", "enlarged pictures in the source"),
    ],
)
def test_the_advice_mends_what_the_other_faults_follow_from(reported, name, setting):
    """A species that is like another cluster lacks variety for want of a form of its own, not by its training."""
    _, report = reported(name)
    assert setting in read(report)["advice"]
    verdict = check_species_varied(report)
    assert verdict.passed or setting in verdict.finding


def test_what_is_alike_since_it_is_painted_by_heart_is_flagged_as_copies_and_by_nothing_else(world, tmp_path):
    """The third species' picture is not told as a copy, as soft ones of a model that copies are not."""
    by_heart = [[trained(kind)[0]] * PAINTED for kind in KINDS[:2]] + [[SOUND[2][0]] * PAINTED]
    gallery = paint_gallery(tmp_path / "gallery", by_heart)
    report_species(gallery, world.clusters, world.dataset, tmp_path, **SETTINGS)
    assert not check_no_copies(tmp_path).passed
    varied = check_species_varied(tmp_path)
    assert varied.passed and varied.figures["unjudged"] == 3
    assert "3 species are not judged, because the model paints training images by heart" in varied.finding
    assert {fault for entry in read(tmp_path)["species"] for fault in entry["faults"]} == {"copied"}
    assert "none is judged for variety" in read(tmp_path)["verdict"]
    assert read(tmp_path)["advice"].startswith("Pictures are training images again")


def test_what_copies_no_more_than_it_may_is_judged_for_variety(world, tmp_path):
    one_copy = [[*SOUND[0][:3], trained(KINDS[0])[0]], *([images[0]] * PAINTED for images in SOUND[1:])]
    gallery = paint_gallery(tmp_path / "gallery", one_copy)
    report_species(gallery, world.clusters, world.dataset, tmp_path, **SETTINGS | {"max_copied_share": 0.1})
    varied = check_species_varied(tmp_path)
    assert not varied.passed and (varied.figures["alike"], varied.figures["unjudged"]) == (2, 0)


def test_blank_pictures_are_flagged_as_blank_and_not_as_alike(world, tmp_path):
    grey = [Image.new("RGB", (SIDE_PX, SIDE_PX), "grey")] * PAINTED
    gallery = paint_gallery(tmp_path / "gallery", [grey, *SOUND[1:]])
    report_species(gallery, world.clusters, world.dataset, tmp_path, **SETTINGS)
    first = next(entry for entry in read(tmp_path)["species"] if entry["species_id"] == "species-00")
    assert first["unjudged"] == "most of its pictures are blank"
    assert "blank" in first["faults"] and "hardly varied" not in first["faults"]


def test_real_pictures_are_as_near_and_as_varied_as_real_pictures_are(reported):
    for entry in read(reported("a perfect model")[1])["species"]:
        assert entry["kid"] < entry["kid_of_others"] / 2
        assert entry["kid_interval"][0] < entry["kid"] < entry["kid_interval"][1]
        assert entry["variety"] > 0.8 * entry["variety_floor"]
        assert entry["recognised"] == 1


def test_pictures_of_another_species_are_further_by_kid_than_the_floor(reported):
    worst = read(reported("names exchanged")[1])["species"][:2]
    assert {entry["species_id"] for entry in worst} == {"species-00", "species-01"}
    assert all(entry["kid"] > 3 * entry["kid_floor"] for entry in worst)
    assert [entry["nearest_other"] for entry in sorted(worst, key=lambda each: each["species_id"])] == [1, 0]


def test_the_confusion_counts_every_picture_once(reported):
    confusion = read(reported("names exchanged")[1])["confusion"]
    assert np.array_equal(confusion["counts"], PAINTED * np.eye(3, dtype=int)[[1, 0, 2]])


def test_sheets_are_small_enough_for_the_event_log(reported):
    _, report = reported("a perfect model")
    names = {path.stem for path in report.glob("*.webp")}
    assert names == {"real_and_painted", "confusion", "originals"}
    assert not names & read(report)["figures"].keys(), "one would hide the other on the asset's page"
    for name in names:
        with Image.open(report / f"{name}.webp") as image:
            assert len(sheet(image)) <= MAX_SHEET_BYTES


def tiles(path, columns, tile_px=96):
    """The pictures of the first row of a sheet."""
    with Image.open(path) as image:
        row = image.convert("RGB").crop((0, 4, image.width, 4 + tile_px))
    assert row.width == columns * (tile_px + 4) + 4
    return [row.crop((left, 0, left + tile_px, tile_px)) for left in range(4, row.width, tile_px + 4)]


def is_of(tile, image):
    """Whether a tile is that picture, saved with loss."""
    small = image.resize(tile.size, Image.Resampling.LANCZOS)
    return np.abs(np.asarray(tile, float) - np.asarray(small, float)).mean() < 6


def test_sheets_show_the_real_left_of_the_painted_and_the_most_alike_first(reported):
    gallery, report = reported("names exchanged")
    worst = int(read(report)["species"][0]["species_id"][-2:])
    shown = tiles(report / "real_and_painted.webp", 8)
    painted = PLANTED["names exchanged"][0][worst]
    assert all(any(is_of(tile, image) for image in trained(KINDS[worst])) for tile in shown[:4])
    assert all(is_of(tile, image) for tile, image in zip(shown[4:], painted, strict=True))
    most = max(read_table(report / "pictures.parquet"), key=lambda row: row["correlation"])
    number, index = map(int, most["nearest_id"].split("-"))
    first, second = tiles(report / "originals.webp", 8)[:2]
    with Image.open(gallery / most["path"]) as image:
        assert is_of(first, image.convert("RGB"))
    assert is_of(second, trained(KINDS[number])[index])


def test_the_same_gallery_gives_the_same_report(world, reported, tmp_path):
    gallery, report = reported("a perfect model")
    report_species(gallery, world.clusters, world.dataset, tmp_path, **SETTINGS)
    names = {path.name for path in report.iterdir()}
    assert names == {path.name for path in tmp_path.iterdir()}
    assert all((tmp_path / name).read_bytes() == (report / name).read_bytes() for name in names)


def test_one_picture_of_each_has_no_variety_and_no_kid_but_may_be_a_copy(world, tmp_path):
    gallery = paint_gallery(tmp_path / "gallery", [trained(KINDS[0])[:1], *(each[:1] for each in SOUND[1:])])
    report_species(gallery, world.clusters, world.dataset, tmp_path, **SETTINGS)
    first = next(entry for entry in read(tmp_path)["species"] if entry["species_id"] == "species-00")
    assert (first["variety"], first["kid"], first["is_varied"], first["copies"]) == (None, None, None, 1)
    assert check_every_species_told(tmp_path, gallery).passed
    assert "3 species are not judged" in check_species_varied(tmp_path).finding


def test_a_report_that_leaves_something_out_is_not_whole(reported, tmp_path):
    gallery, report = reported("a perfect model")
    content = read(report)
    content["species"] = content["species"][1:]
    content["species"][0]["kid"] = math.nan
    (tmp_path / "report.json").write_text(json.dumps(content))
    rows = read_table(report / "pictures.parquet")
    write_table(tmp_path / "pictures.parquet", rows[1:], PICTURES)
    verdict = check_every_species_told(tmp_path, gallery)
    assert not verdict.passed
    assert verdict.figures["faults"] == 3


def test_a_gallery_without_species_or_of_others_is_refused(world, tmp_path):
    with pytest.raises(InputError, match="holds no picture of a species prompt"):
        report_species(
            paint_gallery(tmp_path / "none", []), world.clusters, world.dataset, tmp_path, **SETTINGS
        )
    more = paint_gallery(tmp_path / "more", SOUND)
    dataset = tmp_path / "dataset"
    _without(world.dataset, dataset, "species-01")
    with pytest.raises(InputError, match=r"'species-01'.* of which .*holds no image"):
        report_species(more, world.clusters, dataset, tmp_path, **SETTINGS)


def _without(dataset, folder, species_id):
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    (folder / "data").mkdir(parents=True)
    for shard in (dataset / "data").iterdir():
        table = pq.read_table(shard)
        pq.write_table(table.filter(pc.field("species_id") != species_id), folder / "data" / shard.name)
