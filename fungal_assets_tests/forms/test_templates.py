"""The template: folded up it is a pyramid with faces at 45 degrees, and the drawing has the size that it says."""

import re

import numpy as np
import pytest

from fungal_assets.forms.templates import PDF_NAME, SVG_NAME, draw_templates, net


def _corner_deg(at, one, other):
    a, b = one - at, other - at
    return float(np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))))


@pytest.mark.parametrize("screen_mm", [65.0, 160.0])
def test_each_face_is_that_of_a_pyramid_at_45_degrees(screen_mm):
    """The pyramid's own corners, from solid geometry: a square foot of a fifth, a square rim, as high as it widens."""
    foot, rim = screen_mm / 5, screen_mm
    rise = (rim - foot) / 2  # 45 degrees
    slant = np.hypot(rise, (rim - foot) / 2)
    edge = np.linalg.norm([(rim - foot) / 2, (rim - foot) / 2, rise])
    for left, right, low_right, low_left in net(screen_mm):
        assert np.linalg.norm(right - left) == pytest.approx(rim)
        assert np.linalg.norm(low_right - low_left) == pytest.approx(foot)
        assert np.linalg.norm(right - low_right) == pytest.approx(edge)
        assert np.linalg.norm((left + right) / 2 - (low_left + low_right) / 2) == pytest.approx(slant)
        assert _corner_deg(left, right, low_left) == pytest.approx(54.7356, abs=1e-3)
        assert _corner_deg(right, left, low_right) == pytest.approx(54.7356, abs=1e-3)


def test_neighbouring_faces_share_an_edge():
    faces = net(100.0)
    for one, other in zip(faces[:-1], faces[1:], strict=True):
        assert np.allclose(one[1], other[0]) and np.allclose(one[2], other[3])


def _path(svg, name):
    """Points of a drawn line, in millimetres."""
    found = re.search(rf'<g id="{name}">\s*<path d="([^"]+)"', svg)
    numbers = [float(number) for number in re.findall(r"-?\d+\.?\d*", found[1])]
    return np.array(numbers).reshape(-1, 2) * 25.4 / 72


@pytest.mark.parametrize("screen", ["below", "above"])
def test_the_drawing_is_true_to_scale_and_on_the_sheet(tmp_path, screen):
    draw_templates(tmp_path, screen_mm=90.0, screen=screen)
    svg = (tmp_path / SVG_NAME).read_text()
    width, height = (
        float(value) * 25.4 / 72
        for value in re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', svg).groups()
    )
    cut = _path(svg, "cut")
    sides = np.linalg.norm(np.diff(cut, axis=0), axis=1)
    assert np.allclose(sides[:4], 90, atol=0.01) and np.allclose(sides[5:9], 18, atol=0.01)
    ruler = _path(svg, "ruler")
    assert np.linalg.norm(ruler[1] - ruler[0]) == pytest.approx(50, abs=0.01)
    tab = _path(svg, "tab")
    for points in (cut, tab, ruler):
        assert points.min() > 0 and points[:, 0].max() < width and points[:, 1].max() < height
    assert (tmp_path / PDF_NAME).read_bytes().startswith(b"%PDF")
    assert len(list(tmp_path.iterdir())) == 2


def test_the_same_template_is_the_same_file(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    for name in ("a", "b"):
        draw_templates(tmp_path / name, screen_mm=70.0, screen="below")
    for name in (SVG_NAME, PDF_NAME):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
