"""Teaching the lifter: pictures of known fungi in, their volumes out.

The occupancy is held to the known one by binary cross entropy, more so near the surface, where a cell more or less
makes a rim or a stem; so are its two outlines, from in front and from the side, since a stem thinner than a cell else
pays by vanishing. Colours are held by their absolute difference near the surface. What will be lifted is what a small
diffusion model paints: so pictures are softened, recoloured, cut out badly and framed badly by chance, and some of them
are that model's own. Belongs here: how it learns, and how well it does beside turning a silhouette.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage
from torch import Tensor

from fungal_assets.diffusion.devices import mixed_precision, pick_device
from fungal_assets.forms.lifting import Lifted, Lifter, as_volume, load_lifter, look, save_lifter
from fungal_assets.forms.revolving import find_silhouette, revolve
from fungal_assets.forms.showing import pictures
from fungal_assets.forms.solid import overlap
from fungal_assets.forms.volume import DENSEST, THINNEST, Camera, Volume
from fungal_assets.pocket import LIFTER_PATH
from fungal_assets.pocket.autoencoding import one_cycle
from fungal_assets.pocket.card import write_lifter_card
from fungal_assets.pocket.checkpoints import append_losses, load_checkpoint, save_checkpoint
from fungal_assets.pocket.fungarium import MORPHOTYPES
from fungal_assets.pocket.recipe import in_place_of
from fungal_assets.pocket.seen_volumes import DISTANCE_STEPS, SeenVolumes, paint_over, see_all
from fungal_assets.previews import contact_sheet
from fungal_assets.progress import Tell, Ticker
from fungal_assets.store import hash_file

HELD_OUT, HELD_OUT_FIRST = 64, 100_000
"""How many pairs the lifter is scored by, and the number of the first."""

_NEAR = 2.2
"""Cells from the surface within which a colour counts."""
_SCORED_GRID = 64
_SHOWN_FROM = (Camera(0, 10), Camera(90, 10), Camera(30, 45))


@dataclass(frozen=True)
class LifterSettings:
    """How the lifter is taught.

    Args:
        pairs: Pictures with their volumes, before those that the frame cuts are dropped.
        painted: Of these, how many also come as the pocket model paints them over.
        painted_share: How often such a one is shown so.
        steps: Optimiser steps.
        batch_size: Pairs per step.
        learning_rate: Its peak.
        weight_decay: Decoupled decay.
        edge_weight: How much more a cell on the surface counts than one far from it.
        outline_weight: Weight of the outlines' loss.
        colour_weight: Weight of the colours' loss.
        checkpoint_every: Steps between checkpoints.
        seed: Of everything that is drawn.
    """

    pairs: int = 1600
    painted: int = 480
    painted_share: float = 0.8
    steps: int = 2300
    batch_size: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    edge_weight: float = 4.0
    outline_weight: float = 0.25
    colour_weight: float = 2.0
    checkpoint_every: int = 100
    seed: int = 0


@dataclass(frozen=True)
class Batch:
    """Pairs as tensors.

    Args:
        pictures: float32, shape (B, 3, 128, 128), 0 to 1.
        masks: float32, shape (B, 1, 128, 128), 0 to 1.
        windows: float32, shape (B, 3).
        cells: float32, shape (B, G, G, G): distance to the surface in cells, below 0 inside.
        colours: float32, shape (B, 3, G, G, G), 0 to 1.
    """

    pictures: Tensor
    masks: Tensor
    windows: Tensor
    cells: Tensor
    colours: Tensor


def make_lifter(
    work: Path,
    model: Path,
    settings: LifterSettings,
    target: Path,
    *,
    processes: int,
    sheets: Path,
    tell: Tell,
) -> dict[str, dict[str, float]]:
    """Teach the lifter, write it with its card to `target`, and return its figures (`score_lifter`).

    Args:
        work: Where pairs and checkpoints are kept; what is there is gone on with.
        model: Paints some pictures over.
        settings: How.
        target: The folder of what ships; what was there is replaced.
        processes: How many render at once.
        sheets: Where a sheet of lifted pictures goes.
        tell: Told of progress.
    """
    pairs = see_all(work / "seen_volumes", settings.pairs, processes=processes, tell=tell)
    unseen = see_all(work / "seen_volumes", HELD_OUT, first=HELD_OUT_FIRST, processes=processes, tell=tell)
    painted = paint_over(work / "painted_over", pairs, settings.painted, model, tell=tell)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        lifter = Lifter().to(pick_device())
    teach_lifter(lifter, pairs, painted, work / "lifter", settings, tell=tell)
    with in_place_of(target) as folder:
        folder.mkdir(parents=True)
        save_lifter(folder / LIFTER_PATH.name, lifter)
        taught = load_lifter(folder / LIFTER_PATH.name)
        figures = score_lifter(taught, unseen)
        counts = {"taught": len(pairs), "painted": len(painted), "pictures": len(unseen)}
        recipe = {
            "settings": asdict(settings),
            "figures": figures,
            "counts": counts,
            "file": LIFTER_PATH.name,
        }
        write_lifter_card(folder, recipe | {"weights_sha256": hash_file(folder / LIFTER_PATH.name)})
    sheets.mkdir(parents=True, exist_ok=True)
    show_lifted(taught, unseen).save(sheets / "lifter.webp", quality=82)
    return figures


def teach_lifter(
    lifter: Lifter,
    pairs: SeenVolumes,
    painted: dict[int, tuple[np.ndarray, np.ndarray]],
    folder: Path,
    settings: LifterSettings,
    *,
    tell: Tell,
) -> None:
    """Teach in place, going on from the newest checkpoint in `folder`.

    Args:
        lifter: Learns.
        pairs: What it learns from.
        painted: Picture and found mask of those that were painted over, by their place in `pairs`.
        folder: Where checkpoints and losses are kept.
        settings: How.
        tell: Told of progress.
    """
    device = next(lifter.parameters()).device
    optimizer = torch.optim.AdamW(
        lifter.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, betas=(0.9, 0.99)
    )
    first = load_checkpoint(folder, {"lifter": lifter}, optimizer)
    ticker = Ticker(tell, "lifter", settings.steps, every_s=20, done=first)
    for step in range(first, settings.steps):
        optimizer.param_groups[0]["lr"] = settings.learning_rate * one_cycle(step, settings.steps, decay=0.6)
        rng = np.random.default_rng([settings.seed, step])
        batch = changed(_draw(pairs, painted, settings, rng), rng)
        with mixed_precision(device, on_cpu=True):
            occupied, colours = lifter(look(batch.pictures, batch.masks, batch.windows).to(device))
        losses = lifting_losses(occupied.float(), colours.float(), batch, settings)
        loss = (
            losses["inside"]
            + settings.outline_weight * losses["outline"]
            + settings.colour_weight * losses["colour"]
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(lifter.parameters(), 1.0)
        optimizer.step()
        figures = {name: float(value.detach()) for name, value in losses.items()}
        if ticker.tick(step + 1, figures):
            append_losses(folder / "losses.jsonl", [{"step": step + 1, **figures}])
        if (step + 1) % settings.checkpoint_every == 0 or step + 1 == settings.steps:
            save_checkpoint(folder, step + 1, {"lifter": lifter}, optimizer)


def lifting_losses(
    occupied: Tensor, colours: Tensor, batch: Batch, settings: LifterSettings
) -> dict[str, Tensor]:
    """What is wrong inside, at the outlines and with the colours; each a scalar, 0 at best or near it.

    Args:
        occupied: Logits, float32, shape (B, G, G, G).
        colours: Logits of sRGB, float32, shape (B, 3, G, G, G).
        batch: What is right.
        settings: Of the weight of the surface.
    """
    cells = batch.cells.to(occupied.device)
    right = (0.5 - cells).clamp(0, 1)
    weight = 1 + settings.edge_weight * torch.exp(-cells.square() / 2)
    inside = F.binary_cross_entropy_with_logits(occupied, right, weight) / weight.mean()
    outline = sum(
        F.binary_cross_entropy_with_logits(occupied.amax(axis), right.amax(axis)) for axis in (1, 3)
    )
    near = (cells.abs() < _NEAR).float()[:, None]
    wrong = (torch.sigmoid(colours) - batch.colours.to(colours.device)).abs()
    return {
        "inside": inside,
        "outline": outline / 2,
        "colour": (near * wrong).sum() / (3 * near.sum()).clamp_min(1),
    }


def _draw(
    pairs: SeenVolumes,
    painted: dict[int, tuple[np.ndarray, np.ndarray]],
    settings: LifterSettings,
    rng: np.random.Generator,
) -> Batch:
    picks = np.sort(rng.choice(len(pairs), settings.batch_size, replace=False))
    chances = rng.random((settings.batch_size, 2))
    pictures, masks = [], []
    for pick, (as_painted, as_found) in zip(picks.tolist(), chances, strict=True):
        picture, found = pairs.pictures[pick], pairs.found[pick]
        if pick in painted and as_painted < settings.painted_share:
            picture, found = painted[pick]
        pictures.append(picture)
        masks.append(found if as_found < 0.6 else pairs.masks[pick])
    return replace(
        as_batch(pairs, picks), pictures=_as_pictures(np.stack(pictures)), masks=_as_masks(np.stack(masks))
    )


def as_batch(pairs: SeenVolumes, picks: np.ndarray) -> Batch:
    """These pairs, as rendered and as found."""
    return Batch(
        _as_pictures(pairs.pictures[picks]),
        _as_masks(pairs.found[picks]),
        torch.from_numpy(pairs.windows[picks]),
        torch.from_numpy(pairs.distances[picks]).float() / DISTANCE_STEPS,
        torch.from_numpy(pairs.colours[picks]).float() / 255,
    )


def _as_pictures(pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


def _as_masks(masks: np.ndarray) -> Tensor:
    return torch.from_numpy(masks)[:, None].float()


def changed(batch: Batch, rng: np.random.Generator) -> Batch:
    """The same pairs mirrored, recoloured, softened, noised, cut out and framed otherwise, each by its own chance.

    A hue changes in picture and volume alike, as does a mirror; all else only in the picture.
    """
    count, size_px = batch.pictures.shape[0], batch.pictures.shape[-1]
    chance = torch.from_numpy(rng.random((count, 12)).astype(np.float32))
    noise = torch.from_numpy(rng.standard_normal((count, 4, size_px, size_px)).astype(np.float32))
    pictures, masks, windows, cells, colours = (
        tensor.clone() for tensor in (batch.pictures, batch.masks, batch.windows, batch.cells, batch.colours)
    )
    for index in range(count):
        if chance[index, 0] < 0.5:
            pictures[index], masks[index] = pictures[index].flip(-1), masks[index].flip(-1)
            cells[index], colours[index] = cells[index].flip(-1), colours[index].flip(-1)
            windows[index, 0] = size_px - windows[index, 0]
        if chance[index, 1] < 0.3:
            order = torch.from_numpy(rng.permutation(3))
            pictures[index], colours[index] = pictures[index][order], colours[index][order]
        if chance[index, 2] < 0.6:
            small_px = round(size_px / float(1.3 + 2.7 * chance[index, 3]))
            small = F.interpolate(
                pictures[index : index + 1], (small_px, small_px), mode="bilinear", antialias=True
            )
            pictures[index] = F.interpolate(small, (size_px, size_px), mode="bilinear", align_corners=False)[
                0
            ]
    gains = 0.75 + 0.5 * chance[:, 4, None] + 0.1 * (chance[:, 5:8] - 0.5)
    pictures = (
        pictures * gains[:, :, None, None] + 0.03 * chance[:, 8, None, None, None] * noise[:, :3]
    ).clamp(0, 1)
    ragged = F.avg_pool2d(masks, 3, 1, 1) + 0.9 * chance[:, 9, None, None, None] * F.avg_pool2d(
        noise[:, 3:], 7, 1, 3
    )
    windows[:, :2] += 0.08 * (chance[:, 10:12] - 0.5) * windows[:, 2:]
    windows[:, 2] *= 0.96 + 0.1 * chance[:, 8]
    return Batch(pictures, (ragged > 0.5).float(), windows, cells, colours)


def score_lifter(lifter: Lifter, pairs: SeenVolumes) -> dict[str, dict[str, float]]:
    """How well pictures are lifted, and how well turning their silhouettes does, by morphotype.

    Args:
        lifter: Taught.
        pairs: That it was not taught.

    Returns:
        By morphotype, and `all`: mean intersection over union of the body, 0 to 1, and mean difference of the
        colours on the true surface, 0 to 1, as `lifted_iou`, `revolved_iou`, `lifted_colour_error` and
        `revolved_colour_error`.
    """
    rows: dict[str, list[dict[str, float]]] = {}
    for place in range(len(pairs)):
        shape = find_silhouette(pairs.pictures[place])
        if shape is None:
            continue
        batch = as_batch(pairs, np.array([place]))
        right = Lifted(
            -4 * batch.cells[0], torch.logit(batch.colours[0], 0.02), float(batch.windows[0, 2]), 1.0
        )
        body, colours = _middled(as_volume(right, _SCORED_GRID))
        surface = body & ~torch.from_numpy(ndimage.binary_erosion(body.numpy()))
        guesses = {
            "lifted": as_volume(lifter.lift(shape), _SCORED_GRID),
            "revolved": revolve(shape, _SCORED_GRID),
        }
        own = {}
        for name, volume in guesses.items():
            guess, painted = _middled(volume)
            own[f"{name}_iou"] = overlap(guess, body)
            own[f"{name}_colour_error"] = float((painted - colours).abs()[:, surface].mean())
        rows.setdefault(MORPHOTYPES[pairs.morphotypes[place]], []).append(own)
    rows["all"] = [row for own in list(rows.values()) for row in own]
    return {
        kind: {name: round(float(np.mean([row[name] for row in own])), 4) for name in own[0]}
        for kind, own in rows.items()
    }


def _middled(volume: Volume) -> tuple[Tensor, Tensor]:
    """Where a volume is full, bool (D, H, W), and its colours, moved so that its body's middle is the grid's."""
    body = volume.density > (DENSEST + THINNEST) / 2
    filled = body.nonzero()
    if not len(filled):
        return body, volume.rgb()
    middle = (filled.amin(0) + filled.amax(0) + 1) // 2
    shifts = [count // 2 - int(at) for count, at in zip(body.shape, middle, strict=True)]
    return body.roll(shifts, (0, 1, 2)), volume.rgb().roll(shifts, (1, 2, 3))


def show_lifted(lifter: Lifter, pairs: SeenVolumes, *, count: int = 16) -> Image.Image:
    """A sheet of the first pairs: the picture, and from three sides what is lifted and what is turned of it."""
    tiles: list[Image.Image] = []
    for picture in pairs.pictures[:count]:
        shape = find_silhouette(picture)
        if shape is None:
            continue
        for volume in (as_volume(lifter.lift(shape), 48), revolve(shape, 48)):
            tiles += [Image.fromarray(view) for view in pictures(volume, _SHOWN_FROM, 96)]
        tiles.insert(len(tiles) - 2 * len(_SHOWN_FROM), Image.fromarray(picture))
    return contact_sheet(tiles, columns=2 * (1 + 2 * len(_SHOWN_FROM)), tile_px=96, ground="#000000")
