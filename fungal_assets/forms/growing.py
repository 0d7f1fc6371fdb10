"""The stage `forms_3d`: one solid form per species, out of the tuned weights and its prompt.

Belongs here: which species, with which guide, prompt and seed, and what is kept of each. How a form grows stands in
`distillation`. Heavy modules are imported inside functions, so that a worker shares out its threads first.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fungal_assets import compute
from fungal_assets.errors import InputError
from fungal_assets.progress import Tell, stay_silent
from fungal_assets.store import Figures, write_atomically

if TYPE_CHECKING:
    from fungal_assets.forms.distillation import Recipe
    from fungal_assets.forms.volume import Volume

MAX_FACES = 12_000
_RESUME_DIR = ".resume"
_SHEET_VIEWS = ((0, 10), (45, 10), (90, 10), (135, 10), (180, 10), (270, 10), (30, 50), (30, -5))


@dataclass(frozen=True)
class Growth:
    """One species to grow; all that a worker needs.

    Args:
        species: Its row of species.json.
        prompt: Text of its prompt.
        grounds: What is said of each ground, in the order of the recipe's.
        view_words: Words by view name.
        negative_prompt: What to lead away from.
        guide: The tuned pipeline's folder.
        guide_sha256: Its proven hash.
        recipe: Settings of `distillation.Recipe`.
        folder: The species' own folder.
        resume_path: Where its state is kept while it grows.
    """

    species: Mapping[str, Any]
    prompt: str
    grounds: Sequence[str]
    view_words: Mapping[str, str]
    negative_prompt: str
    guide: Path
    guide_sha256: str
    recipe: Mapping[str, Any]
    folder: Path
    resume_path: Path

    @property
    def times_path(self) -> Path:
        """Where the times are noted: not among what is kept, so that the same work has the same hash."""
        return self.resume_path.with_suffix(".json")


def grow_forms(
    pruned_weights: Path,
    species: Path,
    prompts: Path,
    clusters: Path,
    folder: Path,
    *,
    species_names: list[str],
    max_species: int,
    iterations: int,
    grid_size: int,
    view_size_px: int,
    views_per_step: int,
    guidance_scale: float,
    grounds: Mapping[str, float],
    processes: int,
    seed: int,
    tell: Tell = stay_silent,
) -> Figures:
    """Grow the forms.

    Args:
        pruned_weights: Complete output; its `pipeline/` is the guide, proven by hash.
        species: Complete output.
        prompts: Complete output.
        clusters: Complete output, for the judge.
        folder: Filled with one folder per species and `forms.json`; complete species folders are kept.
        species_names: Common names or slugs to grow; empty for the largest.
        max_species: How many where none is named.
        iterations: See `distillation.Recipe`; so `grid_size`, `view_size_px`, `views_per_step`, `guidance_scale`.
        grid_size: Samples along each side.
        view_size_px: Side of the views that the guide sees.
        views_per_step: Views per step.
        guidance_scale: Of classifier-free guidance.
        grounds: Plain grounds that the views are shown on: what is said of each after the prompt, and its lightness,
            0 to 1.
        processes: Species grown at once; the cores are shared among them.
        seed: Every species gets its own from it.
        tell: Told of progress.

    Raises:
        InputError: A species is not known, or has no prompt, or its form came out empty.
        ProvenanceError: The guide is not the tuned weights.
    """
    from fungal_assets.forms.guidance import prove_guide

    start_s = time.monotonic()
    chosen = choose_species(read_species(species), species_names, max_species)
    guide_sha256 = prove_guide(pruned_weights)
    wording = json.loads((prompts / "prompts.json").read_text())
    texts = species_prompts(wording["prompts"], chosen)
    settings = {
        "iterations": iterations,
        "grid_size": grid_size,
        "view_size_px": view_size_px,
        "views_per_step": views_per_step,
        "guidance_scale": guidance_scale,
        "grounds": tuple(grounds.values()),
    }
    growths = [
        Growth(
            species=row,
            prompt=texts[row["species_id"]],
            grounds=tuple(grounds),
            view_words=wording["view_words"],
            negative_prompt=wording.get("negative_prompt", ""),
            guide=pruned_weights / "pipeline",
            guide_sha256=guide_sha256,
            recipe=settings | {"seed": species_seed(seed, row["slug"])},
            folder=folder / row["slug"],
            resume_path=folder / _RESUME_DIR / f"{row['slug']}.safetensors",
        )
        for row in chosen
    ]
    rows = compute.map(
        grow_form, growths, processes=processes, name=lambda growth: growth.species["common_name"], tell=tell
    )
    forms = _judge(rows, folder, clusters)
    write_atomically(folder / "forms.json", json.dumps({"forms": forms}, indent=1))
    cpu_s = sum(json.loads(growth.times_path.read_text())["cpu_seconds"] for growth in growths)
    return {
        **_figures(forms),
        "cpu_seconds_per_form": round(cpu_s / len(growths), 1),
        "seconds": round(time.monotonic() - start_s, 1),
    }


def read_species(species: Path) -> list[dict[str, Any]]:
    """The rows of species.json."""
    return json.loads((species / "species.json").read_text())["species"]


def choose_species(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str], at_most: int
) -> list[Mapping[str, Any]]:
    """All species that are named, or where none is the `at_most` largest, in the order of their clusters.

    Raises:
        InputError: A name is not that of a species; all names are listed.
    """
    known = {row["common_name"]: row for row in rows} | {row["slug"]: row for row in rows}
    unknown = [name for name in names if name not in known]
    if unknown:
        listed = ", ".join(repr(row["common_name"]) for row in rows)
        raise InputError(f"species {', '.join(map(repr, unknown))} not known; the species are {listed}.")
    named = list({known[name]["slug"]: known[name] for name in names}.values())
    largest = sorted(rows, key=lambda row: (-row["size"], row["cluster_id"]))[:at_most]
    return sorted(named or largest, key=lambda row: row["cluster_id"])


def species_prompts(
    prompts: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """Text of the first prompt of kind 'species', by species id.

    Raises:
        InputError: A species has none.
    """
    texts: dict[str, str] = {}
    for prompt in prompts:
        if prompt["kind"] == "species":
            texts.setdefault(prompt["species_id"], prompt["text"])
    missing = [row["common_name"] for row in rows if row["species_id"] not in texts]
    if missing:
        raise InputError(
            f"no species prompt for {', '.join(map(repr, missing))} in prompts.json. "
            "Write the prompts again: fungal grow --until prompts"
        )
    return texts


def species_seed(seed: int, slug: str) -> int:
    """The seed of one species: the same whichever others are grown beside it."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{slug}".encode()).digest()[:4], "big") >> 1


def grow_form(growth: Growth) -> dict[str, Any]:
    """Grow one species into its folder, unless it is complete there; returns the notes of form.json."""
    done = growth.folder / "form.json"
    if done.exists():
        return json.loads(done.read_text())
    from fungal_assets.forms.distillation import Recipe, distill
    from fungal_assets.forms.guidance import load_guide
    from fungal_assets.forms.solid import tidy
    from fungal_assets.forms.views import view_prompts

    start_cpu_s = time.process_time()
    recipe = Recipe(**growth.recipe)
    guide = load_guide(growth.guide, negative_prompt=growth.negative_prompt)
    embeddings = []
    for ground in growth.grounds:
        texts = view_prompts(", ".join(filter(None, (growth.prompt, ground))), growth.view_words)
        embeddings.append(dict(zip(texts, guide.embed(list(texts.values())), strict=True)))
    volume = tidy(distill(guide, embeddings, recipe, resume_path=growth.resume_path))
    times = {"cpu_seconds": round(time.process_time() - start_cpu_s, 2)}
    growth.times_path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(growth.times_path, json.dumps(times))
    kept = _keep(growth.folder, volume, _notes(growth, recipe, volume))
    growth.resume_path.unlink(missing_ok=True)
    return kept


def _notes(growth: Growth, recipe: Recipe, volume: Volume) -> dict[str, Any]:
    from fungal_assets.forms.solid import solidity
    from fungal_assets.forms.views import orbit

    named = {name: growth.species[name] for name in ("species_id", "cluster_id", "common_name", "slug")}
    figures = solidity(volume, orbit(8))
    return (
        named
        | {"scientific_name": growth.species.get("scientific_name", "")}
        | {"prompt": growth.prompt, "guide_sha256": growth.guide_sha256}
        | asdict(recipe)
        | {name: round(value, 4) for name, value in figures.items()}
    )


def _keep(folder: Path, volume: Volume, notes: Mapping[str, Any]) -> dict[str, Any]:
    """Write volume, mesh, sheet, and the notes last; returns the notes as written."""
    from fungal_assets.forms.gltf import write_glb
    from fungal_assets.forms.keeping import save_volume
    from fungal_assets.forms.meshing import mesh_volume

    folder.mkdir(parents=True, exist_ok=True)
    mesh = mesh_volume(volume, max_faces=MAX_FACES)
    extras = {
        name: notes[name] for name in ("common_name", "scientific_name", "prompt", "seed", "guide_sha256")
    }
    save_volume(folder / "form.npz", volume, notes)
    write_glb(folder / "mesh.glb", mesh, name=notes["common_name"], extras=extras)
    _save_sheet(folder / "views.webp", volume)
    kept = dict(notes) | {"faces": len(mesh.faces)}
    write_atomically(folder / "form.json", json.dumps(kept, indent=1))
    return kept


def _save_sheet(path: Path, volume: Volume) -> None:
    from PIL import Image

    from fungal_assets.forms.showing import pictures
    from fungal_assets.forms.volume import Camera
    from fungal_assets.previews import contact_sheet

    cameras = [Camera(azimuth_deg, elevation_deg) for azimuth_deg, elevation_deg in _SHEET_VIEWS]
    tiles = [Image.fromarray(picture) for picture in pictures(volume, cameras, 160)]
    labels = [f"{azimuth_deg} deg, {elevation_deg} up" for azimuth_deg, elevation_deg in _SHEET_VIEWS]
    sheet = contact_sheet(tiles, columns=4, labels=labels, tile_px=160, ground="#000000")
    temporary = path.with_name(f".{path.name}")
    sheet.save(temporary, "WEBP", quality=88, method=4)
    temporary.replace(path)


def _judge(rows: Sequence[Mapping[str, Any]], folder: Path, clusters: Path) -> list[dict[str, Any]]:
    """The notes with the share of views recognised, in each form.json too."""
    from fungal_assets.forms.recognition import photograph, recognised_shares

    views = {row["cluster_id"]: photograph(folder / row["slug"] / "form.npz") for row in rows}
    shares = recognised_shares(views, clusters)
    forms = [dict(row) | {"recognised": round(shares[row["cluster_id"]], 4)} for row in rows]
    for form in forms:
        write_atomically(folder / form["slug"] / "form.json", json.dumps(form, indent=1))
    return forms


def _figures(forms: Sequence[Mapping[str, Any]]) -> Figures:
    return {
        "forms": len(forms),
        "r_precision": round(sum(form["recognised"] for form in forms) / len(forms), 4),
        "alpha_coverage": round(sum(form["alpha_coverage"] for form in forms) / len(forms), 4),
        "alpha_entropy": round(sum(form["alpha_entropy"] for form in forms) / len(forms), 4),
    }
