"""Whatever lies in a folder: every good picture is admitted, every bad one has its reason, nothing hangs."""

from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
import time

import pytest
from PIL import GifImagePlugin, Image, TiffImagePlugin

from fungal_assets.collection.admission import admit_images
from fungal_assets.collection.looking import Limits, look_at
from fungal_assets.collection.sources import Candidate
from fungal_assets.shards import read_rows, read_table
from fungal_assets_tests.collection.drawing import encode
from fungal_assets_tests.collection.hostile import ADMITTED, gif_of, textured, tiff_of, write_hostile
from fungal_assets_tests.collection.test_admission import LIMITS

DAMAGED = {"truncated", "broken", "not_an_image", "too_large", "too_small", "blank"}


def test_every_good_picture_is_admitted_and_every_bad_one_has_the_right_reason(tmp_path):
    fates = write_hostile(tmp_path / "source")
    assert len(fates) >= 200
    out = tmp_path / "out"
    out.mkdir()
    figures = admit_images(out, source=str(tmp_path / "source"), **LIMITS)
    found = {row["origin"]: ADMITTED for row in read_rows(out, ["origin"])}
    rejects = read_table(out / "rejects.parquet")
    found |= {row["origin"]: row["reason"] for row in rejects}
    assert found.keys() == fates.keys()
    wrong = {
        name: (found[name], fate)
        for name, fate in fates.items()
        if found[name] != fate and not (fate == "damaged" and found[name] in DAMAGED)
    }
    assert wrong == {}
    assert all(row["detail"] for row in rejects)
    assert figures["candidates"] == len(fates) == figures["admitted"] + figures["rejected"]
    assert not (tmp_path / "escape.jpg").exists()


def test_memory_stays_bounded_amid_bombs(tmp_path):
    """In a process of its own: admission of the folder takes little more than the largest picture that is let in.

    Where the system tells the peak of a process's own memory, that is read: the peak that `getrusage` tells begins with
    the parent's, whose memory a spawned process has until it runs.
    """
    write_hostile(tmp_path / "source")
    (tmp_path / "out").mkdir()
    code = (
        "import re, resource, sys; from pathlib import Path\n"
        "from fungal_assets.collection.admission import admit_images\n"
        "from fungal_assets_tests.collection.test_admission import LIMITS\n"
        "admit_images(Path(sys.argv[2]), source=sys.argv[1], **LIMITS)\n"
        "status, peak = Path('/proc/self/status'), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', status.read_text())[1] if status.exists() else peak)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "source"), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout.split()[-1]) * unit_bytes < 600e6


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_fifty_random_bytes_inside_a_photograph_are_nearly_always_found(options):
    """The decoder of Pillow alone is silent about four in five; a few re-align by chance, and nobody can tell."""
    chance, found, silent = random.Random(0), 0, 0
    for number in range(40):
        data = bytearray(encode(textured(number % 4, 512), "JPEG", quality=90, **options))
        start = chance.randrange(1500, len(data) - 100)
        data[start : start + 50] = chance.randbytes(50)
        found += look_at(Candidate(bytes(data), ""), Limits(**LIMITS)).fault is not None
        try:
            Image.open(io.BytesIO(bytes(data))).load()
            silent += 1
        except OSError:
            pass
    assert found >= 36 and silent >= 24


def test_ten_thousand_mutated_pictures_crash_nothing():
    """Bytes changed, cut, doubled, swapped: each is looked at to the end, and is good or has a reason."""
    chance = random.Random(0)
    limits = Limits(**LIMITS)
    seeds = [
        encode(textured(number, 40), kind, **options)
        for number, (kind, options) in enumerate(
            [
                ("JPEG", {}),
                ("JPEG", {"progressive": True}),
                ("PNG", {}),
                ("WEBP", {}),
                ("TIFF", {"compression": "tiff_lzw"}),
                ("GIF", {}),
                ("BMP", {}),
            ]
        )
    ]
    faults = 0
    for number in range(10_000):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 6)):
            place = chance.randrange(len(data))
            match chance.randrange(5):
                case 0:
                    data[place] = chance.randrange(256)
                case 1:
                    data[place : place + 4] = chance.choice(
                        [b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff"]
                    )
                case 2:
                    del data[place : place + chance.randrange(1, 40)]
                case 3:
                    data[place:place] = chance.randbytes(chance.randrange(1, 20))
                case 4:
                    data[place:] = data[place : place + chance.randrange(1, len(data))]
            if not data:
                data = bytearray(b"x")
        look = look_at(Candidate(bytes(data), str(number)), limits)
        faults += look.fault is not None
        assert look.fault or (look.marks and look.quality and look.width_px >= 32)
    assert 3000 < faults < 10_000


@pytest.mark.parametrize(
    "one, many",
    [
        (gif_of(1), gif_of(5000)),
        (tiff_of(1), tiff_of(100_000)),
        (tiff_of(1), tiff_of(3, is_round=True)),
    ],
    ids=["gif-of-5000-frames", "tiff-of-100000-pages", "tiff-that-goes-round"],
)
def test_of_many_frames_the_first_is_looked_at_and_no_other_is_sought(one, many, monkeypatch):
    """So how many there are is never asked, which would walk them all; more of them cost their hash alone."""
    sought: list[int] = []
    for kind in (GifImagePlugin.GifImageFile, TiffImagePlugin.TiffImageFile):
        seek = kind._seek
        monkeypatch.setattr(
            kind,
            "_seek",
            lambda image, frame, *rest, go=seek: sought.append(frame) or go(image, frame, *rest),
        )
    assert Image.open(io.BytesIO(gif_of(4))).n_frames == 4 and max(sought) == 4, "the count itself walks"
    sought.clear()
    start_s = time.process_time()
    looks = [look_at(Candidate(data, "x"), Limits(**LIMITS)) for data in (one, many)]
    assert time.process_time() - start_s < 2
    assert set(sought) == {0}
    assert looks[0].fault is None and looks[0].quality == looks[1].quality


def test_what_a_later_frame_claims_to_be_is_never_made():
    """A second frame of 60,000 by 60,000 px behind a good first one: the picture is its first frame."""
    first = gif_of(1)
    claim = struct.pack("<BHHHHB", 0x2C, 0, 0, 60_000, 60_000, 0) + b"\x08\x01\0\0"
    look = look_at(Candidate(first[:-1] + claim + b";", "x"), Limits(**LIMITS))
    assert look.fault is None and (look.width_px, look.height_px) == (160, 160)
