"""What is to be grown: which species, from which prompt, and what of it an earlier output already holds.

Two growths are the same work if they agree in everything that decides a form: then the earlier form is taken over, not
grown again. The definitions read its version, so nothing heavy is imported at module level. Belongs here: choosing and
comparing. Growing does not (`growing`).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fungal_assets.errors import InputError
from fungal_assets.pocket import LIFTER_PATH
from fungal_assets.store import hash_file, hash_folder

WORK_VERSION = "11"
"""Of the code that grows a form; the asset's code version is the same."""
NOTES_NAME, LIST_NAME = "form.json", "forms.json"
_FEW = 2 / 3
"""Of the median number of specimens: species with fewer are grown last."""


@dataclass(frozen=True)
class Growth:
    """One species to grow; all that a worker needs.

    Args:
        species: Its row of species.json.
        prompt: Text of its prompt.
        grounds: What is said of each ground, in the order of the recipe's.
        view_words: Words by view name.
        negative_prompt: What to lead away from.
        guide_sha256: Proven hash of the tuned pipeline.
        first_guess: What the form begins as, 'lifted', 'revolved' or 'egg'.
        first_guesses: Pictures per ground that the first guess is chosen from; 0 for none.
        guess_guidance_scale: Guidance at which they are painted.
        recipe: Settings of `distillation.Recipe`.
        first_mesh: Path of the GLB file that the form begins as, or empty text.
        first_mesh_sha256: Its hash, which with the rest decides the form; empty text where there is none.
        tiny_encoder: Path of the folder of a tiny autoencoder that encodes views, or empty text.
        tiny_encoder_sha256: Its hash.
        lifter: Path of the weights that lift the first guess, or empty text where none is lifted.
        lifter_sha256: Their hash.
    """

    species: Mapping[str, Any]
    prompt: str
    grounds: Sequence[str]
    view_words: Mapping[str, str]
    negative_prompt: str
    guide_sha256: str
    first_guess: str
    first_guesses: int
    guess_guidance_scale: float
    recipe: Mapping[str, Any]
    first_mesh: str = ""
    first_mesh_sha256: str = ""
    tiny_encoder: str = ""
    tiny_encoder_sha256: str = ""
    lifter: str = ""
    lifter_sha256: str = ""

    @property
    def work_sha256(self) -> str:
        """Hash of all that decides the form."""
        decides = [
            WORK_VERSION,
            self.prompt,
            list(self.grounds),
            dict(self.view_words),
            self.negative_prompt,
            self.guide_sha256,
            self.first_guess,
            self.species.get("morphotype"),
            self.first_guesses,
            self.guess_guidance_scale,
            dict(self.recipe),
            self.first_mesh_sha256,
            self.tiny_encoder_sha256,
            self.lifter_sha256,
        ]
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def plan_growths(
    pruned_weights: Path,
    species: Path,
    prompts: Path,
    *,
    iterations: int,
    grid_size: int,
    view_size_px: int,
    views_per_step: int,
    guidance_scale: float,
    grounds: Mapping[str, float],
    first_guess: str,
    first_guesses: int,
    guess_guidance_scale: float,
    distillation: str,
    shaded_share: float,
    warm_up: float,
    first_meshes: Mapping[str, str],
    tiny_encoder: str,
    seed: int,
) -> list[Growth]:
    """A growth for every species, in the order of their clusters; see `growing.grow_forms` for the settings.

    Raises:
        InputError: A species has no prompt; a first mesh is of no known species, or is no file; or there is no tiny
            encoder where one should be.
    """
    rows = sorted(read_species(species), key=lambda row: row["cluster_id"])
    wording = json.loads((prompts / "prompts.json").read_text())
    texts = species_prompts(wording["prompts"], rows)
    guide_sha256 = json.loads((pruned_weights / "weights.json").read_text())["pipeline_sha256"]
    settings = {
        "iterations": iterations,
        "grid_size": grid_size,
        "view_size_px": view_size_px,
        "views_per_step": views_per_step,
        "guidance_scale": guidance_scale,
        "grounds": tuple(grounds.values()),
        "distillation": distillation,
        "shaded_share": shaded_share,
        "warm_up": warm_up,
    }
    meshes = _first_meshes(rows, first_meshes)
    encoder_sha256 = _hash_encoder(tiny_encoder)
    lifter = LIFTER_PATH if first_guess == "lifted" else None
    lifter_sha256 = hash_file(lifter) if lifter else ""
    return [
        Growth(
            species=row,
            prompt=texts[row["species_id"]],
            grounds=tuple(grounds),
            view_words=wording["view_words"],
            negative_prompt=wording.get("negative_prompt", ""),
            guide_sha256=guide_sha256,
            first_guess=first_guess,
            first_guesses=first_guesses,
            guess_guidance_scale=guess_guidance_scale,
            recipe=settings | {"seed": species_seed(seed, row["slug"])},
            first_mesh=meshes.get(row["slug"], ("", ""))[0],
            first_mesh_sha256=meshes.get(row["slug"], ("", ""))[1],
            tiny_encoder=tiny_encoder,
            tiny_encoder_sha256=encoder_sha256,
            lifter=str(lifter or ""),
            lifter_sha256=lifter_sha256,
        )
        for row in rows
    ]


def _first_meshes(
    rows: Sequence[Mapping[str, Any]], first_meshes: Mapping[str, str]
) -> dict[str, tuple[str, str]]:
    """Path and hash of each species' first mesh, by slug."""
    find_named(rows, list(first_meshes))
    known = {row["common_name"]: row["slug"] for row in rows}
    absent = [path for path in first_meshes.values() if not Path(path).is_file()]
    if absent:
        raise InputError(
            f"first_meshes names {', '.join(map(repr, absent))}, where there is no file. Give paths of .glb files."
        )
    return {known.get(name, name): (path, hash_file(Path(path))) for name, path in first_meshes.items()}


def _hash_encoder(tiny_encoder: str) -> str:
    """Hash of a tiny autoencoder's folder, or empty text for none."""
    if not tiny_encoder:
        return ""
    if not (Path(tiny_encoder) / "config.json").is_file():
        raise InputError(
            f"tiny_encoder is {tiny_encoder!r}, where there is no config.json; expected the folder of an "
            "AutoencoderTiny in diffusers' format, such as madebyollin/taesd for Stable Diffusion 1.x."
        )
    return hash_folder(Path(tiny_encoder))


def settle_species(
    growths: Sequence[Growth],
    sample_galleries: Path,
    earlier: Path | None,
    *,
    names: Sequence[str],
    at_most: int,
) -> list[str]:
    """The common names of all species of the next output: those chosen, and those that are there as they would be.

    So growing one more species drops none that was grown with the same weights and settings.

    Args:
        growths: Of every species (`plan_growths`).
        sample_galleries: Complete output; read where none is named.
        earlier: The newest whole output of forms, if there is one.
        names: Common names or slugs; empty for the best portrayed (`choose_species`).
        at_most: How many where none is named.

    Raises:
        InputError: A name is not that of a species.
    """
    rows = [growth.species for growth in growths]
    wanted = (
        find_named(rows, names)
        if names
        else choose_species(rows, at_most, portrayal=measure_portrayal(sample_galleries))
    )
    chosen = {row["slug"] for row in wanted}
    return [
        growth.species["common_name"]
        for growth in growths
        if growth.species["slug"] in chosen or find_earlier(growth, earlier) is not None
    ]


def find_earlier(growth: Growth, earlier: Path | None) -> Path | None:
    """The species' folder in an earlier output, if it holds the same work."""
    if earlier is None:
        return None
    folder = earlier / growth.species["slug"]
    try:
        notes = json.loads((folder / NOTES_NAME).read_text())
    except (OSError, ValueError):
        return None
    return folder if notes.get("work_sha256") == growth.work_sha256 else None


def take_over(found: Path, folder: Path) -> None:
    """Copy a species' folder of an earlier output, whole or not at all."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(found, part)
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)


def read_species(species: Path) -> list[dict[str, Any]]:
    """The rows of species.json."""
    return json.loads((species / "species.json").read_text())["species"]


def measure_portrayal(sample_galleries: Path) -> dict[str, float]:
    """How well the tuned weights portray each species, 0 to 1 by its id.

    The mean appeal of the silhouettes in its pictures, where one without a free subject counts as 0
    (`revolving.Silhouette.appeal`); whole where all of them are recognised as their species, half where none is. A
    species whose pictures show one upright thing can become a form; of one that they show as litter, or from too near,
    no guide makes one.

    Args:
        sample_galleries: Complete output.
    """
    import numpy as np

    from fungal_assets.forms.revolving import find_silhouette
    from fungal_assets.galleries.reading import open_picture, read_gallery

    appeals: dict[str, list[float]] = defaultdict(list)
    for row in read_gallery(sample_galleries):
        if row["kind"] == "species":
            found = find_silhouette(np.asarray(open_picture(sample_galleries, row)))
            appeals[row["species_id"]].append(found.appeal if found else 0.0)
    recognition = json.loads((sample_galleries / "recognition.json").read_text())["species"]
    shares = {row["species_id"]: row["recognised"] for row in recognition}
    return {
        species_id: sum(own) / len(own) * (1 + shares[species_id]) / 2 for species_id, own in appeals.items()
    }


def find_named(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[Mapping[str, Any]]:
    """The rows of species.json with those common names or slugs, each once, in the order of their clusters.

    Raises:
        InputError: A name is not that of a species; all names are listed.
    """
    known = {row["common_name"]: row for row in rows} | {row["slug"]: row for row in rows}
    unknown = [name for name in names if name not in known]
    if unknown:
        listed = ", ".join(repr(row["common_name"]) for row in rows)
        raise InputError(f"species {', '.join(map(repr, unknown))} not known; the species are {listed}.")
    named = {known[name]["slug"]: known[name] for name in names}
    return sorted(named.values(), key=lambda row: row["cluster_id"])


def choose_species(
    rows: Sequence[Mapping[str, Any]],
    at_most: int,
    *,
    portrayal: Mapping[str, float] = MappingProxyType({}),
) -> list[Mapping[str, Any]]:
    """The `at_most` best portrayed species, in the order of their clusters.

    The best of each colour come first, so that not all are white. Those with far fewer specimens than the median come
    last: a few pictures of one thing teach little.

    Args:
        rows: Of species.json.
        at_most: How many.
        portrayal: By species id (`measure_portrayal`).
    """
    few = _FEW * sorted(row["size"] for row in rows)[(len(rows) - 1) // 2]

    def order(row: Mapping[str, Any]) -> tuple[bool, float, int]:
        return row["size"] < few, -portrayal.get(row["species_id"], 0.0), row["cluster_id"]

    best_of_colour: dict[str, Mapping[str, Any]] = {}
    others: list[Mapping[str, Any]] = []
    for row in sorted(rows, key=order):
        if row["colour_names"][0] in best_of_colour or row["size"] < few:
            others.append(row)
        else:
            best_of_colour[row["colour_names"][0]] = row
    return sorted([*best_of_colour.values(), *others][:at_most], key=lambda row: row["cluster_id"])


def species_prompts(
    prompts: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """Text of the first prompt of kind 'form', or of kind 'species' where there is none, by species id.

    Raises:
        InputError: A species has none.
    """
    texts: dict[str, str] = {}
    for kind in ("form", "species"):
        for prompt in prompts:
            if prompt["kind"] == kind:
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
