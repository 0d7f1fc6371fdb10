"""The pictures of a growth: `python docs/pictures.py STORE` writes them beside it.

They are captions.webp, growth.webp, forms.webp, screens.webp and, where there is a species report, species_report.webp.
Where there is an atlas, its pictures and resolution_atlas.csv, the table that resolution_atlas.md quotes.

The species are those that are recognised best; no picture is chosen by hand.
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

from PIL import Image

from fungal_assets.forms.keeping import load_volume
from fungal_assets.forms.showing import pictures
from fungal_assets.forms.video import decode
from fungal_assets.forms.volume import Camera
from fungal_assets.galleries.reading import open_picture, read_gallery
from fungal_assets.nomenclature.species import read_species
from fungal_assets.previews import contact_sheet
from fungal_assets.shards import read_table
from fungal_assets.store import Store

SPECIES, EACH = 6, 2
HEIGHT_PX = 280
CONTROLS = ("hamburger", "car", "elephant")
VIEWS = (("8 deg up", Camera(0, 8)), ("from its side", Camera(90, 8)), ("40 deg up", Camera(0, 40)))


def draw_growth(store: Store, partition: str) -> Image.Image:
    """Pictures of the best species, and below them of control prompts by the base and the tuned model."""
    gallery = store.get("sample_galleries", partition).path
    names = {one.species_id: one.common_name for one in read_species(store.get("species").path)}
    told = json.loads((gallery / "recognition.json").read_text())["species"]
    best = sorted(told, key=lambda one: (-one["recognised"], -one["similarity"]))[:SPECIES]
    rows = read_gallery(gallery)
    shown = [
        (row, names[one["species_id"]])
        for one in best
        for row in [r for r in rows if r["kind"] == "species" and r["species_id"] == one["species_id"]][:EACH]
    ]
    for word in CONTROLS:
        for model in ("base", "tuned"):
            own = [r for r in rows if r["kind"] == "control" and r["model"] == model and word in r["text"]]
            shown += [(row, f"{model}: {word}") for row in own[:EACH]]
    images = [open_picture(gallery, row) for row, _ in shown]
    return contact_sheet(images, columns=SPECIES * EACH, labels=[label for _, label in shown])


def draw_forms(store: Store, partition: str) -> Image.Image:
    """Each form's first guess, and three views of it."""
    folder = store.get("forms_3d", partition).path
    images, labels = [], []
    for notes in sorted(folder.glob("*/form.json")):
        name = json.loads(notes.read_text())["common_name"]
        guess = notes.with_name("first_guess.webp")
        images.append(Image.open(guess).convert("RGB") if guess.exists() else Image.new("RGB", (160, 160)))
        labels.append(f"{name}: first guess" if guess.exists() else f"{name}: from an egg")
        volume = load_volume(notes.with_name("form.npz"))
        views = pictures(volume, [camera for _, camera in VIEWS], 160)
        images += [Image.fromarray(pixels) for pixels in views]
        labels += [label for label, _ in VIEWS]
    return contact_sheet(images, columns=2 * (1 + len(VIEWS)), tile_px=160, labels=labels, ground="#000000")


def draw_screens(store: Store, partition: str) -> Image.Image:
    """The first form that was filmed, in each format: films by their first frame, side by side at one height."""
    folder = store.get("videos_3d", partition).path
    film = json.loads((folder / "videos.json").read_text())["videos"][0]
    shown = []
    for name in film["files"]:
        path = folder / film["slug"] / name
        picture = (
            Image.fromarray(next(decode(path))) if path.suffix == ".mp4" else Image.open(path).convert("RGB")
        )
        shown.append(picture.resize((round(picture.width * HEIGHT_PX / picture.height), HEIGHT_PX)))
    gap_px = 6
    sheet = Image.new(
        "RGB", (sum(one.width + gap_px for one in shown) + gap_px, HEIGHT_PX + 2 * gap_px), "#303030"
    )
    left = gap_px
    for one in shown:
        sheet.paste(one, (left, gap_px))
        left += one.width + gap_px
    return sheet


def write_atlas(store: Store, partition: str, here: Path) -> None:
    """The atlas's pictures, and its likenesses block by block: at the first step, and the mean over all steps."""
    output = store.find("resolution_atlas", partition)
    if output is None:
        return
    for name in ("atlas", "pictures"):
        suffix = "" if name == "atlas" else f"_{name}"
        shutil.copyfile(output.path / f"{name}.webp", here / f"resolution_atlas{suffix}.webp")
    alignments, places = (read_table(output.path / f"{name}.parquet") for name in ("alignments", "places"))
    native = json.loads((output.path / "atlas.json").read_text())["native_px"]
    shared = {row["block"]: row for row in places if row["size_px"] == native}
    compared = list(dict.fromkeys(row["compared"] for row in alignments))
    lines = []
    for block in dict.fromkeys(row["block"] for row in alignments):
        cells = [block]
        for one in compared:
            own = [r for r in alignments if (r["block"], r["compared"]) == (block, one)]
            values = [row["alignment"] for row in own if row["alignment"] is not None]
            first = next((row["alignment"] for row in own if row["step"] == 0), None)
            cells += [_figure(first), _figure(sum(values) / len(values) if values else None)]
        place = shared.get(block, {})
        lines.append([*cells, _figure(place.get("shared")), _figure(place.get("shared_wrapped"))])
    titles = [f"{one}: {when}" for one in compared for when in ("first step", "all steps")]
    with (here / "resolution_atlas.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["block", *titles, "alike by place", "alike by place, borders joined"])
        writer.writerows(lines)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def main() -> None:
    """Draw all from the newest growth in a store, which must be of the shipped specimens."""
    store, here = Store(sys.argv[1]), Path(__file__).parent
    shutil.copyfile(store.get("captions").path / "sheet.webp", here / "captions.webp")
    partition = str(store.newest_partition("forms_3d"))
    draw_growth(store, partition).save(here / "growth.webp", quality=85)
    report = store.find("species_report", partition)
    if report is not None:
        shutil.copyfile(report.path / "real_and_painted.webp", here / "species_report.webp")
    draw_forms(store, partition).save(here / "forms.webp", quality=85)
    draw_screens(store, partition).save(here / "screens.webp", quality=85)
    write_atlas(store, partition, here)


if __name__ == "__main__":
    main()
