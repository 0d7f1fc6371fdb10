"""The traits of one picture: everything that `render` needs and that `describe` may say.

A `Traits` is plain data and goes to JSON and back. How traits are drawn by chance stands in `sampling`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Traits:
    """All that is true of one picture.

    Attributes:
        seed: moves every texture and placement that has no trait of its own.
        morphotype: one of `MORPHOTYPES`.
        habitat: one of `HABITATS`.
        cap_color: colour word of the cap, or of the whole fruiting body where there is no cap.
        stem_color: colour word of the stem, or of the outside.
        gill_color: colour word of gills, pores, teeth or the inside.
        spots: whether the cap bears pale warts.
        texture: 'smooth', 'scaly' or 'wrinkled'.
        cap_shape: 'convex', 'conical', 'flat', 'funnel' or 'none'.
        has_ring: whether the stem wears a ring.
        count: number of fruiting bodies, 1 to 5.
        closeness: 'up close', 'from afar' or None for neither.
        view: 'side view', 'front view', 'back view', 'seen from above', 'seen from below' or None.
        azimuth_deg: where the camera stands about the subject; 0 faces it from +z, 90 from +x.
        elevation_deg: height of the camera over the subject's level, -15 to 85.
        fov_deg: vertical field of view.
        frame_fill: diameter of the subject's bounding sphere over the frame's height.
        shift_x: sideways place of the subject in the frame, in frame heights; `shift_y` likewise, up.
        width: breadth of the cap against the morphotype's usual; `height` of the stem; `stout`, its girth.
        bend: sideways drift of the stem.
        ruffle: strength of waves at the rim, 0 to 1.
        shade: brightness of the paint against the palette's, about 1.
        sun_azimuth_deg: where the light stands against the camera; 0 is behind the camera.
        sun_elevation_deg: height of the sun.
    """

    seed: int
    morphotype: str
    habitat: str
    cap_color: str
    stem_color: str
    gill_color: str
    spots: bool
    texture: str
    cap_shape: str
    has_ring: bool
    count: int
    closeness: str | None
    view: str | None
    azimuth_deg: float
    elevation_deg: float
    fov_deg: float
    frame_fill: float
    shift_x: float
    shift_y: float
    width: float
    height: float
    stout: float
    bend: float
    ruffle: float
    shade: float
    sun_azimuth_deg: float
    sun_elevation_deg: float

    def to_dict(self) -> dict[str, object]:
        """Returns the traits as plain values for JSON; `Traits(**d)` reads them back."""
        return asdict(self)
