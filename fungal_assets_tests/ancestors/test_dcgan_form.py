"""A form begun from a drawn picture: the one with an upright subject is chosen, and where there is none nothing is."""

import numpy as np
from PIL import Image, ImageDraw

from fungal_assets.ancestors.bodies import read_body
from fungal_assets.ancestors.dcgan_form import VIEW_PX, VIEWS, draw_form
from fungal_assets.forms.uploads import load_upload
from fungal_assets.forms.volume import Camera, render


def cap_on_a_stem():
    image = Image.new("RGB", (64, 64), "#304020")
    draw = ImageDraw.Draw(image)
    draw.rectangle((28, 30, 36, 56), fill="#e0d8c0")
    draw.pieslice((14, 12, 50, 48), 180, 360, fill="#c03020")
    return image


def test_the_picture_with_an_upright_subject_is_turned(tmp_path):
    plain = Image.new("RGB", (64, 64), "#304020")
    assert draw_form([plain, plain, cap_on_a_stem()], tmp_path / "form.webp") == 2
    with Image.open(tmp_path / "form.webp") as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    assert pixels.shape[1] > (2 + VIEWS) * VIEW_PX
    views = pixels[:VIEW_PX, -VIEWS * VIEW_PX :]
    assert (views[..., 0].astype(int) - views[..., 1] > 60).any(), "the cap is red from every side"
    body = read_body(tmp_path / "form.glb")
    assert not body.repairs, "a mesh that cppn_forms takes as it is"


def test_a_form_of_a_drawn_picture_is_a_first_mesh_of_forms(tmp_path):
    """As `forms_3d.first_meshes` reads it: a body whose upper part is red, the lower light."""
    draw_form([cap_on_a_stem()], tmp_path / "form.webp")
    upload = load_upload(tmp_path / "form.glb", 48)
    view = render(upload.volume, Camera(30, 0), 64)
    seen = view.alpha.squeeze() > 0.5
    rows = seen.any(1).nonzero()[:, 0]
    upper, lower = (int(rows[len(rows) * quarter // 4]) for quarter in (1, 3))
    cap, stem = (view.rgb[:, row, seen[row]].mean(1) for row in (upper, lower))
    assert upload.is_painted and cap[0] - cap[1] > 0.3 and abs(stem[0] - stem[1]) < 0.15


def test_pictures_without_a_subject_begin_nothing(tmp_path):
    assert draw_form([Image.new("RGB", (64, 64), "#304020")], tmp_path / "form.webp") is None
    assert not list(tmp_path.iterdir())
