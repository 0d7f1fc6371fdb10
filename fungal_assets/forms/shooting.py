"""The films and stills of one form.

    turntable.mp4                    square
    pyramid.mp4                      four times around the foot of a Pepper's-ghost pyramid
    black.mp4                        16:9 or 9:16, for transparent screens and hologram fans
    vertical.mp4                     9:16, for phones
    quilt_qs8x6a0.75.png and .mp4    for a Looking Glass, standing still and turning
    group.png and group.mp4          a cluster of individuals, placed as `group.json` says
    <name>.webp                      a small preview of each film and of the quilt
    film.json                        what is there; written last, so that its presence means complete

The first four share the frames of one turn. Belongs here: what is rendered and written, in which order. Layouts,
cameras and encoding are elsewhere. Torch kernel.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch  # noqa: TID253
from PIL import Image

from fungal_assets.forms.casting import Caster, Lens, places, settle
from fungal_assets.forms.filming import Shoot
from fungal_assets.forms.groups import as_json, compose, place_group, stand
from fungal_assets.forms.keeping import load_form
from fungal_assets.forms.layouts import fit_tile, lay_on_black, lay_out_pyramid, screen_px, tile_px
from fungal_assets.forms.lighting import shine
from fungal_assets.forms.noting import choose_notes, is_evolved
from fungal_assets.forms.quilts import Display, cut_quilt, get_display, lay_out_quilt, quilt_lenses
from fungal_assets.forms.showing import BLACK
from fungal_assets.forms.video import write_mp4, write_preview
from fungal_assets.forms.volume import Volume
from fungal_assets.store import write_atomically

FILM_NAME, GROUP_NAME = "film.json", "group.json"
NOTED = ("species_id", "common_name", "slug")
"""What of a grown form's notes stands beside its films; of an evolved one its lineage does, as `noting` says."""
PREVIEWS_BYTES = 66_000
"""Of all previews of a form together: as base64 they go into one event of at most 100 kB."""
_PREVIEW_PX, _PREVIEW_FRAMES = 128, 24
_HAZE = 0.04
_GROUP_ELEVATION_DEG = 14.0
_GROUP_NOTE = (
    "Individuals of one form. Lengths are in heights of the form as grown (y 0 at its foot, 1 at its top), angles in "
    "degrees; y is up, azimuth 0 is +z, 90 is +x. In this order: (x, z) *= 1 + (spread - 1) y^2 (3 - 2 y); turn by "
    "turn_deg about y, +z towards +x; (x, z) += lean (2 y - y^2) (sin lean_deg, cos lean_deg); times scale; to (x, z)."
)


def shoot_form(form: Path, folder: Path, notes: Mapping[str, Any], shoot: Shoot) -> dict[str, Any]:
    """Film one form, unless it is filmed.

    Args:
        form: Its volume.
        folder: Where everything goes.
        notes: Of the form, as its list has them.
        shoot: The settings.

    Returns:
        What `film.json` holds: the form's notes that go on, `frames_per_s`, `preview_bytes`, and by file name its
        `width_px`, `height_px`, `frames` and, of a quilt, its `display`.
    """
    done = folder / FILM_NAME
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        volume, known = open_form(form)
        kept = choose_notes({**known, **notes}, NOTED)
        studio = _Studio(volume, folder, shoot, seed=crc32(notes["slug"].encode()))
        for name in dict.fromkeys(("turntable", *shoot.formats)):
            getattr(studio, name)()
        previews = sum(path.stat().st_size for path in folder.glob("*.webp"))
        about = {**kept, "frames_per_s": shoot.frames_per_s, "preview_bytes": previews, "files": studio.files}
        write_atomically(done, json.dumps(about, indent=1))
    return json.loads(done.read_text())


def open_form(path: Path) -> tuple[Volume, dict[str, Any]]:
    """A kept form as it is filmed, an evolved one, whose colours are plain, in light; and the notes kept in it."""
    volume, notes = load_form(path)
    return (shine(volume) if is_evolved(notes) else volume), notes


def turn(
    volume: Volume,
    frames: int,
    width_px: int,
    height_px: int,
    *,
    elevation_deg: float = 12.0,
    finer: int = 2,
    ground: tuple[float, float, float] = BLACK,
) -> Iterator[np.ndarray]:
    """One turn of a form on a plain ground.

    Args:
        volume: The form.
        frames: Of the turn.
        width_px: Of each frame.
        height_px: Of each frame.
        elevation_deg: Of the camera.
        finer: How many times as fine the form's grid is made before.
        ground: sRGB, 0 to 1.

    Yields:
        uint8, shape (height_px, width_px, 3), the camera going round from azimuth 0.
    """
    settled, front = settle(volume, aspect=width_px / height_px, elevation_deg=elevation_deg)
    caster = Caster(settled, finer=finer)
    for index in range(frames):
        lens = replace(front, azimuth_deg=360 * index / frames)
        yield photograph(caster, lens, width_px, height_px, ground=ground)


def photograph_quilts(
    volume: Volume, display: Display, quilt_px: int, azimuths_deg: Sequence[float]
) -> Iterator[np.ndarray]:
    """The quilts of a form from some sides: uint8, each (rows h, columns w, 3)."""
    caster, lenses = _set_up_quilt(volume, display)
    size_px = display.tile_px(quilt_px)
    for azimuth_deg in azimuths_deg:
        turned = [replace(lens, azimuth_deg=azimuth_deg) for lens in lenses]
        yield lay_out_quilt(display, [photograph(caster, lens, *size_px) for lens in turned])


def photograph_views(
    volume: Volume, display: Display, width_px: int, height_px: int, *, only: Sequence[int]
) -> list[np.ndarray]:
    """Some views of a quilt from the front, by their numbers: uint8, each (height_px, width_px, 3)."""
    caster, lenses = _set_up_quilt(volume, display)
    return [photograph(caster, lenses[index], width_px, height_px) for index in only]


def _set_up_quilt(volume: Volume, display: Display) -> tuple[Caster, list[Lens]]:
    settled, front = settle(volume)
    return Caster(settled), quilt_lenses(display, places(settled), front)


def photograph(
    caster: Caster,
    lens: Lens,
    width_px: int,
    height_px: int,
    *,
    ground: tuple[float, float, float] = BLACK,
) -> np.ndarray:
    """A picture on a plain ground, exactly that where there is hardly anything: uint8, (height_px, width_px, 3)."""
    rgb, alpha = caster.look(lens, width_px, height_px)
    clear = ((alpha - _HAZE).clamp(min=0) / (1 - _HAZE) / alpha.clamp(min=1e-6)).clamp(max=1)
    picture = rgb * clear + (1 - alpha * clear) * torch.tensor(ground)[:, None, None]
    return (picture.clamp(0, 1) * 255).round().byte().movedim(0, -1).numpy()


class _Studio:
    """Where one form is filmed: a method per format, called by its name.

    Args:
        volume: The form.
        folder: Where films and stills go.
        shoot: The settings.
        seed: The form's own, beside that of the settings.
    """

    def __init__(self, volume: Volume, folder: Path, shoot: Shoot, *, seed: int):
        self._volume, self._folder, self._shoot, self._seed = volume, folder, shoot, seed
        self._display = get_display(shoot.display)
        self._share_bytes = PREVIEWS_BYTES // (1 + len({"turntable", *shoot.formats}))
        self.files: dict[str, dict[str, Any]] = {}

    def turntable(self) -> None:
        """Square."""
        self._write_film("turntable.mp4", "turntable", self._turn)

    def pyramid(self) -> None:
        """Four times around a foot."""
        frames, screen, side = self._shoot.frames, self._shoot.pyramid_screen, tile_px(self._shoot.size_px)
        views = self._turn if side == self._shoot.size_px else [_resize(view, side) for view in self._turn]
        scale = fit_tile(views, screen)
        rounds = ([views[(i + k * frames // 4) % frames] for k in range(4)] for i in range(frames))
        laid = (lay_out_pyramid(four, screen=screen, scale=scale) for four in rounds)
        self._write_film("pyramid.mp4", "pyramid", laid)

    def black(self) -> None:
        """For screens on which black is clear."""
        self._write_on_black("black", is_portrait=self._shoot.orientation == "portrait")

    def vertical(self) -> None:
        """For phones."""
        self._write_on_black("vertical", is_portrait=True)

    def quilt(self) -> None:
        """For a Looking Glass, standing still; the preview goes from view to view and back."""
        still = next(photograph_quilts(self._volume, self._display, self._shoot.quilt_px, [0.0]))
        self._write_still(self._display.name("quilt", ".png"), still, display=self._shoot.display)
        views = cut_quilt(self._display, still)[:: max(1, self._display.views // _PREVIEW_FRAMES)]
        self._write_preview("quilt", [*views, *views[-2:0:-1]], 15)

    def quilt_film(self) -> None:
        """For a Looking Glass, turning."""
        sides = [360 * index / self._shoot.frames for index in range(self._shoot.frames)]
        quilts = photograph_quilts(self._volume, self._display, self._shoot.quilt_px, sides)
        name = self._display.name("quilt", ".mp4")
        self._write_film(name, "quilt_film", quilts, display=self._shoot.display)

    def group(self) -> None:
        """A cluster, standing still, twice the size of its film."""
        width_px, height_px = screen_px(2 * self._shoot.size_px, is_portrait=False)
        picture = next(self._go_round_group(1, width_px, height_px))
        self._write_still("group.png", picture)
        self._write_preview("group", [picture], 1)

    def group_film(self) -> None:
        """A cluster, turning."""
        size_px = screen_px(self._shoot.size_px, is_portrait=False)
        self._write_film("group.mp4", "group", self._go_round_group(self._shoot.frames, *size_px))

    @cached_property
    def _turn(self) -> list[np.ndarray]:
        return list(turn(self._volume, self._shoot.frames, self._shoot.size_px, self._shoot.size_px))

    @cached_property
    def _cluster(self) -> Volume:
        """The cluster as one volume; its placements are written beside."""
        body = stand(self._volume)
        seed = [self._shoot.seed, self._seed]
        placements = place_group(body, individuals=self._shoot.individuals, seed=seed)
        note = {"note": _GROUP_NOTE, "individuals": as_json(placements)}
        write_atomically(self._folder / GROUP_NAME, json.dumps(note, indent=1))
        return compose(body, placements)

    def _go_round_group(self, frames: int, width_px: int, height_px: int) -> Iterator[np.ndarray]:
        return turn(self._cluster, frames, width_px, height_px, elevation_deg=_GROUP_ELEVATION_DEG, finer=1)

    def _write_on_black(self, stem: str, *, is_portrait: bool) -> None:
        width_px, height_px = screen_px(self._shoot.size_px, is_portrait=is_portrait)
        self._write_film(
            f"{stem}.mp4", stem, (lay_on_black(view, width_px, height_px) for view in self._turn)
        )

    def _write_film(self, name: str, stem: str, frames: Iterable[np.ndarray], **about: str) -> None:
        """Encode frames as they come, and keep some of them, small, for the preview."""
        shown: list[np.ndarray] = []
        every = max(1, self._shoot.frames // _PREVIEW_FRAMES)
        sides: dict[str, int] = {}

        def passing() -> Iterator[np.ndarray]:
            for index, frame in enumerate(frames):
                if index % every == 0:
                    shown.append(_resize(frame, _PREVIEW_PX))
                sides.update(width_px=frame.shape[1], height_px=frame.shape[0])
                yield frame

        count = write_mp4(self._folder / name, passing(), frames_per_s=self._shoot.frames_per_s)
        self.files[name] = {**sides, "frames": count, **about}
        self._write_preview(stem, shown, self._shoot.frames_per_s / every)

    def _write_still(self, name: str, picture: np.ndarray, **about: str) -> None:
        temporary = self._folder / f".{name}"
        Image.fromarray(picture).save(temporary, "PNG")
        temporary.replace(self._folder / name)
        self.files[name] = {"width_px": picture.shape[1], "height_px": picture.shape[0], "frames": 1, **about}

    def _write_preview(self, stem: str, frames: Sequence[np.ndarray], frames_per_s: float) -> None:
        """A preview of its share of bytes; the turntable has two."""
        most_bytes = self._share_bytes * (2 if stem == "turntable" else 1)
        path = self._folder / f"{stem}.webp"
        write_preview(path, frames, frames_per_s=frames_per_s, side_px=_PREVIEW_PX, most_bytes=most_bytes)


def _resize(picture: np.ndarray, side_px: int) -> np.ndarray:
    """A picture whose longer side is `side_px`; black stays black."""
    scale = side_px / max(picture.shape[:2])
    size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))
