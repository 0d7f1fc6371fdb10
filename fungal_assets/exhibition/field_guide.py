"""The field guide of a growth: plates of its species, its model and what that forgot, and what came from what.

Belongs here: the order of the work and the guide's index for machines.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fungal_assets.exhibition.forest import Standing, draw_forest, gather_standings
from fungal_assets.exhibition.growth import Growth, read_growth
from fungal_assets.exhibition.lineage import draw_lineage
from fungal_assets.exhibition.media import Shelf, cut_montage, open_picture
from fungal_assets.exhibition.model_pages import ModelPages, find_sizes, find_tuned
from fungal_assets.exhibition.pages import Site
from fungal_assets.exhibition.plates import Plate, put_answer, set_plate
from fungal_assets.exhibition.records import Ancestor, gather_ancestors, licences_of
from fungal_assets.exhibition.scores import tally_controls
from fungal_assets.progress import Tell, follow, stay_silent
from fungal_assets.store import Figures, size_mb, write_atomically

INDEX_NAME = "guide.json"


def build_field_guide(
    species: Path,
    clusters: Path,
    captions: Path,
    prompts: Path,
    sample_galleries: Path,
    forgetting_report: Path,
    species_report: Path,
    forms_3d: Path,
    meshes: Path,
    videos_3d: Path,
    fine_tuned_weights: Path,
    folder: Path,
    resolution_atlas: Path | None = None,
    weights_comparison: Path | None = None,
    *,
    title: str,
    tell: Tell = stay_silent,
) -> Figures:
    """Build the guide.

    Args:
        species: Output of the stage of that name; the next nine likewise, each with its record.
        clusters: With `montage.webp`, from which the specimens are cut.
        captions: With `captions.parquet`.
        prompts: With `prompts.json`.
        sample_galleries: With `gallery.parquet` and the pictures.
        forgetting_report: With `report.json` and `scores.parquet`; its pictures where they were drawn.
        species_report: With `report.json` and its three sheets.
        forms_3d: One folder per species that was grown as an object.
        meshes: One folder per species that has meshes.
        videos_3d: One folder per species that was filmed.
        fine_tuned_weights: With `training.json` and `curves.png`; what the gallery's weights were pruned from.
        folder: Where `index.html`, `species/`, `training.html`, `forgetting.html`, `species-report.html`,
            `provenance.html`, `guide.css`, `guide.json` and `media/` go; `walk.html` and scripts where a species has
            a form, `sizes.html` and `comparison.html` where what they show is given.
        resolution_atlas: Of the gallery's weights too, or None where there is none.
        weights_comparison: Of the gallery's weights and others, or None where there is none.
        title: Title of the guide.
        tell: Told how far it is.

    Returns:
        `species`, `forms`, `pages`, `pictures` and `size_mb`.

    Raises:
        InputError: A file of an input is missing or does not fit the others, or an output is of other weights.
        ProvenanceError: An input has no record.
    """
    inputs = (
        species,
        clusters,
        captions,
        prompts,
        sample_galleries,
        forgetting_report,
        species_report,
        forms_3d,
        meshes,
        videos_3d,
    )
    asked_for = {"resolution_atlas": resolution_atlas, "weights_comparison": weights_comparison}
    of_model = [path for path in (fine_tuned_weights, *asked_for.values()) if path]
    ancestors, growth = gather_ancestors([*inputs, *of_model]), read_growth(*inputs)
    sizes, tuned_sha256 = find_sizes(sample_galleries), find_tuned(ancestors, asked_for)
    model = ModelPages(fine_tuned_weights, sizes, resolution_atlas, weights_comparison, tuned_sha256)
    shelf = Shelf(folder)
    plates = _set_plates(growth, clusters, shelf, tell)
    standings, partition = gather_standings(plates, meshes), _partition_of(ancestors)
    shared = {"title": title, "plates": plates, "partition": partition, "standings": standings}
    site = Site(folder, shared | {"chapters": _chapters(model, standings)})
    site.write_style()
    headline = _headline(growth, plates)
    strays = [answer for wording in growth.strays if (answer := put_answer(wording, shelf)).pictures]
    site.write_page("index.html", "index.html", headline=headline, strays=strays, clusters=growth.clusters)
    records = {each.name.partition("/")[0]: each for each in ancestors if each.is_input}
    _write_plates(site, plates, growth, records)
    if standings:
        _write_walk(site, shelf, plates, standings, records)
    _write_reports(site, shelf, plates, growth, forgetting_report, species_report)
    model.write(site, shelf)
    site.write_page(
        "provenance.html",
        "provenance.html",
        ancestors=ancestors,
        lineage=draw_lineage(ancestors),
        licences=licences_of(ancestors),
        seconds=sum(each.record.seconds for each in ancestors if each.record),
    )
    figures = {
        "species": len(plates),
        "forms": headline["forms"],
        "pages": len(site.pages),
        "pictures": shelf.picture_count,
    }
    _write_index(folder, title, plates, headline, ancestors, site.pages)
    return figures | {"size_mb": size_mb(folder)}


def _set_plates(growth: Growth, clusters: Path, shelf: Shelf, tell: Tell) -> list[Plate]:
    """All plates, with the specimens of each cut from the montage."""
    rows = {cluster["cluster_id"]: row for row, cluster in enumerate(growth.clusters["clusters"])}
    counts = [1 + len(cluster["member_ids_near"]) for cluster in growth.clusters["clusters"]]
    tiles = cut_montage(open_picture(clusters / "montage.webp"), counts)
    return [
        set_plate(facts, number, tiles[rows[facts.cluster_id]], shelf)
        for number, facts in enumerate(follow(growth.species, tell, "plates", len(growth.species)), 1)
    ]


def _chapters(model: ModelPages, standings: Sequence[Standing]) -> list[tuple[str, str]]:
    """All pages of the running head, each with its word."""
    first, *others = model.chapters
    return [first, *([("walk.html", "Walk")] if standings else []), *others]


def _write_walk(
    site: Site,
    shelf: Shelf,
    plates: Sequence[Plate],
    standings: Sequence[Standing],
    records: Mapping[str, Ancestor],
) -> None:
    """The forest of all species that have a form, and the scripts that draw it and the forms."""
    site.write_scripts()
    shelf.put_script(draw_forest(standings), "FOREST", "walk")
    site.write_page("walk.html", "walk.html", absent=_name_absent(plates, standings), records=records)


def _write_plates(
    site: Site, plates: Sequence[Plate], growth: Growth, records: Mapping[str, Ancestor]
) -> None:
    """A page for each species."""
    for index, plate in enumerate(plates):
        around = {"previous": plates[index - 1], "following": plates[(index + 1) % len(plates)]}
        path = f"species/{plate.facts.slug}.html"
        site.write_page(
            path, "species.html", plate=plate, **around, recognition=growth.recognition, records=records
        )


def _write_reports(
    site: Site,
    shelf: Shelf,
    plates: Sequence[Plate],
    growth: Growth,
    forgetting_report: Path,
    species_report: Path,
) -> None:
    """The account of forgetting, and the species held against the real."""
    site.write_page(
        "forgetting.html",
        "forgetting.html",
        report=growth.report,
        rows=tally_controls(growth.scores),
        sheet=_put_if_there(forgetting_report / "side_by_side.webp", "forgetting-side-by-side", shelf),
        course_figure=_put_if_there(
            forgetting_report / "over_training.png", "forgetting-over-training", shelf
        ),
        course_sheet=_put_if_there(forgetting_report / "when.webp", "forgetting-when", shelf),
    )
    site.write_page(
        "species-report.html",
        "species-report.html",
        looks=growth.looks,
        sheets=_put_sheets(species_report, shelf),
        plate_of={plate.facts.species_id: plate for plate in plates},
    )


def _put_if_there(path: Path, name: str, shelf: Shelf) -> str | None:
    """Link of a picture; None where it was not drawn."""
    return shelf.put_picture(open_picture(path), name) if path.is_file() else None


def _name_absent(plates: Sequence[Plate], standings: Sequence[Standing]) -> list[str]:
    """The species that cannot stand in the walk."""
    there = {standing.slug for standing in standings}
    return [plate.name for plate in plates if plate.facts.slug not in there]


def _put_sheets(species_report: Path, shelf: Shelf) -> dict[str, str]:
    """Links of the sheets of a species report, by what they show."""
    return {
        name: shelf.put_picture(open_picture(species_report / f"{name}.webp"), f"species-report-{name}")
        for name in ("real_and_painted", "originals", "confusion")
    }


def _partition_of(ancestors: Sequence[Ancestor]) -> str:
    """The partition key of the growth, such as `lora|128`."""
    keys = [each.name.partition("/")[2] for each in ancestors if each.is_input]
    return next((key for key in keys if "|" in key), "")


def _headline(growth: Growth, plates: Sequence[Plate]) -> dict[str, Any]:
    """The numbers over the plates; None where a growth does not tell."""
    return {
        "species": len(plates),
        "specimens": sum(plate.facts.size for plate in plates),
        "forms": sum(plate.facts.form is not None for plate in plates),
        "recognised": growth.recognition.get("species_recognised"),
        "chance": growth.recognition.get("chance"),
        "retention": growth.report["retention"],
        "interval": growth.report.get("interval"),
    }


def _write_index(
    folder: Path,
    title: str,
    plates: Sequence[Plate],
    headline: Mapping[str, Any],
    ancestors: Sequence[Ancestor],
    pages: Sequence[str],
) -> None:
    """The guide for machines."""
    index = {
        "title": title,
        "headline": headline,
        "pages": list(pages),
        "species": [_index_entry(plate) for plate in plates],
        "inputs": {each.name: each.content_hash for each in ancestors if each.is_input},
    }
    write_atomically(folder / INDEX_NAME, json.dumps(index, indent=1, ensure_ascii=True))


def _index_entry(plate: Plate) -> dict[str, Any]:
    facts = plate.facts
    return {
        "species_id": facts.species_id,
        "common_name": facts.common_name,
        "scientific_name": facts.scientific_name,
        "slug": facts.slug,
        "page": plate.href,
        "poster": plate.poster.href if plate.poster else None,
        "video": plate.video,
        "solid": plate.solid,
        "downloads": [download.href for download in plate.downloads],
        "pictures": [picture.href for answer in plate.answers for picture in answer.pictures],
    }
