"""A first guess at a form: one picture, lifted into a volume by a small network.

The network is a plain U-Net over the picture whose output channels are the slices of the volume, so that each of its
columns lies behind its pixel and nothing but two-dimensional convolutions is needed (A. Jackson et al., "Large Pose 3D
Face Reconstruction from a Single Image via Direct Volumetric CNN Regression", 2017). It was taught by the fungarium,
whose fungi are known all round (`pocket.lifter_training`), so it also says what no picture shows: that a shelf is flat
behind and a funnel hollow. The volume is upright, however far from above the picture was taken, and faces the camera:
x right, y up, z towards it. Belongs here: the network, what it is shown, and what is made of its answer. Torch kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
import torch  # noqa: TID253
import torch.nn.functional as F  # noqa: TID253
from scipy import ndimage  # noqa: TID253
from skimage.graph import MCP_Geometric  # noqa: TID253
from torch import nn  # noqa: TID253

from fungal_assets.forms.revolving import PX_PER_UNIT, Silhouette, find_silhouette, spread
from fungal_assets.forms.solid import LEAST_PIECE, label_pieces, largest_piece, overlap, whole_share
from fungal_assets.forms.volume import Volume, density_across

GRID = 32
"""Slices, and samples along each side of one."""
LOOK_PX = 2 * GRID
REACH = 1.15
"""Half of the window's side over half of the subject's longer side."""
_WIDTHS = (48, 96, 144, 192)
_GROUPS = 8
_CLEAR = -6.0
_SURE, _MOST_RAISED = 1.0, 3.0
"""Logit that the likeliest sample behind the mask has at least, and by how much it is raised for that at most."""
_AGREED = 0.8
"""Agreement from which on more says nothing: lumps agree best."""
_WIDE = 7
"""Samples across which means are taken, odd."""
_SHARPNESS = 0.5
"""Logit at which a sample is as full, or as empty, as any."""
_MOST = 0.92
"""Half of the longest side that a form may have in the unit box."""
_VIVID = 3.5
_UPWARD = 0.1
"""How much less a slope upwards counts than one sideways in where the picture is laid: a cap is seen from its side."""
_LEVELS, _SCALE = 127, ".scale"
"""Of weights in 8 bits: the greatest of a row, and what the name of its scales ends in."""


@dataclass(frozen=True)
class Window:
    """The square of a picture that the network looks at.

    Args:
        middle: Its centre as a column and a row, pixels.
        half_px: Half of its side.
    """

    middle: tuple[float, float]
    half_px: float


def window_about(mask: np.ndarray) -> Window:
    """The window about a subject: bool, shape (H, W), somewhere true."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    low, high = (columns[0], rows[0]), (columns[-1] + 1, rows[-1] + 1)
    half = max(high[0] - low[0], high[1] - low[1]) / 2
    middle = float(low[0] + high[0]) / 2, float(low[1] + high[1]) / 2
    return Window(middle, float(REACH * half))


def look(
    picture: torch.Tensor, mask: torch.Tensor, windows: torch.Tensor, size_px: int = LOOK_PX
) -> torch.Tensor:
    """What the network sees: the subjects' colours about their grey 0, and where they are.

    Args:
        picture: float32, shape (B, 3, H, W), sRGB 0 to 1.
        mask: float32, shape (B, 1, H, W), 0 to 1.
        windows: float32, shape (B, 3): column, row and half side of each, pixels.
        size_px: Pixels along each side of what is seen.

    Returns:
        float32, shape (B, 4, size_px, size_px), -1 to 1; outside of the subject 0.
    """
    place = (torch.arange(size_px) + 0.5) / size_px * 2 - 1
    rows, columns = torch.meshgrid(place, place, indexing="ij")
    grid = windows[:, None, None, :2] + windows[:, None, None, 2:] * torch.stack([columns, rows], -1)
    whole_px = picture.shape[-1]
    seen = F.grid_sample(torch.cat([picture, mask], 1), 2 * grid / whole_px - 1, align_corners=False)
    return torch.cat([(2 * seen[:, :3] - 1) * seen[:, 3:], seen[:, 3:]], 1)


@dataclass(frozen=True)
class Lifted:
    """What the lifter makes of a subject, in the window about it.

    Args:
        occupied: Logits, float32, shape (G, G, G) along z towards the camera, y upwards, x right.
        colours: Logits of sRGB, float32, shape (3, G, G, G).
        half_px: Half of the window's side, pixels of the picture.
        agreement: Intersection over union of its outline from in front and the mask that it was lifted from, 0 to 1.
        picture: The subject's colours in the window, carried on beyond its edge, sRGB, float32, shape (3, P, P); None
            where the colours are all.
    """

    occupied: torch.Tensor
    colours: torch.Tensor
    half_px: float
    agreement: float
    picture: torch.Tensor | None = None


class PictureLifter(Protocol):
    """What lifts pictures: the network of this module, or a feed-forward model of the hub behind the same method."""

    def lift(self, shape: Silhouette) -> Lifted:
        """What the whole body of a subject is like."""


class _Block(nn.Module):
    """Two convolutions of three by three about a shortcut."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, padding=1)
        self.second = nn.Conv2d(after, after, 3, padding=1)
        self.norms = nn.ModuleList([nn.GroupNorm(_GROUPS, before), nn.GroupNorm(_GROUPS, after)])
        self.shortcut = nn.Conv2d(before, after, 1) if before != after else nn.Identity()
        nn.init.zeros_(self.second.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.first(F.silu(self.norms[0](x)))
        return self.shortcut(x) + self.second(F.silu(self.norms[1](inner)))


class Lifter(nn.Module):
    """Takes what `look` gives to a volume.

    Args:
        widths: Channels at each scale, the finest first; the last scale is `2 ** (len(widths) - 1)` times coarser.
        grid_size: Slices, and samples along each side.
    """

    def __init__(self, widths: tuple[int, ...] = _WIDTHS, grid_size: int = GRID):
        super().__init__()
        self.grid_size = grid_size
        self.stem = nn.Conv2d(16, widths[0], 3, padding=1)
        steps = list(zip(widths, widths[1:], strict=False))
        self.down = nn.ModuleList([_Block(width, width) for width in widths[:-1]])
        self.narrow = nn.ModuleList([nn.Conv2d(fine, coarse, 3, 2, 1) for fine, coarse in steps])
        self.middle = nn.Sequential(_Block(widths[-1], widths[-1]), _Block(widths[-1], widths[-1]))
        self.widen = nn.ModuleList([nn.Conv2d(coarse, fine, 1) for fine, coarse in steps])
        self.up = nn.ModuleList([_Block(2 * fine, fine) for fine, _ in steps])
        self.head = nn.Sequential(
            nn.Conv2d(widths[0], 2 * widths[0], 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(2 * widths[0], 4 * grid_size, 1),
        )

    def forward(self, seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Lift.

        Args:
            seen: float, shape (B, 4, 2 G, 2 G); G is `grid_size`.

        Returns:
            Occupancy as logits, float, shape (B, G, G, G) along z, y upwards, x; and colours as logits of sRGB, shape
            (B, 3, G, G, G).
        """
        x = self.stem(F.pixel_unshuffle(seen, 2))
        kept = []
        for block, narrow in zip(self.down, self.narrow, strict=True):
            kept.append(block(x))
            x = narrow(kept[-1])
        x = self.middle(x)
        for block, widen in zip(reversed(self.up), reversed(self.widen), strict=True):
            x = F.interpolate(widen(x), scale_factor=2.0, mode="nearest")
            x = block(torch.cat([x, kept.pop()], 1))
        out = self.head(x).unflatten(1, (4, self.grid_size)).flip(3)
        return out[:, 0], out[:, 1:]

    @torch.no_grad()
    def lift(self, shape: Silhouette) -> Lifted:
        """Lift a subject; only the largest piece is kept.

        Where the mask says that there is something and the network is unsure at which depth, as of a thin stem, what
        it finds likeliest is filled; what still lies apart is joined, since the mask is one piece.
        """
        picture = torch.from_numpy(shape.picture).permute(2, 0, 1)[None].float() / 255
        mask, window = torch.from_numpy(shape.mask)[None, None].float(), window_about(shape.mask)
        windows = torch.tensor([[*window.middle, window.half_px]])
        seen = look(picture, mask, windows)
        whole = spread(shape.picture, shape.mask)[None]
        close = look(whole, torch.ones_like(mask), windows, 2 * LOOK_PX)[0, :3] / 2 + 0.5
        occupied, colours = (part[0] for part in self(seen))
        occupied, colours = _even_depth(occupied[None])[0], _even_depth(colours)
        sampled = _at_samples(seen)
        shown = sampled[3] > 0.5
        behind = occupied.amax(0)
        missing = ((_SURE - behind).clamp(0, _MOST_RAISED) * shown)[None]
        occupied = occupied + _blurred(missing) / _blurred(shown.float()[None]).clamp(min=0.05)
        occupied = _joined(occupied, shown)
        is_body = largest_piece((occupied > 0).numpy())
        near = torch.from_numpy(ndimage.binary_dilation(is_body))
        occupied = torch.where(near, occupied, occupied.clamp(max=_CLEAR))
        colours = _row_by_row(occupied, colours, sampled)
        agreement = overlap(torch.from_numpy(is_body).any(0), shown)
        return Lifted(occupied, colours, window.half_px, agreement, close)


def _joined(occupied: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
    """The logits with every larger piece tied to the largest, along what lies between that is likeliest occupied.

    A tie is as thick as the outline is there, and no thicker than what it ties.

    Args:
        occupied: Logits, float, shape (G, G, G).
        shown: The outline, bool, shape (G, G); a tie stays within.
    """
    logits, outline = occupied.numpy(), shown.numpy()
    pieces, sizes = label_pieces(logits > 0)
    order = np.argsort(-sizes)
    worth = [piece for piece in order[1:] if sizes[piece] > LEAST_PIECE * sizes.sum()]
    if not worth:
        return occupied
    depths = ndimage.distance_transform_edt(outline)
    path_cost = np.where(outline, np.exp(-logits.clip(-4, 4)), -1.0)  # below 0 no path goes
    body = pieces == order[0]
    for piece in worth:
        paths = MCP_Geometric(path_cost)
        costs, _ = paths.find_costs(np.argwhere(body))
        own = pieces == piece
        end = np.unravel_index(np.where(own, costs, np.inf).argmin(), own.shape)
        if np.isfinite(costs[end]):
            body |= own | _thickened(paths.traceback(end), depths, depths[own.any(0)].max()) & outline
    return torch.where(torch.from_numpy(body), occupied.clamp(min=_SHARPNESS), occupied)


def _thickened(path: Sequence[Sequence[int]], depths: np.ndarray, most: float) -> np.ndarray:
    """A ball about each place (z, y, x) of a path, of the radius that `depths` (G, G) has there, 1 to `most`."""
    places = np.indices((depths.shape[0], *depths.shape))
    radii = [min(max(depths[y, x], 1.0), max(most, 1.0)) for _, y, x in path]
    offsets = [places - np.reshape(place, (3, 1, 1, 1)) for place in path]
    return np.any(
        [(step**2).sum(0) <= radius**2 for step, radius in zip(offsets, radii, strict=True)], axis=0
    )


def _at_samples(seen: torch.Tensor) -> torch.Tensor:
    """What the network saw, float (1, 4, 2 G, 2 G), at the samples of a slice: (4, G, G) along y upwards and x."""
    line = torch.linspace(-1, 1, seen.shape[-1] // 2)
    y, x = torch.meshgrid(line, line, indexing="ij")
    softened = F.avg_pool2d(seen, 3, 1, 1)
    return F.grid_sample(softened, torch.stack([x, -y], -1)[None], align_corners=False)[0]


def _row_by_row(occupied: torch.Tensor, colours: torch.Tensor, sampled: torch.Tensor) -> torch.Tensor:
    """Colours as logits, at each height as far from the network's, all round, as the picture is from its front."""
    shown, picture = sampled[3:], sampled[:3] / 2
    rgb = torch.sigmoid(colours)
    nearest = len(occupied) - 1 - (occupied > 0).flip(0).int().argmax(0)
    front = rgb.gather(1, nearest.expand(3, 1, *nearest.shape))[:, 0]
    both = shown * (occupied > 0).any(0)
    of_rows = _blurred(both).sum(2).clamp(min=0.5)
    missed = _blurred(((picture + 0.5 * shown) - front * shown) * both).sum(2) / of_rows
    return torch.logit((rgb + missed[:, None, :, None]).clamp(0.02, 0.98))


def _painted(
    rgb: torch.Tensor, picture: torch.Tensor, facing: torch.Tensor, places: torch.Tensor
) -> torch.Tensor:
    """Colours (3, D, H, W) with a picture (3, P, P) laid on, as much as the surface there faces each way, `facing`.

    It lies on what faces the camera or turns its back on it and, turned by a right angle, on what faces sideways.

    Args:
        rgb: Float, 0 to 1.
        picture: Float, 0 to 1.
        facing: Float, shape (3, D, H, W): shares towards z, y and x.
        places: Float, shape (D, H, W, 3): x, y and z in the window, -1 to 1.
    """
    x, y, z = places.unbind(-1)
    for share, across in ((facing[0], x), (facing[2], z)):
        grid = torch.stack([across, -y], -1).flatten(0, 1)[None]
        seen = F.grid_sample(picture[None], grid, align_corners=False, padding_mode="border")[0]
        rgb = rgb + share * (seen.view(3, *share.shape) - rgb)
    return rgb


def _blurred(picture: torch.Tensor) -> torch.Tensor:
    """Each sample the mean of its neighbourhood: float (C, H, W)."""
    return F.avg_pool2d(picture[None], _WIDE, 1, _WIDE // 2)[0]


def _even_depth(fields: torch.Tensor) -> torch.Tensor:
    """Fields (C, D, H, W) with each slice mixed with its neighbours: they are channels, which nothing else ties."""
    padded = torch.cat([fields[:, :1], fields, fields[:, -1:]], 1)
    return 0.25 * padded[:, :-2] + 0.5 * padded[:, 1:-1] + 0.25 * padded[:, 2:]


def save_lifter(path: Path, lifter: Lifter) -> None:
    """Write a lifter: weights in 8 bits, a scale for each of their rows, and what has no rows in half precision."""
    from safetensors.torch import save_file

    tensors: dict[str, torch.Tensor] = {}
    for name, value in lifter.state_dict().items():
        if value.dim() < 2:
            tensors[name] = value.half()
            continue
        scale = (value.flatten(1).abs().amax(1).clamp(min=1e-6) / _LEVELS).half()
        tensors[name + _SCALE] = scale
        tensors[name] = (value / _over_rows(scale.float(), value)).round().clamp(-_LEVELS, _LEVELS).char()
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)


@cache
def load_lifter(path: Path) -> Lifter:
    """The lifter of a safetensors file, in single precision, for reading only."""
    from safetensors.torch import load_file

    tensors = load_file(path)
    scales = {name: tensors.pop(name + _SCALE).float() for name in list(tensors) if name + _SCALE in tensors}
    lifter = Lifter()
    lifter.load_state_dict(
        {
            name: value.float() * _over_rows(scales[name], value) if name in scales else value.float()
            for name, value in tensors.items()
        }
    )
    return lifter.requires_grad_(False).eval()


def _over_rows(scale: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return scale.view(-1, *[1] * (weights.dim() - 1))


def as_volume(lifted: Lifted, grid_size: int) -> Volume:
    """What was lifted as a volume in the unit box, in its middle, as large as in its picture."""
    counts, half = torch.tensor(lifted.occupied.shape), lifted.half_px / PX_PER_UNIT
    filled = (lifted.occupied > 0).nonzero()
    low, high = (filled.amin(0), filled.amax(0)) if len(filled) else (0 * counts, counts - 1)
    middle = (low + high) / (counts - 1) - 1
    scale = half * min(1.0, _MOST / (half * float((high - low).max()) / (len(lifted.occupied) - 1)))
    line = torch.linspace(-1, 1, grid_size)
    z, y, x = (
        at / scale + shift
        for at, shift in zip(torch.meshgrid(line, line, line, indexing="ij"), middle, strict=True)
    )
    places = torch.stack([x, y, z], -1)[None]
    slopes = torch.stack(torch.gradient(lifted.occupied.clamp(-4, 4))).square()
    slopes[1] *= _UPWARD
    facing = slopes / slopes.sum(0).clamp(min=1e-3)
    fields = torch.cat([(lifted.occupied / _SHARPNESS).clamp(-1, 1)[None], lifted.colours, facing])[None]
    sampled = F.grid_sample(fields, places, align_corners=True, padding_mode="border")[0]
    occupied, colour, facing = sampled.split([1, 3, 3])
    if lifted.picture is not None:
        colour = torch.logit(
            _painted(torch.sigmoid(colour), lifted.picture, facing, places[0]).clamp(0.02, 0.98)
        )
    inside = torch.where((places[0].abs() <= 1).all(-1), occupied[0], -1.0)
    return Volume(density_across(inside), colour.clamp(-_VIVID, _VIVID))


def best_lifted(
    lifter: PictureLifter,
    pictures: Sequence[np.ndarray],
    appraise: Callable[[Volume], float],
    *,
    grid_size: int,
) -> tuple[Silhouette, Lifted, Volume] | None:
    """The subject that is lifted best and becomes most what it should, or None where no picture shows a free one.

    What hangs together in the volume that it becomes is lifted better than what a thin neck would drop.

    Args:
        lifter: Lifts.
        pictures: uint8, each (H, W, 3), sRGB, of one subject on a plain ground.
        appraise: How much a volume is what it should be, 0 to 1.
        grid_size: Samples along each side of the volume.

    Returns:
        The subject, what was lifted, and the volume that it becomes (`as_volume`).
    """
    best, found = 0.0, None
    for picture in pictures:
        if shape := find_silhouette(picture):
            lifted = lifter.lift(shape)
            volume = as_volume(lifted, grid_size)
            merit = shape.share * whole_share(volume) * min(lifted.agreement, _AGREED) * appraise(volume)
            if found is None or merit > best:
                best, found = merit, (shape, lifted, volume)
    return found
