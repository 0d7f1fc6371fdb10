"""The shipped specimens: pictures of a dozen hidden morphotypes with gaps between them, and some deliberate trouble.

Each hidden morphotype is a narrow slice of the fungarium: a form, one or two colours, the places where it grows, seen
from its side, as people photograph fungi. The truth goes into `specimen_traits.csv` beside them, which only tests read;
the collection sees pictures and nothing else. Their seeds are apart from those of the base model's training pictures.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fungal_assets.pocket.processes import in_processes
from fungal_assets.progress import Tell

if TYPE_CHECKING:
    from PIL import Image

    from fungal_assets.pocket.fungarium import Traits

SIZE_PX = 512
WEBP_QUALITY = 82
SPECIMEN_SEED = 77_000_000
_SHARE_PX = 128
_TOLD_TRAITS = (
    "morphotype",
    "cap_color",
    "stem_color",
    "gill_color",
    "spots",
    "habitat",
    "count",
    "closeness",
    "view",
)


@dataclass(frozen=True)
class HiddenMorphotype:
    """One kind that clustering should find: its form, its colours, its places, more shape traits."""

    name: str
    morphotype: str
    cap_colors: Sequence[str]
    habitats: Sequence[str]
    has_spots: bool | None = None


HIDDEN_MORPHOTYPES = (
    HiddenMorphotype("red fly agaric", "fly_agaric", ("red",), ("moss", "leaf_litter", "field"), True),
    HiddenMorphotype("brown bolete", "bolete", ("brown",), ("moss", "leaf_litter")),
    HiddenMorphotype("orange chanterelle", "chanterelle", ("orange", "yellow"), ("moss", "leaf_litter")),
    HiddenMorphotype("white puffball", "puffball", ("white",), ("field", "moss")),
    HiddenMorphotype("brown morel", "morel", ("brown",), ("leaf_litter", "sand", "field")),
    HiddenMorphotype("yellow coral", "coral", ("yellow", "orange"), ("leaf_litter", "moss")),
    HiddenMorphotype("brown bracket", "bracket", ("brown", "orange"), ("tree_trunk",)),
    HiddenMorphotype("grey oyster", "oyster", ("grey", "white"), ("log",)),
    HiddenMorphotype("red cup", "cup", ("red", "orange"), ("log", "leaf_litter")),
    HiddenMorphotype("white tooth fungus", "tooth_fungus", ("white",), ("log", "tree_trunk")),
    HiddenMorphotype("brown earthstar", "earthstar", ("brown",), ("sand",)),
    HiddenMorphotype("pale parasol", "parasol", ("brown", "white"), ("field",)),
)


def render_specimens(folder: Path, *, each: int, processes: int, tell: Tell) -> int:
    """Render `each` specimens of every hidden morphotype, and the trouble; returns how many files there are.

    Files that are there already are kept, so that a stopped run goes on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(kind, index) for index in range(each) for kind in range(len(HIDDEN_MORPHOTYPES))]
    missing = [job for job in jobs if not (folder / _file_name(*job)).exists()]
    in_processes(partial(_render_one, folder), missing, processes=processes, what="specimens", tell=tell)
    _write_traits(folder.with_name("specimen_traits.csv"), jobs)
    _make_trouble(folder, each)
    _write_metadata(folder)
    return len(list(folder.glob("*.webp")))


def _file_name(kind: int, index: int) -> str:
    return f"specimen-{index * len(HIDDEN_MORPHOTYPES) + kind:04d}.webp"


def _traits(kind: int, index: int) -> Traits:
    from fungal_assets.pocket.fungarium import sample_traits

    hidden = HIDDEN_MORPHOTYPES[kind]
    seed = SPECIMEN_SEED + kind * 10_000 + index
    return sample_traits(
        seed,
        morphotype=hidden.morphotype,
        cap_color=hidden.cap_colors[index % len(hidden.cap_colors)],
        habitat=hidden.habitats[index % len(hidden.habitats)],
        spots=hidden.has_spots,
        closeness="up close" if index % 3 == 0 else None,
        view="side view",
    )


def _render_one(folder: Path, job: tuple[int, int]) -> None:
    _save(_picture(*job), folder / _file_name(*job))


def _picture(kind: int, index: int) -> Image.Image:
    from PIL import Image

    from fungal_assets.pocket.corpus import render_pixels

    return Image.fromarray(render_pixels(_traits(kind, index), size_px=SIZE_PX, supersample=1))


def _save(image: Image.Image, path: Path, **settings: object) -> None:
    temporary = path.with_suffix(".part")
    image.save(temporary, "WEBP", quality=WEBP_QUALITY, method=6, **settings)
    temporary.replace(path)


def _write_traits(path: Path, jobs: Sequence[tuple[int, int]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "hidden_morphotype", *_TOLD_TRAITS, "frame_share"])
        for job in sorted(jobs, key=lambda job: _file_name(*job)):
            traits = _traits(*job)
            writer.writerow(
                [_file_name(*job), HIDDEN_MORPHOTYPES[job[0]].name]
                + [getattr(traits, name) or "" for name in _TOLD_TRAITS]
                + [f"{_frame_share(traits):.3f}"]
            )


def _frame_share(traits: Traits) -> float:
    """The share of the frame that the fungus covers, by the renderer."""
    from fungal_assets.pocket.fungarium.rendering import render_picture

    return float((render_picture(traits, size_px=_SHARE_PX).mask > 0.5).float().mean())


def _write_metadata(folder: Path) -> None:
    """Whose the pictures are, in the table that the collection reads beside any folder of pictures."""
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "creator", "licence"])
        writer.writerows([path.name, "fungal_assets", "CC0-1.0"] for path in sorted(folder.glob("*.webp")))


def _make_trouble(folder: Path, each: int) -> None:
    """What the collection must catch, and one file that it must turn upright.

    An exact duplicate, a file cut off in the middle, a picture out of focus, one that lies on its side with the EXIF
    tag of a camera, and a patch of leaf litter without a fungus.
    """
    import numpy as np
    from PIL import Image, ImageFilter

    from fungal_assets.pocket.fungarium.snapshot import paint_clutter

    first = folder / _file_name(0, 0)
    shutil.copyfile(first, folder / "trouble-duplicate.webp")
    whole = (folder / _file_name(1, 0)).read_bytes()
    (folder / "trouble-truncated.webp").write_bytes(whole[: len(whole) // 3])
    _save(_picture(2, each).filter(ImageFilter.GaussianBlur(7)), folder / "trouble-blurred.webp")
    exif = Image.Exif()
    exif[0x0112] = 6
    _save(_picture(0, each).transpose(Image.Transpose.ROTATE_90), folder / "trouble-turned.webp", exif=exif)
    litter = (paint_clutter("leaf_litter", np.random.default_rng(SPECIMEN_SEED)).clip(0, 1) * 255).astype(
        np.uint8
    )
    _save(
        Image.fromarray(litter).resize((SIZE_PX, SIZE_PX), Image.Resampling.BICUBIC),
        folder / "trouble-nothing.webp",
    )
