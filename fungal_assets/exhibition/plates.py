"""A plate: one species as a page shows it, its media on the shelf.

Belongs here: which picture, film and mesh of a species go on the site and under which words. The facts come from
`growth`, the look from the templates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from fungal_assets.exhibition.growth import SpeciesFacts, Wording
from fungal_assets.exhibition.media import Shelf, choose_typical, open_picture, read_first_frame
from fungal_assets.exhibition.solids import PAGE_BYTES, list_levels, pick_level, to_text
from fungal_assets.exhibition.wording import to_href, to_roman, to_sentence_case, to_size

_MESHES = {
    "glb": "glTF binary (GLB)",
    "usdz": "for phones and tablets (USDZ)",
    "ply": "with vertex colours (PLY)",
}
HIDDEN_FORM_FIELDS = ("species_id", "slug", "prompt", "common_name", "scientific_name")


@dataclass(frozen=True)
class Picture:
    """A picture on a page: its link from the root, what it shows, what stands below it."""

    href: str
    alt: str
    note: str = ""


@dataclass(frozen=True)
class Download:
    """A file to take home: its link from the root, what it is, its size."""

    href: str
    label: str
    size: str
    size_bytes: int


@dataclass(frozen=True)
class Answer:
    """A prompt and its pictures."""

    kind: str
    text: str
    pictures: list[Picture]


@dataclass(frozen=True)
class Plate:
    """One species as it is shown.

    Args:
        number: Roman numeral, in the order of the clusters.
        facts: What is known of it.
        name: The common name in sentence case.
        href: Link of its page from the root.
        poster: The picture on its card: the first frame of its film, or its most typical gallery picture, or its
            cluster's medoid; None where there is none of these.
        poster_kind: `"form"`, `"gallery"`, `"specimen"` or `"none"`.
        video: Link of its turntable, or None.
        solid: Link of the script that carries its mesh, or None.
        first_guess: The picture that its form began as, or None.
        views: Sheet of the views of its form, or None.
        group: A cluster of its individuals, or None.
        downloads: Meshes, films for other screens and the pyramid's template, where there are.
        specimens: Medoid and nearest members of its cluster.
        answers: Its prompts with pictures, the species prompt first.
        form_figures: Numbers of `form.json`.
    """

    number: str
    facts: SpeciesFacts
    name: str
    href: str
    poster: Picture | None
    poster_kind: str
    video: str | None
    solid: str | None
    first_guess: Picture | None
    views: Picture | None
    group: Picture | None
    downloads: list[Download]
    specimens: list[Picture]
    answers: list[Answer]
    form_figures: dict[str, Any]


def set_plate(facts: SpeciesFacts, number: int, specimens: Sequence[Image.Image], shelf: Shelf) -> Plate:
    """Put a species' media on the shelf.

    Args:
        facts: The species.
        number: Its plate's number, from 1.
        specimens: Tiles of its cluster, in the order of its specimen captions.
        shelf: Where the files go.
    """
    video = _file_in(facts.video_folder, "turntable.mp4")
    poster, kind = _pick_poster(facts, video, specimens, shelf)
    name = to_sentence_case(facts.common_name)
    return Plate(
        number=to_roman(number),
        facts=facts,
        name=name,
        href=to_href(f"species/{facts.slug}.html"),
        poster=poster,
        poster_kind=kind,
        video=shelf.put_copy(video, f"{facts.slug}-turntable") if video else None,
        solid=_put_solid(facts, shelf),
        first_guess=_put_of_form(facts, "first_guess", f"{name}: the picture that its form began as", shelf),
        views=_put_of_form(facts, "views", f"{name}: its form seen from several sides", shelf),
        group=_put_still(
            facts.video_folder, "group.png", f"{facts.slug}-group", f"{name}: a group of it", shelf
        ),
        downloads=_put_downloads(facts, shelf),
        specimens=_put_specimens(facts, specimens, shelf),
        answers=[put_answer(wording, shelf) for wording in facts.wordings],
        form_figures=_list_form_figures(facts.form or {}),
    )


def put_answer(wording: Wording, shelf: Shelf) -> Answer:
    """Put the pictures of one prompt on the shelf."""
    pictures = [
        Picture(
            href=shelf.put_picture(open_picture(sample.path), f"{sample.prompt_id}-{sample.seed}"),
            alt=f"Grown picture for the prompt “{sample.text}”, seed {sample.seed}",
            note=f"seed {sample.seed}",
        )
        for sample in wording.samples
    ]
    return Answer(wording.kind, wording.text, pictures)


def _file_in(folder: Path | None, name: str) -> Path | None:
    path = folder / name if folder else None
    return path if path and path.is_file() else None


def _pick_poster(
    facts: SpeciesFacts, video: Path | None, specimens: Sequence[Image.Image], shelf: Shelf
) -> tuple[Picture | None, str]:
    """The picture of the card, and what it is of."""
    own = [sample for wording in facts.wordings if wording.kind == "species" for sample in wording.samples]
    name = to_sentence_case(facts.common_name)
    if video:
        image, kind, alt = read_first_frame(video), "form", f"{name}: its form in three dimensions, on black"
    elif own:
        grown = [open_picture(sample.path) for sample in own]
        image, kind, alt = grown[choose_typical(grown)], "gallery", f"{name}: a picture grown from its name"
    elif specimens:
        image, kind, alt = specimens[0], "specimen", f"{name}: the specimen at the middle of its cluster"
    else:
        return None, "none"
    return Picture(shelf.put_picture(image, f"{facts.slug}-poster"), alt), kind


def _put_of_form(facts: SpeciesFacts, stem: str, alt: str, shelf: Shelf) -> Picture | None:
    """A picture of the form's folder, if it is there."""
    return _put_still(facts.form_folder, f"{stem}.webp", f"{facts.slug}-{stem}", alt, shelf)


def _put_still(folder: Path | None, file_name: str, name: str, alt: str, shelf: Shelf) -> Picture | None:
    """A picture of a folder, if it is there."""
    path = _file_in(folder, file_name)
    return Picture(shelf.put_picture(open_picture(path), name), alt) if path else None


def _put_solid(facts: SpeciesFacts, shelf: Shelf) -> str | None:
    """The mesh that its page shows, in a script."""
    levels = list_levels(facts.mesh_folder, facts.slug)
    if not levels:
        return None
    return shelf.put_script(
        {facts.slug: to_text(pick_level(levels, PAGE_BYTES))}, "SOLIDS", f"{facts.slug}-solid"
    )


def _put_downloads(facts: SpeciesFacts, shelf: Shelf) -> list[Download]:
    """What there is to take home; a quilt keeps the end of its name, which tells players its layout."""
    videos = facts.video_folder
    offered = [
        *(
            (_file_in(facts.mesh_folder, f"{facts.slug}_LOD0.{suffix}"), "mesh", f"Mesh, {label}")
            for suffix, label in _MESHES.items()
        ),
        (_file_in(videos, "pyramid.mp4"), "pyramid", "Film for a Pepper’s ghost pyramid (MP4)"),
        (
            _file_in(videos and videos.parent, "pyramid_template.svg"),
            "pyramid-template",
            "That pyramid, to cut (SVG)",
        ),
        (_file_in(videos, "black.mp4"), "black", "Film for a transparent screen or a hologram fan (MP4)"),
        (_file_in(videos, "vertical.mp4"), "vertical", "Film for a phone held upright (MP4)"),
        (_file_in(videos, "group.mp4"), "group-film", "Film of a group (MP4)"),
        (_file_in(videos, "group.json"), "group", "Where the individuals of a group stand (JSON)"),
        *(
            (path, path.stem, f"Quilt for a Looking Glass ({path.suffix[1:].upper()})")
            for path in (sorted(videos.glob("quilt_qs*")) if videos else [])
        ),
    ]
    return [
        Download(
            shelf.put_copy(path, f"{facts.slug}-{stem}"),
            label,
            to_size(path.stat().st_size),
            path.stat().st_size,
        )
        for path, stem, label in offered
        if path
    ]


def _put_specimens(facts: SpeciesFacts, specimens: Sequence[Image.Image], shelf: Shelf) -> list[Picture]:
    return [
        Picture(
            href=shelf.put_picture(image, f"{facts.slug}-specimen-{index}"),
            alt=f"Specimen: {caption or facts.common_name}",
            note=caption,
        )
        for index, (image, caption) in enumerate(zip(specimens, facts.specimen_captions, strict=True), 1)
    ]


def _list_form_figures(form: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of `form.json`; hashes and names stand elsewhere on the page."""
    return {
        key: value
        for key, value in form.items()
        if isinstance(value, int | float | str) and key not in HIDDEN_FORM_FIELDS and "sha256" not in key
    }
