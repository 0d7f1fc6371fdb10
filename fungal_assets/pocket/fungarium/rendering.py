"""Renders traits into a picture: rays, surfaces, light, air.

Belongs here: the order of the passes and the light. Same traits, same composition at any size.
`render` gives the picture, `render_picture` also the mask and the depth. Torch kernel module.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F  # noqa: N812

from fungal_assets.errors import InputError
from fungal_assets.pocket.fungarium.grass import draw_blades
from fungal_assets.pocket.fungarium.habitats import AIR, paint_air, paint_floor, paint_wood
from fungal_assets.pocket.fungarium.noise import fractal
from fungal_assets.pocket.fungarium.palette import rgb, to_srgb
from fungal_assets.pocket.fungarium.scene import Camera, Placement, Scene, Substrate, build_scene
from fungal_assets.pocket.fungarium.shapes import Form
from fungal_assets.pocket.fungarium.skins import paint_skin
from fungal_assets.pocket.fungarium.tracing import (
    march,
    self_occlusion,
    span_in_sphere,
    sun_reaches,
    surface_normals,
)
from fungal_assets.pocket.fungarium.traits import Traits


@dataclass(frozen=True)
class Picture:
    """A rendered picture.

    Attributes:
        image: float32, shape (H, W, 3), sRGB 0 to 1.
        mask: float32, shape (H, W), share of the pixel that the fungus covers.
        depth: float32, shape (H, W), distance to the fungus in fruiting-body heights, infinite beside it.
    """

    image: torch.Tensor
    mask: torch.Tensor
    depth: torch.Tensor


@dataclass
class _Layer:
    """What the rays meet first: depth (N,), and which body (-1 none, -2 floor, -3 wood, else its index)."""

    depth: torch.Tensor
    owner: torch.Tensor


def _meet_substrate(substrate: Substrate, eye: torch.Tensor, rays: torch.Tensor) -> _Layer:
    depth = torch.full_like(rays[:, 0], torch.inf)
    owner = torch.full_like(rays[:, 0], -1, dtype=torch.int64)
    ground = substrate.ground_y
    if ground is not None and eye[1] > ground + 0.03:
        t = (ground - eye[1]) / rays[:, 1].clamp(max=-1e-6)
        down = rays[:, 1] < -1e-4
        depth, owner = torch.where(down, t, depth), torch.where(down, -2, owner)
    if substrate.wood_axis is not None:
        keep = [1, 2] if substrate.wood_axis == "x" else [0, 2]
        center = rays.new_tensor(substrate.wood_center)[keep]
        offset, flat = eye[keep] - center, rays[:, keep]
        a = (flat * flat).sum(-1).clamp_min(1e-9)
        b = (flat * offset).sum(-1)
        inside = b * b - a * ((offset * offset).sum() - substrate.wood_radius**2)
        t = (-b - inside.clamp_min(0).sqrt()) / a
        first = (inside > 0) & (t > 0) & (t < depth)
        depth, owner = torch.where(first, t, depth), torch.where(first, -3, owner)
    return _Layer(depth, owner)


def _meet_bodies(scene: Scene, rays: torch.Tensor, layer: _Layer, *, cone: float) -> None:
    for number, place in enumerate(scene.placements):
        eye = place.to_form(scene.camera.eye[None])
        local = rays @ place.turn
        center = local.new_tensor([0.0, scene.form.middle, 0.0])
        start, end, meets = span_in_sphere(eye, local, center, scene.form.reach)
        end = torch.minimum(end, layer.depth / place.scale)
        index = (meets & (start < end)).nonzero()[:, 0]
        if len(index) == 0:
            continue
        origins = eye.expand(len(index), 3)
        t = march(scene.form, origins, local[index], start[index], end[index], cone=cone) * place.scale
        nearer = t < layer.depth[index]
        layer.depth[index[nearer]] = t[nearer]
        layer.owner[index[nearer]] = number


def _wood_normals(substrate: Substrate, points: torch.Tensor) -> torch.Tensor:
    offset = points - points.new_tensor(substrate.wood_center)
    offset[:, 0 if substrate.wood_axis == "x" else 1] = 0.0
    return offset / substrate.wood_radius


def _substrate_gap(substrate: Substrate, points: torch.Tensor) -> torch.Tensor:
    gap = torch.full_like(points[:, 0], 9.0)
    if substrate.ground_y is not None:
        gap = points[:, 1] - substrate.ground_y
    if substrate.wood_axis is not None:
        offset = points - points.new_tensor(substrate.wood_center)
        keep = [1, 2] if substrate.wood_axis == "x" else [0, 2]
        gap = torch.minimum(gap, offset[:, keep].norm(dim=-1) - substrate.wood_radius)
    return gap


def _openness_beside(form: Form, placements: tuple[Placement, ...], points: torch.Tensor) -> torch.Tensor:
    """Returns how open points (N, 3) of the floor are beside the fruiting bodies, float32 (N,), 0 to 1."""
    shut = torch.ones_like(points[:, 0])
    for place in placements:
        local = place.to_form(points)
        near = (
            (local - local.new_tensor([0.0, form.middle, 0.0])).norm(dim=-1) < form.reach + 0.3
        ).nonzero()[:, 0]
        gap = form.distance(local[near], rough=False) / form.damping
        shut[near] = torch.minimum(shut[near], 0.3 + 0.7 * (gap / 0.3).clamp(0, 1).sqrt())
    return shut


def _sunlight(scene: Scene, points: torch.Tensor) -> torch.Tensor:
    light = torch.ones_like(points[:, 0])
    for place in scene.placements:
        light = torch.minimum(light, sun_reaches(scene.form, place, points, scene.sun))
    return light


def _mean_floor(habitat: str, offset: float, device: torch.device) -> torch.Tensor:
    at = torch.linspace(-2, 2, 16, device=device)
    points = torch.stack(torch.meshgrid(at, at, indexing="ij"), -1).view(-1, 2)
    flat = torch.stack([points[:, 0], torch.zeros_like(points[:, 0]), points[:, 1]], -1)
    return paint_floor(habitat, flat, offset=offset)[0].mean(0)


def _shade_substrate(scene: Scene, rays: torch.Tensor, layer: _Layer, image: torch.Tensor) -> None:
    habitat, offset = scene.traits.habitat, (scene.traits.seed % 9973) * 0.0731
    air = AIR[habitat]
    device = rays.device
    for owner in (-2, -3):
        index = (layer.owner == owner).nonzero()[:, 0]
        if len(index) == 0:
            continue
        points = scene.camera.eye + rays[index] * layer.depth[index][:, None]
        away = (points - scene.center).norm(dim=-1) / scene.radius
        normals = torch.zeros_like(points)
        if owner == -2:
            normals[:, 1] = 1.0
            color, height = paint_floor(habitat, points, offset=offset)
        else:
            normals = _wood_normals(scene.substrate, points)
            color, height = paint_wood(
                habitat, points, normals, axis=scene.substrate.wood_axis or "x", offset=offset
            )
        near = (away < 4.5).nonzero()[:, 0]
        open_, sun = torch.ones_like(away), torch.ones_like(away)
        open_[near] = _openness_beside(scene.form, scene.placements, points[near])
        sun[near] = _sunlight(scene, points[near])
        facing = ((normals @ scene.sun) * 1.0 + 0.1).clamp(0, 1) / 1.1
        sky = 0.6 + 0.4 * normals[:, 1]
        light = air.sun_light * (sun * facing)[:, None] * rgb(255, 246, 232).to(device)
        light = light + air.sky_light * (sky * open_ * (0.55 + 0.6 * height))[:, None] * rgb(
            236, 244, 255
        ).to(device)
        if habitat == "dark_room":
            color = color * (1.6 - 0.5 * away).clamp(0, 2)[:, None]
        lit = color * light
        if owner == -2 and habitat != "dark_room":
            mean = _mean_floor(habitat, offset, device) * (air.sun_light * scene.sun[1] + air.sky_light)
            drift = 0.75 + 0.5 * paint_drift(points, offset)
            far = ((away - 1.6) / 4.0).clamp(0, 1)
            lit = lit + (mean * drift[:, None] - lit) * (far * (2 - far) * 0.9)[:, None]
            fog = (1 - torch.exp(-(away - 3.0).clamp_min(0) / 14.0))[:, None]
            lit = lit + (rgb(*air.horizon).to(device) - lit) * fog
        image[index] = lit


def paint_drift(points: torch.Tensor, offset: float) -> torch.Tensor:
    """Returns broad blotches of light on a far floor at points (N, 3), float32 (N,), 0 to 1."""
    return fractal(points, cell=1.3, octaves=2, offset=offset + 9)


def _shade_bodies(scene: Scene, rays: torch.Tensor, layer: _Layer, image: torch.Tensor) -> None:
    skin, form = scene.skin, scene.form
    index = (layer.owner >= 0).nonzero()[:, 0]
    if len(index) == 0:
        return
    owner, view = layer.owner[index], -rays[index]
    points = scene.camera.eye - view * layer.depth[index][:, None]
    turns = torch.stack([place.turn for place in scene.placements])[owner]
    origins = torch.stack([place.origin for place in scene.placements])[owner]
    scales = points.new_tensor([place.scale for place in scene.placements])[owner]
    local = torch.einsum("ni,nij->nj", points - origins, turns) / scales[:, None]
    step = max(0.7 * form.grain, 0.004)
    bent = surface_normals(form, local, step=step)
    normals = torch.einsum("nj,nij->ni", bent, turns)
    toward = normals @ scene.sun
    sun, lit_side = torch.zeros_like(toward), toward > -0.25
    lifted = points + normals * (2.5 * step * scales)[:, None]
    sun[lit_side] = _sunlight(scene, lifted[lit_side])
    gap = _substrate_gap(scene.substrate, points)
    open_ = self_occlusion(form, local, bent) * (0.35 + 0.65 * (gap / 0.3).clamp(0, 1).sqrt())
    color = paint_skin(skin, form, local)
    image[index] = _light_flesh(scene, color, normals, view, sun=sun, open_=open_)


def _light_flesh(
    scene: Scene,
    color: torch.Tensor,
    normals: torch.Tensor,
    view: torch.Tensor,
    *,
    sun: torch.Tensor,
    open_: torch.Tensor,
) -> torch.Tensor:
    """Lights paint (N, 3): sun, sky, light from the floor, a fill at the camera, thin flesh, highlight."""
    air, glow, gloss = AIR[scene.traits.habitat], scene.skin.glow, scene.skin.gloss
    dark = scene.traits.habitat == "dark_room"
    device = color.device
    bounce = rgb(90, 90, 96).to(device) if dark else _mean_floor(scene.traits.habitat, 0.0, device)
    toward, up = normals @ scene.sun, 0.5 + 0.5 * normals[:, 1]
    faced = (normals * view).sum(-1).clamp(0, 1)
    wrap = 0.12 + 0.3 * glow
    direct = air.sun_light * ((toward + wrap) / (1 + wrap)).clamp_min(0) * sun
    light = direct[:, None] * rgb(255, 247, 234).to(device)
    light = light + (1.05 * air.sky_light * open_ * up)[:, None] * rgb(240, 246, 255).to(device)
    light = light + (0.55 * open_ * (1 - up))[:, None] * (bounce * 0.8 + 0.16)
    light = light + (0.12 * faced * open_)[:, None]
    light = light + (0.35 * glow * (1 - faced) ** 2 * open_)[:, None] * rgb(255, 236, 200).to(device)
    half = view + scene.sun
    half = half / half.norm(dim=-1, keepdim=True)
    shine = 0.8 * gloss * (normals * half).sum(-1).clamp(0, 1) ** 36 * sun
    shine = shine + 0.25 * gloss * (1 - faced) ** 4 * open_ * air.sky_light
    return color * light + shine[:, None]


def _soften_highlights(light: torch.Tensor) -> torch.Tensor:
    knee = 0.72
    over = (light - knee).clamp_min(0)
    return torch.where(light > knee, knee + (1 - knee) * (1 - torch.exp(-over / (1 - knee))), light)


def _veil_foreground(scene: Scene, rays: torch.Tensor, light: torch.Tensor) -> None:
    """Hides feet in blurred ground where the camera looks up from below the floor."""
    floor = scene.substrate.ground_y
    if floor is None or scene.camera.eye[1] > floor + 0.03 or scene.traits.habitat == "dark_room":
        return
    foot = scene.center * light.new_tensor([1.0, 0.0, 1.0]) + light.new_tensor([0, floor, 0])
    level = scene.camera.place_in_frame((foot - scene.camera.eye)[None])[0, 1]
    u, v = scene.camera.place_in_frame(rays).unbind(-1)
    line = torch.stack([u * 1.5, torch.zeros_like(u), torch.full_like(u, 0.3)], -1)
    bump = (paint_drift(line, scene.traits.seed % 97) - 0.5) * 0.3
    share = ((level + 0.12 + bump - v) / 0.16).clamp(0, 1)
    share = (share * share * (3 - 2 * share))[:, None]
    color = (
        _mean_floor(scene.traits.habitat, 0.0, light.device)
        * (0.5 + 0.4 * paint_drift(rays * 3, 5.0))[:, None]
    )
    light += (color - light) * share


def _to_device(scene: Scene, device: torch.device) -> Scene:
    form = replace(scene.form)
    for name in ("table", "owners"):
        if hasattr(form, name):
            setattr(form, name, getattr(form, name).to(device))
    eye, axes = scene.camera.eye.to(device), scene.camera.axes.to(device)
    camera = Camera(eye, axes, scene.camera.tan_half, scene.camera.shift)
    skin = replace(scene.skin, colors=scene.skin.colors.to(device), marks=scene.skin.marks.to(device))
    places = tuple(Placement(p.origin.to(device), p.turn.to(device), p.scale) for p in scene.placements)
    return replace(
        scene,
        form=form,
        skin=skin,
        placements=places,
        camera=camera,
        sun=scene.sun.to(device),
        center=scene.center.to(device),
    )


@torch.no_grad()
def render_picture(
    traits: Traits, *, size_px: int, supersample: int = 1, device: str | torch.device = "cpu"
) -> Picture:
    """Renders picture, mask and depth.

    Args:
        traits: what to show.
        size_px: side of the square picture.
        supersample: rays per pixel along each side.
        device: where to compute; the result stays there.

    Raises:
        InputError: size or supersample is below 1.
    """
    if size_px < 8 or supersample < 1:
        raise InputError(f"size_px is {size_px} and supersample {supersample}; give at least 8 px and 1 ray.")
    columns = min(240, max(88, round(size_px * min(supersample, 2) * 0.4)))
    scene = _to_device(build_scene(traits, columns=columns), torch.device(device))
    pixels = torch.arange(size_px * size_px, device=device)
    light, cover, depth = _trace(scene, scene.camera.rays(pixels, size_px=size_px), size_px)
    if supersample > 1:
        busy = _busy_pixels(light, cover, size_px)
        inner = scene.camera.rays(busy, size_px=size_px, supersample=supersample)
        fine = _trace(scene, inner, size_px * supersample)
        light[busy], cover[busy] = (
            x.view(len(busy), supersample**2, -1).mean(1).squeeze(-1) for x in fine[:2]
        )
        depth[busy] = fine[2].view(len(busy), -1).amin(-1)
    square = (size_px, size_px)
    return Picture(to_srgb(light).view(*square, 3), cover.view(square), depth.view(square))


def _trace(
    scene: Scene, rays: torch.Tensor, frame_px: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Follows unit rays (N, 3); returns light (N, 3), cover (N,) of 0 or 1, and depth (N,)."""
    cone = 2 * scene.camera.tan_half / frame_px
    layer = _meet_substrate(scene.substrate, scene.camera.eye, rays)
    _meet_bodies(scene, rays, layer, cone=cone)
    light = torch.zeros_like(rays)
    bare = (layer.owner == -1).nonzero()[:, 0]
    light[bare] = paint_air(scene.traits.habitat, rays[bare], offset=(scene.traits.seed % 7919) * 0.1931)
    _shade_substrate(scene, rays, layer, light)
    _shade_bodies(scene, rays, layer, light)
    met = layer.owner >= 0
    cover = met.float()
    draw_blades(scene, rays, layer.depth, light, cover, cone=cone)
    _veil_foreground(scene, rays, light)
    return _soften_highlights(light), cover, torch.where(met, layer.depth, torch.inf)


def _busy_pixels(light: torch.Tensor, cover: torch.Tensor, size_px: int) -> torch.Tensor:
    """Returns the indices of pixels at an outline or a strong change of light: those worth more rays."""
    tone = torch.cat([to_srgb(light), cover[:, None]], 1).T.view(1, 4, size_px, size_px)
    spread = F.max_pool2d(tone, 3, 1, 1) + F.max_pool2d(-tone, 3, 1, 1)
    outline = spread[0, 3] > 0.5
    inside = F.max_pool2d(tone[:, 3:], 3, 1, 1)[0, 0] > 0
    return (outline | ((spread[0, :3].amax(0) > 0.16) & inside)).view(-1).nonzero()[:, 0]


def render(
    traits: Traits, *, size_px: int, supersample: int = 1, device: str | torch.device = "cpu"
) -> torch.Tensor:
    """Renders the picture alone: float32, shape (size_px, size_px, 3), sRGB 0 to 1; see `render_picture`."""
    return render_picture(traits, size_px=size_px, supersample=supersample, device=device).image
