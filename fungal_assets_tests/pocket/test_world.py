"""The world's art, read from tiny packages made here in the iconify format; no npm and no network."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fungal_assets.errors import FungalError, InputError, ProvenanceError
from fungal_assets.pocket.world import (
    ATTRIBUTION,
    CONTROLS,
    HELD_OUT_STYLE,
    KINDS,
    STYLES,
    TRAINING_STYLES,
    WORLD_CONCEPTS,
    held_out_pictures,
    read_art,
    wide_concepts,
    world_pictures,
)
from fungal_assets.pocket.world.art import rasterise
from fungal_assets.pocket.world.captions import caption_picture, plain_caption
from fungal_assets.pocket.world.pictures import compose, legible_backgrounds

RED, BLUE, WHITE = (200, 20, 20), (20, 20, 200), (255, 255, 255)


def icon_body(rgb, *, x=4, y=4, width=8, height=8):
    return {"body": f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="rgb{rgb}"/>'}


def pack(folder, style, icons, aliases=None, member="package/icons.json"):
    """Write a package and return its style with the package's own hash."""
    table = {"prefix": style.name, "width": 16, "height": 16, "icons": icons, "aliases": aliases or {}}
    data = json.dumps(table).encode()
    with tarfile.open(folder / style.file_name, "w:gz") as package:
        entry = tarfile.TarInfo(member)
        entry.size = len(data)
        package.addfile(entry, io.BytesIO(data))
    digest = hashlib.sha256((folder / style.file_name).read_bytes()).hexdigest()
    return replace(style, sha256=digest)


def needed_icons(style_name, count):
    named = {icon for concept in WORLD_CONCEPTS[:count] for icon in concept.icons.get(style_name, ())}
    return sorted(named | {"dress"})


@pytest.fixture
def tiny_art(tmp_path):
    """All six styles with every icon of the first eight concepts: red squares, blue in the held-out style."""
    styles = []
    for style in STYLES:
        colour = BLUE if style.name == HELD_OUT_STYLE else RED
        icons = {icon: icon_body(colour) for icon in needed_icons(style.name, 8)}
        if style.name == "noto":
            icons["basket"] = icon_body((120, 80, 30))
        styles.append(pack(tmp_path, style, icons))
    return read_art(tmp_path, styles=styles)


@pytest.fixture
def one_set(tmp_path):
    icons = {
        "left": icon_body(RED, x=0, y=0, width=4, height=16),
        "wide": {**icon_body(RED, x=0, y=0, width=64, height=16), "width": 64},
        "nothing": {"body": "<g/>"},
    }
    aliases = {
        "same": {"parent": "left"},
        "turned": {"parent": "same", "hFlip": True},
        "back": {"parent": "turned", "hFlip": True},
        "lost": {"parent": "nowhere"},
        "round": {"parent": "round"},
    }
    style = pack(tmp_path, STYLES[0], icons, aliases)
    return read_art(tmp_path, styles=[style])["noto"]


def test_the_artists_control_prompts_come_first_and_every_kind_is_among_the_first_thirteen():
    names = [concept.name for concept in WORLD_CONCEPTS]
    assert names[:3] == ["hamburger", "girl holding a basket", "flower"]
    assert {concept.kind for concept in WORLD_CONCEPTS[:13]} == set(KINDS)
    assert {"girl", "basket"} <= set(names[:20])
    assert len(KINDS) == 10


def test_there_are_at_least_160_concepts_none_twice_and_no_fungus():
    names = [name for concept in WORLD_CONCEPTS for name in (concept.name, *concept.synonyms)]
    assert len(WORLD_CONCEPTS) >= 160
    assert len(names) == len(set(names))
    assert not [name for name in names if "mushroom" in name or "fung" in name or "flag" in name]


def test_every_concept_but_the_basket_is_drawn_in_four_styles_or_more():
    assert [concept.name for concept in WORLD_CONCEPTS if len(concept.styles) < 4] == ["basket"]


def test_no_two_concepts_share_an_icon_but_the_girl_and_her_basket():
    shared = [
        {one.name, other.name}
        for one, other in itertools.combinations(WORLD_CONCEPTS, 2)
        if any(set(one.icons.get(style, ())) & set(other.icons.get(style, ())) for style in one.styles)
    ]
    assert shared == [{"girl holding a basket", "girl"}]


def test_the_held_out_style_is_no_training_style_and_every_style_is_thanked():
    assert HELD_OUT_STYLE not in TRAINING_STYLES
    assert {*TRAINING_STYLES, HELD_OUT_STYLE} == set(ATTRIBUTION) == {style.name for style in STYLES}
    for style in STYLES:
        assert style.creator in ATTRIBUTION[style.name] and style.licence in ATTRIBUTION[style.name]
        assert style.licence in {"Apache-2.0", "MIT", "CC-BY-4.0"}


def test_an_icon_is_drawn_in_its_colour_and_cut_to_its_outline(one_set):
    drawing = one_set.draw("left", size_px=64)
    assert drawing.size == (16, 64)
    assert np.asarray(drawing)[32, 8].tolist() == [*RED, 255]


def test_an_icon_with_its_own_width_keeps_its_proportions(one_set):
    assert one_set.draw("wide", size_px=64).size == (64, 16)


def test_an_alias_is_followed_and_its_mirroring_counted(one_set):
    def red_left(name):
        return np.asarray(rasterise(one_set.svg(name), size_px=16))[8, 1, 3] == 255

    assert [red_left(name) for name in ("left", "same", "turned", "back")] == [True, True, False, True]


@pytest.mark.parametrize("name", ["unheard", "lost", "round"])
def test_an_icon_that_is_not_there_is_named(one_set, name):
    with pytest.raises(InputError, match=f"no icon '{name}'"):
        one_set.svg(name)


def test_an_empty_icon_is_refused(one_set):
    with pytest.raises(InputError, match="'nothing' of the style 'noto' is empty"):
        one_set.draw("nothing", size_px=32)


def test_packages_that_are_not_the_pinned_ones_are_all_named(tmp_path):
    styles = [pack(tmp_path, style, {"a": icon_body(RED)}) for style in STYLES[:3]]
    faulty = [styles[0], *(replace(style, sha256="0" * 64) for style in styles[1:])]
    with pytest.raises(ProvenanceError) as caught:
        read_art(tmp_path, styles=faulty)
    message = str(caught.value)
    assert STYLES[1].file_name in message and STYLES[2].file_name in message
    assert STYLES[0].file_name not in message and "Delete these files" in message


def test_a_package_without_icons_is_refused(tmp_path):
    style = pack(tmp_path, STYLES[0], {}, member="package/else.json")
    with pytest.raises(ProvenanceError, match="holds no file package/icons.json"):
        read_art(tmp_path, styles=[style])


def test_without_npm_the_missing_package_and_the_command_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FungalError, match=r"npm pack @iconify-json/noto@1\.2\.9"):
        read_art(tmp_path / "art", styles=STYLES[:1])


def write_npm(folder, script):
    npm = folder / "npm"
    npm.write_text(f"#!/bin/sh\n{script}\n")
    npm.chmod(0o755)


def test_a_missing_package_is_packed_into_the_named_folder(tmp_path, monkeypatch):
    style = pack(tmp_path, STYLES[0], {"a": icon_body(RED)})
    write_npm(tmp_path, f'[ "$1 $2 $3" = "pack {style.package}@{style.version} --pack-destination" ] '
                        f'&& /bin/cp {tmp_path / style.file_name} "$4"')  # fmt: skip
    monkeypatch.setenv("PATH", str(tmp_path))
    heard = []
    art = read_art(tmp_path / "new" / "art", styles=[style], tell=heard.append)
    assert art["noto"].has("a") and (tmp_path / "new" / "art" / style.file_name).exists()
    assert heard == ["fetching @iconify-json/noto 1.2.9"]


def test_a_failing_npm_is_quoted(tmp_path, monkeypatch):
    write_npm(tmp_path, "echo 'npm error no network' >&2; exit 7")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FungalError, match="ended with code 7: npm error no network"):
        read_art(tmp_path / "art", styles=STYLES[:1])


def test_half_transparent_ink_mixes_evenly_with_the_background():
    drawing = Image.new("RGBA", (8, 8), (255, 0, 0, 128))
    image = compose(drawing, (0, 0, 255), size_px=16, scale=0.5, at=(0.5, 0.5))
    assert np.abs(image[8, 8].astype(int) - [128, 0, 127]).max() <= 1
    assert image[0, 0].tolist() == [0, 0, 255]


def test_edges_carry_no_halo_of_the_colour_under_full_transparency():
    drawing = Image.new("RGBA", (64, 64), (0, 255, 0, 0))
    drawing.paste((255, 0, 0, 255), (16, 16, 48, 48))
    image = compose(drawing, WHITE, size_px=40, scale=1.0, at=(0.0, 0.0))
    assert (image[..., 1] <= image[..., 0]).all(), "green shines through"


@pytest.mark.parametrize(
    ("at", "corner"), [((0.0, 0.0), (0, 0)), ((1.0, 1.0), (16, 16)), ((0.5, 0.0), (0, 8))]
)
def test_a_drawing_sits_where_it_is_put_and_is_never_cut(at, corner):
    image = compose(Image.new("RGBA", (10, 10), (*RED, 255)), WHITE, size_px=32, scale=0.5, at=at)
    rows, columns = np.nonzero((image == RED).all(-1))
    assert (rows.min(), columns.min()) == corner and len(rows) == 16 * 16


@pytest.mark.parametrize(
    ("ink", "lost"),
    [(WHITE, "white"), ((16, 16, 18), "black"), ((58, 112, 200), "blue")],
    ids=["w", "k", "b"],
)
def test_a_drawing_is_not_set_on_its_own_colour(ink, lost):
    words = [word for word, *_ in legible_backgrounds(Image.new("RGBA", (40, 40), (*ink, 255)))]
    assert words and lost not in words


def test_a_white_drawing_with_a_dark_outline_may_stand_on_white():
    drawing = Image.new("RGBA", (40, 40), (0, 0, 0, 255))
    drawing.paste((255, 255, 255, 255), (5, 5, 35, 35))
    assert legible_backgrounds(drawing)[0][0] == "white"


def test_half_of_the_captions_of_the_house_style_on_a_plain_ground_are_bare_words():
    hamburger, rng = CONTROLS[0], np.random.default_rng(3)
    captions = [caption_picture(hamburger, "noto", "white", rng) for _ in range(4000)]
    bare = {"hamburger", "a hamburger", "burger", "a burger"}
    assert np.mean([caption in bare for caption in captions]) == pytest.approx(0.5, abs=0.03)
    worded = [caption for caption in captions if caption not in bare]
    assert np.mean(["noto style" in caption for caption in worded]) == pytest.approx(0.4, abs=0.03)
    assert np.mean(["white background" in caption for caption in worded]) == pytest.approx(0.3, abs=0.03)
    assert "a drawing of a hamburger, noto style, on a white background" in worded


def test_what_a_bare_word_does_not_mean_is_always_said():
    hamburger, rng = CONTROLS[0], np.random.default_rng(3)
    for _ in range(200):
        assert "twemoji style" in caption_picture(hamburger, "twemoji", "white", rng)
        assert "on a pink background" in caption_picture(hamburger, "noto", "pink", rng)
        on_its_plain_ground = caption_picture(hamburger, "noto", "purple", rng, plain_background="purple")
        assert "white" not in on_its_plain_ground
    plain = [caption_picture(hamburger, "noto", "purple", rng, plain_background="purple") for _ in range(200)]
    assert "hamburger" in plain


@pytest.mark.parametrize(
    ("name", "caption"),
    [
        ("hamburger", "a drawing of a hamburger"),
        ("apple", "a drawing of an apple"),
        ("hourglass", "a drawing of an hourglass"),
        ("sun", "a drawing of the sun"),
        ("scissors", "a drawing of scissors"),
    ],
)
def test_captions_are_good_english(name, caption):
    assert plain_caption(next(concept for concept in WORLD_CONCEPTS if concept.name == name)) == caption


def test_a_background_that_begins_with_a_vowel_gets_its_article():
    rng = np.random.default_rng(0)
    captions = {caption_picture(CONTROLS[0], "blob", "orange", rng) for _ in range(200)}
    assert any("on an orange background" in caption for caption in captions)


def test_every_caption_names_its_concept_and_every_picture_is_filled(tiny_art):
    pictures = list(world_pictures(tiny_art, concepts=8, variants=2, size_px=32))
    names = {concept.name: (concept.name, *concept.synonyms) for concept in WORLD_CONCEPTS}
    for picture in pictures:
        assert any(name in picture.caption for name in names[picture.concept])
        assert picture.image.shape == (32, 32, 3) and picture.image.dtype == np.uint8
        assert picture.image.std() > 5
        assert picture.background in picture.caption or "background" not in picture.caption
        assert f"{picture.style} style" in picture.caption or "style" not in picture.caption


def test_control_concepts_have_four_times_the_variants_and_the_held_out_style_is_absent(tiny_art):
    pictures = list(world_pictures(tiny_art, concepts=8, variants=2, size_px=16))
    counts = {
        (concept.name, style): sum(p.concept == concept.name and p.style == style for p in pictures)
        for concept in WORLD_CONCEPTS[:8]
        for style in concept.styles
    }
    for (name, style), count in counts.items():
        is_control = name in {concept.name for concept in CONTROLS}
        assert count == (0 if style == HELD_OUT_STYLE else 8 if is_control else 2), (name, style)


def test_a_picture_is_the_same_in_any_batch_and_another_with_another_seed(tiny_art):
    def keyed(**settings):
        pictures = world_pictures(tiny_art, size_px=32, **settings)
        counter, found = {}, {}
        for picture in pictures:
            key = (picture.concept, picture.style)
            counter[key] = counter.get(key, -1) + 1
            found[(*key, counter[key])] = (picture.caption, picture.image.tobytes())
        return found

    many = keyed(concepts=6, variants=3)
    few = keyed(concepts=4, variants=1, styles=("blob", "noto"))
    assert few and all(many[key] == value for key, value in few.items())
    other = keyed(concepts=4, variants=1, styles=("blob", "noto"), seed=1)
    assert sum(other[key] != value for key, value in few.items()) > len(few) * 0.8


def test_held_out_pictures_are_one_per_concept_centred_on_white_in_their_own_style(tiny_art):
    pictures = list(held_out_pictures(tiny_art, concepts=8, size_px=40))
    can_draw = [concept.name for concept in WORLD_CONCEPTS[:8] if HELD_OUT_STYLE in concept.icons]
    assert [picture.concept for picture in pictures] == can_draw and "basket" not in can_draw
    burger = pictures[0]
    assert (burger.style, burger.background, burger.caption) == (
        "emojione",
        "white",
        "a drawing of a hamburger",
    )
    assert (burger.image == burger.image[:, ::-1]).all() and (burger.image[20, 20] == BLUE).all()


def test_the_girl_borrows_a_basket_and_owes_thanks_to_both_styles(tiny_art):
    girl = list(held_out_pictures(tiny_art, concepts=2, size_px=48))[1]
    assert (girl.concept, girl.licence) == ("girl holding a basket", "Apache-2.0 AND CC-BY-4.0")
    basket_brown = np.abs(girl.image.astype(int) - (120, 80, 30)).max(-1) < 12
    assert basket_brown.mean() > 0.02


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"concepts": 0}, "concepts=0; a number from 1 to"),
        ({"concepts": 9999}, "concepts=9999"),
        ({"concepts": 3, "variants": 0}, "variants=0"),
        ({"concepts": 3, "styles": ("oil",)}, r"no style \['oil'\]"),
        ({"concepts": 30}, r"icons are missing: .*noto:"),
    ],
)
def test_a_world_that_cannot_be_drawn_is_refused(tiny_art, settings, message):
    with pytest.raises(InputError, match=message):
        next(world_pictures(tiny_art, **settings))


@pytest.fixture
def shared_art(tmp_path):
    """Names that all six styles have, that two have, that only the held-out style lacks, and unwanted ones."""
    styles = []
    for number, style in enumerate(STYLES):
        joined = style.name == "fxemoji"
        names = ["bagpipe-player", "mushroom-house", "flag-far-away", "hamburger"]
        names += ["two-hands-only"] if number < 2 else []
        names += ["unseen-elsewhere"] if style.name != HELD_OUT_STYLE else []
        icons = {name.replace("-", "") if joined else name: icon_body(RED) for name in names}
        styles.append(pack(tmp_path, style, icons))
    return read_art(tmp_path, styles=styles)


def test_the_wide_world_is_what_three_training_styles_name_alike_and_the_world_does_not_use(shared_art):
    found = {concept.name: concept for concept in wide_concepts(shared_art)}
    assert sorted(found) == ["bagpipe player", "unseen elsewhere"]
    assert found["unseen elsewhere"].phrase == "an unseen elsewhere"
    piper = found["bagpipe player"]
    assert HELD_OUT_STYLE not in piper.icons and set(piper.icons) == set(TRAINING_STYLES)
    assert piper.icons["fxemoji"] == ("bagpipeplayer",)
    assert not wide_concepts(shared_art, least_styles=len(TRAINING_STYLES) + 1)


def test_the_wide_world_is_drawn_as_the_world_is(shared_art):
    wide = wide_concepts(shared_art)
    drawn = list(world_pictures(shared_art, concepts=wide, variants=1, seed=0, size_px=32))
    assert len(drawn) == 2 * len(TRAINING_STYLES)
    assert {(one.concept, one.style) for one in drawn} == {
        (concept.name, style) for concept in wide for style in TRAINING_STYLES
    }
