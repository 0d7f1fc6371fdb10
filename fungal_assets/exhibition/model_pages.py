"""The guide's pages about the model: how it was tuned, how it takes other sizes, how it stands beside other weights.

The first is always there. Other sizes are shown where the gallery has pictures of them or `fungal atlas` was asked for,
the comparison where `fungal compare` was, before the guide was built.
Belongs here: what these pages are given. What they say is in their templates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fungal_assets.errors import InputError
from fungal_assets.exhibition.growth import read_json
from fungal_assets.exhibition.media import Shelf, open_picture
from fungal_assets.exhibition.pages import Site
from fungal_assets.exhibition.records import Ancestor

TRAINING_PAGE, SIZES_PAGE, COMPARISON_PAGE = "training.html", "sizes.html", "comparison.html"
TOLD_OF_TRAINING = (
    "base_model",
    "method",
    "parameters",
    "rows_trained_on",
    "held_out_rows",
    "steps",
    "step_kept",
    "epochs",
    "learning_rate",
    "rehearsal_share",
    "held_out_loss_before",
    "held_out_loss_after",
)
"""Figures of `training.json` that the page names, where the method has them."""


@dataclass(frozen=True)
class ModelPages:
    """What there is to show of the model.

    Args:
        fine_tuned_weights: With `training.json` and `curves.png`.
        sizes: The gallery's grid of other sizes, or None.
        resolution_atlas: Output of that name, or None.
        weights_comparison: Output of that name, or None.
        tuned_sha256: Content hash of the tuned weights, which the comparison marks.
    """

    fine_tuned_weights: Path
    sizes: Path | None
    resolution_atlas: Path | None
    weights_comparison: Path | None
    tuned_sha256: str

    @property
    def has_sizes(self) -> bool:
        """Whether anything is known of other sizes."""
        return bool(self.sizes or self.resolution_atlas)

    @property
    def chapters(self) -> list[tuple[str, str]]:
        """All pages of a guide's running head, each with its word."""
        return [
            ("index.html", "Plates"),
            ("species-report.html", "Species"),
            (TRAINING_PAGE, "Training"),
            ("forgetting.html", "Forgetting"),
            *([(SIZES_PAGE, "Sizes")] if self.has_sizes else []),
            *([(COMPARISON_PAGE, "Weights")] if self.weights_comparison else []),
            ("provenance.html", "Provenance"),
        ]

    def write(self, site: Site, shelf: Shelf) -> None:
        """Write the pages that there are."""
        write_training(site, shelf, self.fine_tuned_weights)
        if self.has_sizes:
            write_sizes(site, shelf, self.sizes, self.resolution_atlas)
        if self.weights_comparison:
            write_comparison(site, shelf, self.weights_comparison, self.tuned_sha256)


def write_training(site: Site, shelf: Shelf, fine_tuned_weights: Path) -> None:
    """The page of the curves, and of what was trained on what."""
    about = read_json(fine_tuned_weights / "training.json")
    told = {name: about[name] for name in TOLD_OF_TRAINING if about.get(name) is not None}
    told["base_model"] = about["base_model"]["id"]
    curves = shelf.put_picture(open_picture(fine_tuned_weights / "curves.png"), "training-curves")
    site.write_page(TRAINING_PAGE, "training.html", about=about, told=told, curves=curves)


def find_sizes(sample_galleries: Path) -> Path | None:
    """The gallery's grid of other sizes, where it has one."""
    grid = sample_galleries / "grids" / "sizes.webp"
    return grid if grid.is_file() else None


def write_sizes(site: Site, shelf: Shelf, grid: Path | None, resolution_atlas: Path | None) -> None:
    """The page of the size question, of what there is: the gallery's grid of sizes, the atlas, or both."""
    files = {"grid": grid} if grid else {}
    if resolution_atlas:
        files |= {name: resolution_atlas / f"{name}.webp" for name in ("pictures", "atlas")}
    pictures = {name: shelf.put_picture(open_picture(path), f"sizes-{name}") for name, path in files.items()}
    atlas = read_json(resolution_atlas / "atlas.json") if resolution_atlas else None
    site.write_page(SIZES_PAGE, "sizes.html", atlas=atlas, pictures=pictures)


def write_comparison(site: Site, shelf: Shelf, weights_comparison: Path, tuned_sha256: str) -> None:
    """The page of the weights beside each other, the guide's own marked."""
    put = {
        "places": shelf.put_picture(open_picture(weights_comparison / "places.png"), "weights-places"),
        "beside": shelf.put_picture(open_picture(weights_comparison / "beside.webp"), "weights-beside"),
    }
    comparison = read_json(weights_comparison / "comparison.json")
    site.write_page(
        COMPARISON_PAGE, "weights.html", comparison=comparison, pictures=put, own_sha256=tuned_sha256
    )


def find_tuned(ancestors: Sequence[Ancestor], shown: Mapping[str, Path | None]) -> str:
    """Content hash of the weights that the guide is of.

    Args:
        ancestors: All that the guide descends from.
        shown: The atlas and the comparison that it is to show, by asset, their folders or None.

    Raises:
        InputError: One of them is not of the weights that the gallery was painted with.
    """
    by_asset = {each.name.partition("/")[0]: each for each in ancestors if each.is_input}
    painted_with = dict(by_asset["sample_galleries"].parents)
    pruned = [sha256 for name, sha256 in painted_with.items() if name.startswith("pruned_weights/")]
    others = [
        asset
        for asset, folder in shown.items()
        if folder and not set(pruned) & {sha256 for _, sha256 in by_asset[asset].parents}
    ]
    if others:
        raise InputError(
            f"{', '.join(others)} tells of other weights than the gallery's, {pruned!r}. Make it again (fungal atlas, "
            "fungal compare), or build the guide without it."
        )
    return by_asset["fine_tuned_weights"].content_hash
