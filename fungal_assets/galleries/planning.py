"""Which pictures a gallery holds: every prompt, model and seed of it, decided before a pixel is made.

Each species prompt gets several pictures, subspecies, mutant and context prompts get one each, all of the tuned model;
each control prompt gets several of the base and of the tuned model with the same seeds. A picture's seed comes from its
own name, so that it is the same picture in any gallery that holds it. Belongs here: the list. Making, reading and
judging pictures does not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from fungal_assets.errors import InputError

TUNED, BASE = "tuned", "base"
SIDE_KINDS = ("subspecies", "mutant", "context")

COLUMNS = pa.schema(
    [
        ("path", pa.string()),
        ("prompt_id", pa.string()),
        ("kind", pa.string()),
        ("species_id", pa.string()),
        ("text", pa.string()),
        ("expected", pa.string()),
        ("group", pa.string()),
        ("model", pa.string()),
        ("index", pa.int32()),
        ("seed", pa.int64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("model_sha256", pa.string()),
    ]
)


@dataclass(frozen=True)
class Picture:
    """One picture of a gallery.

    Args:
        prompt_id: Slug of its prompt.
        kind: species, subspecies, mutant, context or control.
        species_id: The species that the prompt names, or None.
        text: The prompt.
        expected: Control prompts only: the concept that is asked for.
        group: Control prompts only: the kind of thing, such as `"animals"`.
        model: `"tuned"` or `"base"`.
        index: Which of the prompt's pictures, from 0.
        seed: Seed of its first noise, 0 to 2**32 - 1; the same for both models.
    """

    prompt_id: str
    kind: str
    species_id: str | None
    text: str
    expected: str | None
    group: str | None
    model: str
    index: int
    seed: int

    @property
    def path(self) -> str:
        """Where it lies in the gallery, as a relative POSIX path."""
        return f"pictures/{self.prompt_id}/{self.model}-{self.seed}.png"

    def as_row(self, *, size_px: int, model_sha256: str) -> dict[str, Any]:
        """Its row of `gallery.parquet`."""
        sides = {"width": size_px, "height": size_px}
        return {"path": self.path, **asdict(self), **sides, "model_sha256": model_sha256}


def picture_seed(seed: int, prompt_id: str, index: int) -> int:
    """The seed of one picture, 0 to 2**32 - 1, hashed from the run's seed, the prompt's id and its index."""
    digest = hashlib.sha256(f"{seed}/{prompt_id}/{index}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def read_prompts(prompts: Path) -> dict[str, Any]:
    """`prompts.json` of a prompts folder.

    Raises:
        InputError: It is missing, or holds no species prompt.
    """
    path = prompts / "prompts.json"
    if not path.is_file():
        raise InputError(
            f"{path} is missing; a complete prompts output was expected. fungal grow --until prompts"
        )
    content = json.loads(path.read_text())
    if not any(prompt["kind"] == "species" for prompt in content["prompts"]):
        raise InputError(
            f"{path} holds no prompt of kind 'species', so there is nothing to show. Write it again."
        )
    return content


def plan_gallery(
    prompts: Sequence[Mapping[str, Any]],
    *,
    images_per_prompt: int,
    controls: int,
    seed: int,
    side_prompts: int = 0,
) -> list[Picture]:
    """All pictures of a gallery, those of one prompt and model together, the tuned model's first.

    Args:
        prompts: Rows of `prompts.json`.
        images_per_prompt: Pictures per species prompt, and per control prompt and model.
        controls: How many control prompts, in their order.
        seed: Seed of the run.
        side_prompts: How many subspecies, mutant and context prompts at most, of each of the three, evenly over them,
            so that they are of different species.

    Raises:
        InputError: Two prompts have one id, or a number is out of range.
    """
    _refuse_bad_plan(prompts, images_per_prompt, controls)
    by_kind = {
        kind: [row for row in prompts if row["kind"] == kind] for kind in ("species", *SIDE_KINDS, "control")
    }
    kept = by_kind["control"][:controls]
    several = range(images_per_prompt)
    tuned = [_pictures(row, TUNED, several, seed) for row in by_kind["species"]]
    for kind in SIDE_KINDS:
        tuned += [_pictures(row, TUNED, range(1), seed) for row in spread(by_kind[kind], side_prompts)]
    tuned += [_pictures(row, TUNED, several, seed) for row in kept]
    base = [_pictures(row, BASE, several, seed) for row in kept]
    return [picture for pictures in tuned + base for picture in pictures]


def plan_look(
    prompts: Sequence[Mapping[str, Any]], *, species: int, controls: int, seed: int
) -> list[Picture]:
    """The few pictures of a look at a model in the making: the first that a gallery of this seed has of each prompt.

    Args:
        prompts: Rows of `prompts.json`.
        species: How many species prompts, evenly over them.
        controls: How many control prompts, in their order.
        seed: Seed of the run.
    """
    by_kind = {kind: [row for row in prompts if row["kind"] == kind] for kind in ("species", "control")}
    shown = spread(by_kind["species"], species) + by_kind["control"][:controls]
    return [picture for row in shown for picture in _pictures(row, TUNED, range(1), seed)]


def _pictures(row: Mapping[str, Any], model: str, indices: range, seed: int) -> Iterator[Picture]:
    for index in indices:
        yield Picture(
            prompt_id=row["prompt_id"],
            kind=row["kind"],
            species_id=row.get("species_id"),
            text=row["text"],
            expected=row.get("expected"),
            group=row.get("group"),
            model=model,
            index=index,
            seed=picture_seed(seed, row["prompt_id"], index),
        )


def spread(rows: Sequence[Mapping[str, Any]], most: int) -> list[Mapping[str, Any]]:
    """At most so many of the rows, evenly over them, so that they are of different species."""
    count = min(most, len(rows))
    return [rows[index * len(rows) // count] for index in range(count)]


def _refuse_bad_plan(prompts: Sequence[Mapping[str, Any]], images_per_prompt: int, controls: int) -> None:
    ids = [row["prompt_id"] for row in prompts]
    twice = sorted({prompt_id for prompt_id in ids if ids.count(prompt_id) > 1})
    faults = [f"the prompt ids {twice!r} are there twice"] if twice else []
    faults += (
        [f"images_per_prompt={images_per_prompt!r}, at least 1 was expected"] if images_per_prompt < 1 else []
    )
    faults += [f"controls={controls!r}, at least 0 was expected"] if controls < 0 else []
    if faults:
        raise InputError(f"The gallery cannot be planned: {'; '.join(faults)}. Correct it and sample again.")
