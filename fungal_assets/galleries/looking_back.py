"""What looks at a model in training leave behind: where it lies, and reading it when the training is over.

Of each look `looks/` of the tuned weights holds a sheet of the pictures, `step-<step>.webp`, and beside it
`step-<step>.json`: what was drawn, in the order of the sheet, and what the judge found in the control pictures, whose
rows are those of `scores.parquet`. The look at step 0 is at the base model.
Belongs here: files. What is drawn and judged in a look is in `diffusion.looks`, what is concluded of all of them in
`over_training`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from fungal_assets.galleries.judging import Judge, Judgement, describe_judgement
from fungal_assets.galleries.planning import Picture
from fungal_assets.previews import contact_sheet, cut_sheet, save_sheet
from fungal_assets.store import write_atomically

LOOKS_FOLDER = "looks"
COLUMNS = 6
CONTROL = "control"


@dataclass(frozen=True)
class KeptLook:
    """One look as it was kept.

    Args:
        step: After how many steps; 0 is the base model.
        judge: Name and SHA-256 of the judge's references.
        rows: What was drawn, in the order of the sheet, and what was found in it.
        sheet: The sheet's file.
    """

    step: int
    judge: Mapping[str, str]
    rows: Sequence[Mapping[str, Any]]
    sheet: Path

    @property
    def controls(self) -> list[Mapping[str, Any]]:
        """The rows of control prompts that could be judged."""
        return [row for row in self.rows if row["kind"] == CONTROL and row["recognised"] is not None]

    def open_pictures(self) -> dict[str, Image.Image]:
        """The pictures by prompt id, as the sheet has them."""
        with Image.open(self.sheet) as sheet:
            tiles = cut_sheet(sheet.convert("RGB"), len(self.rows), columns=COLUMNS)
        return {row["prompt_id"]: tile for row, tile in zip(self.rows, tiles, strict=True)}


def sheet_path(folder: Path, step: int) -> Path:
    """Where the sheet of a look lies in an output; by name the newest is the last."""
    return folder / LOOKS_FOLDER / f"step-{step:08d}.webp"


def show_look(
    folder: Path, step: int, pictures: Sequence[Picture], images: Mapping[str, Image.Image]
) -> None:
    """Write the sheet of a look, whose pictures are given by prompt id."""
    path = sheet_path(folder, step)
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = [picture.text for picture in pictures]
    tiles = [images[picture.prompt_id] for picture in pictures]
    save_sheet(contact_sheet(tiles, columns=COLUMNS, labels=labels), path)


def keep_look(
    folder: Path, step: int, pictures: Sequence[Picture], judge: Judge, found: Sequence[Judgement | None]
) -> None:
    """Write what a look found.

    Args:
        folder: The output.
        step: After how many steps.
        pictures: What was drawn.
        judge: Who judged the control pictures.
        found: What it found in each of these, in their order.
    """
    names = ("prompt_id", "kind", "text", "group", "expected", "seed")
    left = iter(found)
    rows = [
        {name: getattr(picture, name) for name in names}
        | describe_judgement(next(left) if picture.kind == CONTROL else None)
        for picture in pictures
    ]
    about = {"step": step, "judge": {"name": judge.name, "sha256": judge.sha256}, "pictures": rows}
    path = sheet_path(folder, step).with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(about, indent=1))


def drop_other_looks(folder: Path, steps: Sequence[int]) -> None:
    """Delete what looks of a run with other settings left."""
    kept = {sheet_path(folder, step).with_suffix(suffix) for step in steps for suffix in (".webp", ".json")}
    for path in set(folder.glob(f"{LOOKS_FOLDER}/*")) - kept:
        path.unlink()


def read_looks(fine_tuned_weights: Path) -> list[KeptLook]:
    """All looks of a training, in the order of their steps; none of one that was not looked at."""
    looks = []
    for path in sorted(fine_tuned_weights.glob(f"{LOOKS_FOLDER}/step-*.json")):
        about = json.loads(path.read_text(encoding="utf-8"))
        looks.append(KeptLook(about["step"], about["judge"], about["pictures"], path.with_suffix(".webp")))
    return looks
