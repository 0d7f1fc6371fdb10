"""The species report: of each species whether it is itself, new, varied, of its own making and free of flaws.

Each figure stands beside what real pictures have (`distances.floors`), because a figure of four paintings means nothing
alone. A painting is further from photographs than photographs from each other, whatever it shows; so the kernel
distance is told with its floor and with that of other species' real pictures, and never fails by itself.
Belongs here: the stage from a gallery to its report and sheets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fungal_assets.errors import InputError
from fungal_assets.galleries.copies import SIDE_PX, find_original, layouts
from fungal_assets.galleries.flaws import MAX_SHARED_GRID, find_flaws, has_grid, shared_grid
from fungal_assets.galleries.originals import Originals, read_images, read_originals
from fungal_assets.galleries.planning import TUNED
from fungal_assets.galleries.reading import (
    embed_pictures,
    open_as_drawn,
    open_picture,
    open_pictures,
    read_gallery,
)
from fungal_assets.galleries.species_figures import (
    Looked,
    count_flaws,
    find_spoiler,
    is_cause,
    measure_species,
)
from fungal_assets.galleries.species_sheets import draw_confusion, draw_originals, draw_species
from fungal_assets.progress import Tell, stay_silent
from fungal_assets.shards import write_table
from fungal_assets.store import Figures, write_atomically

SHOWN_REAL = 4
PICTURES = pa.schema(
    [
        ("path", pa.string()),
        ("species_id", pa.string()),
        ("kind", pa.string()),
        ("text", pa.string()),
        ("nearest_id", pa.string()),
        ("cosine", pa.float32()),
        ("correlation", pa.float32()),
        ("is_copied", pa.bool_()),
        ("is_pixelated", pa.bool_()),
        ("is_blank", pa.bool_()),
    ]
)
ADVICE = {
    "copies": "Pictures are training images again: lower max_steps of fine_tuned_weights (try half).",
    "blank": "Pictures are blank: lower learning_rate of fine_tuned_weights (try half).",
    "pixelated": "Pictures are made of blocks: look for enlarged pictures in the source.",
    "is_varied": "Pictures of one name are all alike: lower learning_rate of fine_tuned_weights (try half).",
    "is_new": "Species look like other clusters: lower max_clusters of clusters.",
    "is_itself": "Names mean little to the weights yet: raise max_steps of fine_tuned_weights (try double).",
}
Row = Mapping[str, Any]


def report_species(
    sample_galleries: Path,
    clusters: Path,
    captioned_dataset: Path,
    folder: Path,
    *,
    min_variety: float,
    max_copied_share: float,
    tell: Tell = stay_silent,
) -> Figures:
    """Hold the pictures of every species against the real images, and write the report and its sheets.

    Args:
        sample_galleries: A complete gallery.
        clusters: The clusters that its species name.
        captioned_dataset: What its model was tuned on.
        folder: Where `report.json`, `pictures.parquet`, `confusion.webp`, `real_and_painted.webp` and `originals.webp`
            go.
        min_variety: Least mean distance between pictures of a species, as a share of that between its real images.
        max_copied_share: Which share of all pictures may be copies of training images, 0 to 1.
        tell: Gets lines of progress.

    Raises:
        InputError: The gallery has no pictures of species, or they are of other clusters or another dataset.
        ProvenanceError: The extractor that found the clusters is not recorded, or has other weights now.
    """
    from fungal_assets.morphology.extractors import recorded_extractor

    rows = [
        row for row in read_gallery(sample_galleries) if row["model"] == TUNED and row["kind"] != "control"
    ]
    named = [row for row in rows if row["kind"] == "species"]
    if not named:
        raise InputError(
            f"{sample_galleries} holds no picture of a species prompt. Sample it again: fungal grow --until "
            "sample_galleries"
        )
    extractor = recorded_extractor(clusters)
    vectors = embed_pictures(sample_galleries, rows, extractor)
    laid_out = np.stack([layouts(image) for image in open_pictures(sample_galleries, rows)])
    originals = read_originals(captioned_dataset, vectors, laid_out, extractor, shown=SHOWN_REAL, tell=tell)
    _refuse_other_species(named, originals, captioned_dataset)
    looked = _look(sample_galleries, captioned_dataset, rows, originals)
    flaws, grid = count_flaws(looked), shared_grid(open_as_drawn(sample_galleries, rows))
    is_named = np.array([row["kind"] == "species" for row in rows])
    found, confusion = measure_species(
        [each for each in looked if each.row["kind"] == "species"],
        vectors[is_named],
        originals,
        clusters,
        min_variety,
        find_spoiler(flaws["copies"] / len(looked), max_copied_share, grid),
    )
    report = _summarise(found, confusion, len(looked), flaws, originals, grid, min_variety, max_copied_share)
    write_table(folder / "pictures.parquet", [_as_row(each) for each in looked], PICTURES)
    draw_confusion(confusion, report["chance"], folder / "confusion.webp")
    draw_species(
        sample_galleries,
        captioned_dataset,
        named,
        report["species"],
        originals,
        folder / "real_and_painted.webp",
    )
    draw_originals(sample_galleries, captioned_dataset, looked, folder / "originals.webp")
    write_atomically(folder / "report.json", json.dumps(report, indent=1))
    tell(report["verdict"])
    return report["figures"]


def _refuse_other_species(rows: Sequence[Row], originals: Originals, captioned_dataset: Path) -> None:
    unknown = sorted({row["species_id"] for row in rows} - originals.vectors.keys())
    if unknown:
        raise InputError(
            f"the gallery has the species {unknown!r}, of which {captioned_dataset} holds no image. Grow both again: "
            "fungal grow --until sample_galleries"
        )


def _look(
    sample_galleries: Path, captioned_dataset: Path, rows: Sequence[Row], originals: Originals
) -> list[Looked]:
    """Each picture with the training image that it is most like, and its flaws."""
    proposed = [originals.candidates(number) for number in range(len(rows))]
    real = read_images(captioned_dataset, {name for each in proposed for name in each}, side_px=SIDE_PX)
    looked = []
    for row, each in zip(rows, proposed, strict=True):
        image = open_picture(sample_galleries, row)
        candidates = [(name, cosine, real[name]) for name, cosine in each.items()]
        looked.append(Looked(row, find_original(image, candidates), find_flaws(image)))
    return looked


def _summarise(
    found: Sequence[dict[str, Any]],
    confusion: Mapping[str, Any],
    pictures: int,
    flaws: Mapping[str, int],
    originals: Originals,
    grid: float | None,
    min_variety: float,
    max_copied_share: float,
) -> dict[str, Any]:
    holds = {key: sum(bool(entry[key]) for entry in found) for key in ("is_itself", "is_new", "is_varied")}
    kids = [entry["kid"] for entry in found if entry["kid"] is not None]
    figures = {
        "species": len(found),
        "pictures": pictures,
        "themselves": holds["is_itself"],
        "new": holds["is_new"],
        "varied": holds["is_varied"],
        "judged_for_variety": sum(entry["is_varied"] is not None for entry in found),
        "copies": flaws["copies"],
        "copied_share": round(flaws["copies"] / pictures, 4),
        "pixelated": flaws["pixelated"],
        "blank": flaws["blank"],
        "shared_grid": "undefined" if grid is None else round(grid, 4),
        "median_kid": round(float(np.median(kids)), 4) if kids else "undefined",
        "real_images": originals.images,
    }
    return {
        "figures": figures,
        "verdict": _phrase(figures, grid),
        "advice": _advise(figures, found, has_grid(grid)),
        "min_variety": min_variety,
        "max_copied_share": max_copied_share,
        "chance": round(1 / confusion["clusters"], 4),
        "species": list(found),
        "confusion": dict(confusion),
    }


def _phrase(figures: Mapping[str, Any], grid: float | None) -> str:
    """What was found, in a sentence or two."""
    judged = figures["judged_for_variety"]
    varied = f"{figures['varied']} are varied"
    if judged < figures["species"]:
        varied = (
            f"{figures['varied']} of {judged} judged are varied" if judged else "none is judged for variety"
        )
    said = (
        f"Of {figures['species']} species {figures['themselves']} are themselves, {figures['new']} are unlike every "
        f"other cluster and {varied}; of {figures['pictures']} pictures {figures['copies']} are "
        f"copies of training images, {figures['pixelated']} are made of blocks and {figures['blank']} are blank."
    )
    if has_grid(grid):
        said += (
            f" All have their edges on one grid, {grid:.2f} of it where at most {MAX_SHARED_GRID:g} "
            "was expected: blocks, painted softly."
        )
    return said


def _advise(figures: Mapping[str, Any], found: Sequence[Mapping[str, Any]], is_on_a_grid: bool) -> str:
    """The one setting to change: of what is wrong and follows from nothing else, that which spoils most."""
    wrong = {**figures, "pixelated": figures["pixelated"] or is_on_a_grid}
    for key, advice in ADVICE.items():
        if wrong[key] if key in wrong else any(is_cause(entry, key) for entry in found):
            return advice
    return "Nothing needs to change."


def _as_row(each: Looked) -> dict[str, Any]:
    return {
        **{name: each.row[name] for name in ("path", "species_id", "kind", "text")},
        "nearest_id": each.original.image_id,
        "cosine": each.original.cosine,
        "correlation": each.original.correlation,
        "is_copied": each.original.is_copied,
        "is_pixelated": each.flaws.is_pixelated,
        "is_blank": each.flaws.is_blank,
    }
