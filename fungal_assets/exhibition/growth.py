"""What a growth says about each of its species, gathered from the stages' outputs.

Belongs here: reading the inputs of the guide into plain data. Where a picture lies on the site, and what a page looks
like, is not decided here. A species without a form, a film, a gallery picture or a caption has none; that is no error.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fungal_assets.errors import InputError
from fungal_assets.shards import read_table

MARKS = {
    "colour_names": "Colour",
    "habitat": "Habitat",
    "count": "Habit",
    "size_in_frame": "Size in frame",
    "closeness": "Seen",
}
MARK_VALUES = 3
LEAST_SHARE = 0.08


@dataclass(frozen=True)
class Mark:
    """A trait of a species as its captions have it: its values, the commonest first, with their share of captions."""

    label: str
    values: list[tuple[str, float]]


@dataclass(frozen=True)
class Sample:
    """One picture of the gallery, of the tuned model."""

    path: Path
    prompt_id: str
    text: str
    seed: int


@dataclass(frozen=True)
class Wording:
    """One prompt and the pictures that answer it."""

    prompt_id: str
    kind: str
    text: str
    samples: list[Sample]


@dataclass(frozen=True)
class SpeciesFacts:
    """All that is known of one species.

    Args:
        species_id: `species-00` and on.
        cluster_id: The cluster that it names.
        common_name: As it was invented.
        scientific_name: Genus and epithet.
        slug: File name of its page.
        colour_names: Its main colours.
        size: Specimens in its cluster.
        specimen_captions: Captions of the medoid and of the members nearest to it, as the montage shows them.
        marks: What its captions say.
        wordings: Its prompts, the species prompt first.
        recognition: Its entry of `recognition.json`, or empty.
        form: `form.json`, or None where it was not grown as an object.
        form_folder: Folder with its views, or None.
        mesh_folder: Folder with its meshes, or None.
        video_folder: Folder with its films, or None.
    """

    species_id: str
    cluster_id: int
    common_name: str
    scientific_name: str
    slug: str
    colour_names: list[str]
    size: int
    specimen_captions: list[str]
    marks: list[Mark]
    wordings: list[Wording]
    recognition: Mapping[str, Any]
    form: Mapping[str, Any] | None
    form_folder: Path | None
    mesh_folder: Path | None
    video_folder: Path | None


@dataclass(frozen=True)
class Growth:
    """A growth as the guide shows it.

    Args:
        species: In the order of the clusters.
        strays: Prompts that belong to no single species, with their pictures.
        clusters: `clusters.json`.
        recognition: `recognition.json`, or empty.
        report: `report.json` of the forgetting report.
        looks: `report.json` of the species report.
        scores: Rows of `scores.parquet`.
    """

    species: list[SpeciesFacts]
    strays: list[Wording]
    clusters: Mapping[str, Any]
    recognition: Mapping[str, Any]
    report: Mapping[str, Any]
    looks: Mapping[str, Any]
    scores: list[dict[str, Any]]


def read_growth(
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
) -> Growth:
    """Read a growth.

    Raises:
        InputError: A file that every growth has is missing, there is no species, or a slug is no file name.
    """
    named = read_json(species / "species.json")["species"]
    _refuse_bad_slugs(named)
    grouped = read_json(clusters / "clusters.json")
    caption_rows = _read_captions(captions)
    wordings = _read_wordings(prompts, sample_galleries)
    recognition = read_json_if_there(sample_galleries / "recognition.json") or {}
    recognised = {entry["species_id"]: entry for entry in recognition.get("species", [])}
    by_cluster = {cluster["cluster_id"]: cluster for cluster in grouped["clusters"]}
    facts = [
        SpeciesFacts(
            **{
                name: row[name]
                for name in ("species_id", "cluster_id", "common_name", "scientific_name", "slug")
            },
            colour_names=list(row["colour_names"]),
            size=row["size"],
            specimen_captions=_specimen_captions(by_cluster[row["cluster_id"]], caption_rows),
            marks=list_marks(
                [each for each in caption_rows.values() if each["species_id"] == row["species_id"]]
            ),
            wordings=[each for owner, each in wordings if owner == row["species_id"]],
            recognition=recognised.get(row["species_id"], {}),
            form=read_json_if_there(forms_3d / row["slug"] / "form.json"),
            form_folder=_folder_if_there(forms_3d / row["slug"]),
            mesh_folder=_folder_if_there(meshes / row["slug"]),
            video_folder=_folder_if_there(videos_3d / row["slug"]),
        )
        for row in named
    ]
    strays = [each for owner, each in wordings if owner is None]
    report = read_json(forgetting_report / "report.json")
    looks = read_json(species_report / "report.json")
    _refuse_other_species(looks, named)
    scores = read_table(forgetting_report / "scores.parquet")
    return Growth(facts, strays, grouped, recognition, report, looks, scores)


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: It is missing.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing; a complete growth was expected. Grow it again: fungal grow")
    return json.loads(path.read_text(encoding="utf-8"))


def read_json_if_there(path: Path) -> Any | None:
    """The content of a JSON file, or None where there is none."""
    return read_json(path) if path.is_file() else None


def _folder_if_there(path: Path) -> Path | None:
    return path if path.is_dir() else None


def _refuse_bad_slugs(named: Sequence[Mapping[str, Any]]) -> None:
    slugs = [row["slug"] for row in named]
    bad = [
        slug for slug in slugs if not slug or slug != Path(slug).name or slug.startswith(".") or "\\" in slug
    ]
    twice = sorted(slug for slug, count in Counter(slugs).items() if count > 1)
    if bad or twice or not slugs:
        raise InputError(
            f"species.json names {len(slugs)} species; slugs that are no file name: {bad!r}; slugs used twice: "
            f"{twice!r}; expected at least one species, each with its own file name. "
            "Name them again: fungal grow --until species"
        )


def _refuse_other_species(looks: Mapping[str, Any], named: Sequence[Mapping[str, Any]]) -> None:
    unknown = sorted(
        {entry["species_id"] for entry in looks["species"]} - {row["species_id"] for row in named}
    )
    if unknown:
        raise InputError(
            f"the species report tells of {unknown!r}, but species.json names {len(named)} others. Make it again: "
            "fungal grow --until species_report"
        )


def _read_captions(captions: Path) -> dict[str, dict[str, Any]]:
    return {row["image_id"]: row for row in read_table(captions / "captions.parquet")}


def _specimen_captions(cluster: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    image_ids = [cluster["medoid_id"], *cluster["member_ids_near"]]
    return [rows[image_id]["caption"] if image_id in rows else "" for image_id in image_ids]


def list_marks(rows: Sequence[Mapping[str, Any]]) -> list[Mark]:
    """The traits that captions name, each with its commonest values."""
    marks = [Mark(label, _commonest([row.get(column) for row in rows])) for column, label in MARKS.items()]
    return [mark for mark in marks if mark.values]


def _commonest(values: Iterable[Any]) -> list[tuple[str, float]]:
    """Up to three values that at least one caption in twelve has; a list counts for each thing in it."""
    spread = [value if isinstance(value, list) else [value] for value in values]
    counts = Counter(each for value in spread for each in value if each)
    shares = [(value, count / len(spread)) for value, count in counts.most_common(MARK_VALUES)]
    return [(value, share) for value, share in shares if share >= LEAST_SHARE]


def _read_wordings(prompts: Path, sample_galleries: Path) -> list[tuple[str | None, Wording]]:
    """Every prompt but the controls, with the species that it belongs to and its pictures."""
    samples: dict[str, list[Sample]] = defaultdict(list)
    for row in read_table(sample_galleries / "gallery.parquet"):
        if row["model"] == "tuned" and row["kind"] != "control":
            path = sample_galleries / row["path"]
            samples[row["prompt_id"]].append(Sample(path, row["prompt_id"], row["text"], row["seed"]))
    rows = [
        row
        for row in read_json(prompts / "prompts.json")["prompts"]
        if row["kind"] not in ("control", "rehearsal")
    ]
    rows.sort(key=lambda row: row["kind"] != "species")
    return [
        (
            row.get("species_id"),
            Wording(row["prompt_id"], row["kind"], row["text"], samples[row["prompt_id"]]),
        )
        for row in rows
    ]
