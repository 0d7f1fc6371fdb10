"""A tiny growth in the stages' own layouts, kept by the real store, for every test of the exhibition."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from fungal_assets.forms.gltf import write_glb, write_textured_glb
from fungal_assets.morphology.maps import draw_montage
from fungal_assets.shards import write_table
from fungal_assets.store import Output, Store

PARTITION = "lora|128"
WHOLE = ("species", "clusters", "captions", "prompts")
GROWN = ("sample_galleries", "forgetting_report", "species_report", "forms_3d", "meshes", "videos_3d")
NAMES = (
    ("golden field bonnet", "Aurimyces pratensis", "golden-field-bonnet"),
    ('witch\'s <b>"ear"</b> & cup', "Otidella œdipus", "witchs-ear"),
    ("élan's coral", "Ramarina élani", "élans-coral"),
)
RED, BLUE = (225, 25, 20), (20, 40, 225)
BOLLARD_M = 0.2
Paint = Callable[[str, int, int], Image.Image]
Film = Callable[[Path, int], None]


def paint_gradient(kind: str, species: int, index: int) -> Image.Image:
    """A picture of its own for everything that is asked."""
    ramp = np.linspace(0, 255, 32, dtype=np.uint8)
    grey = np.broadcast_to(ramp, (32, 32))
    level = np.full((32, 32), (species * 70 + index * 9 + len(kind)) % 256, np.uint8)
    return Image.fromarray(np.stack([grey, level, grey.T], axis=-1))


def film_gradient(path: Path, species: int) -> None:
    """A film of three frames."""
    write_film(path, [paint_gradient("film", species, index) for index in range(3)])


def write_film(path: Path, frames: list[Image.Image]) -> None:
    """Encode pictures of one size as H.264."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = *frames[0].size, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode())


def write_bollard(path: Path, name: str, *, sides: int, is_textured: bool) -> None:
    """A mesh of a round post, red towards +z and blue towards -z; by a texture or by its vertices' colours."""
    turns = np.linspace(0, 2 * np.pi, sides + 1)
    rim = np.stack([np.sin(turns), np.zeros_like(turns), np.cos(turns)], 1).astype("f4")
    up = np.array([0, 1, 0], "f4")
    rings = [0.3 * BOLLARD_M * rim + level * BOLLARD_M * up for level in (0, 1)] + [0 * rim + BOLLARD_M * up]
    quads = [(row * (sides + 1) + i, row * (sides + 1) + i + 1) for row in (0, 1) for i in range(sides)]
    faces = [face for a, b in quads for face in ((a, b, b + sides + 1), (a, b + sides + 1, a + sides + 1))]
    is_front = np.tile(np.cos(turns) > 0, 3)
    mesh = SimpleNamespace(
        vertices=np.concatenate(rings).astype("f4"),
        normals=np.concatenate([rim, rim, 0 * rim + up]),
        faces=np.array(faces),
        colours=np.where(is_front[:, None], RED, BLUE) / 255,
        uvs=np.stack([np.where(is_front, 0.25, 0.75), np.full(len(is_front), 0.5)], 1),
    )
    mesh.cut = lambda: mesh
    if not is_textured:
        return write_glb(path, mesh, name=name, extras={})
    halves = np.repeat(np.array([[RED, BLUE]], np.uint8), 16, axis=1).repeat(32, axis=0)
    picture = io.BytesIO()
    Image.fromarray(halves).save(picture, "JPEG", quality=95)
    write_textured_glb(path, mesh, picture=picture.getvalue(), name=name, extras={})


class GrowthWriter:
    """Makes every output of a growth with the store.

    Args:
        root: Root of the store.
        names: Common name, scientific name and slug of each species.
        grown: How many of the species, from the first, have a form.
        samples: Gallery pictures per species.
        controls: Control prompts as (word, kind, base hits, tuned hits) of four.
        paint: Draws `kind` ("specimen", "sample", "subspecies", "mutant", "views", "control"), species, index.
        film: Writes a turntable of a species.
    """

    def __init__(
        self,
        root: Path,
        *,
        names=NAMES,
        grown: int = 1,
        samples: int = 2,
        controls=(
            ("hamburger", "food", 4, 3),
            ("flower", "plants", 4, 4),
            ("girl holding a basket", "people", 1, 0),
        ),
        paint: Paint = paint_gradient,
        film: Film = film_gradient,
    ):
        self.store, self.names, self.grown, self.samples, self.controls = (
            Store(root),
            names,
            grown,
            samples,
            controls,
        )
        self.paint, self.film = paint, film
        self.outputs: dict[str, Output] = {}
        self.seed = 0

    def write(self) -> dict[str, Output]:
        self._make(
            "raw_images", [], lambda folder: (folder / "rejects.txt").write_text("none"), licences=["CC0-1.0"]
        )
        self._make(
            "name_lexicon",
            [],
            lambda folder: (folder / "words.txt").write_text("bonnet"),
            licences=["CC-BY-4.0"],
        )
        self._make("feature_vectors", ["raw_images"], lambda folder: (folder / "v.txt").write_text("1"))
        self._make("clusters", ["feature_vectors", "raw_images"], self._clusters)
        self._make("species", ["clusters", "raw_images", "name_lexicon"], self._species)
        self._make("captions", ["raw_images", "clusters", "species"], self._captions)
        self._make("prompts", ["species", "name_lexicon"], self._prompts)
        for asset, inputs in (
            ("prepared_images", ["raw_images"]),
            (
                "captioned_dataset",
                ["prepared_images", "captions", "species", "raw_images", "feature_vectors"],
            ),
        ):
            self._make(asset, inputs, lambda folder, name=asset: (folder / "x.txt").write_text(name))
        return self.tune(seed=0)

    def tune(self, *, seed: int) -> dict[str, Output]:
        """Weights of that seed, and all that is made with them."""
        self.seed = seed
        self._make("fine_tuned_weights", ["captioned_dataset", "prompts", "clusters"], self._weights)
        self._make(
            "pruned_weights", ["fine_tuned_weights"], lambda folder: (folder / "x.txt").write_text(str(seed))
        )
        self._make("sample_galleries", ["pruned_weights", "prompts", "clusters"], self._gallery)
        read = ["sample_galleries", "pruned_weights", "fine_tuned_weights"]
        self._make("forgetting_report", read, self._report)
        self._make(
            "species_report",
            ["sample_galleries", "pruned_weights", "captioned_dataset", "clusters"],
            self._species_report,
        )
        self._make("forms_3d", ["pruned_weights", "species", "prompts", "clusters"], self._forms)
        self._make("meshes", ["forms_3d"], self._meshes)
        self._make("videos_3d", ["forms_3d"], self._videos)
        return self.outputs

    def _make(self, asset: str, inputs: list[str], fill: Callable[[Path], object], licences=()) -> None:
        grown = (*GROWN, "fine_tuned_weights", "pruned_weights", "resolution_atlas")
        partition = (
            PARTITION if asset in grown else "128" if asset.startswith(("prepared", "captioned")) else None
        )

        def build(folder: Path):
            fill(folder)
            return {}

        self.outputs[asset] = self.store.make(
            asset,
            partition,
            inputs=[self.outputs[name] for name in inputs],
            config={"seed": self.seed, "learning_rate": 1e-3, "species_names": []},
            code_version="1",
            build=build,
            licences=licences,
        ).output

    def _clusters(self, folder: Path) -> None:
        clusters = [
            {
                "cluster_id": number,
                "size": 30 - number,
                "medoid_id": f"{number}-0",
                "member_ids_near": [f"{number}-{index}" for index in range(1, 6)],
                "colour_name": "golden",
            }
            for number in range(len(self.names))
        ]
        why = f"{len(clusters)} clusters: no split holds better when a fifth of the images is left out."
        _write_json(folder / "clusters.json", {"k": len(clusters), "why": why, "clusters": clusters})
        tiles = [
            [self.paint("specimen", number, index) for index in range(11)] for number in range(len(clusters))
        ]
        draw_montage([[tile.resize((128, 128)) for tile in row] for row in tiles], ["row"] * len(tiles)).save(
            folder / "montage.webp", quality=85
        )

    def _species(self, folder: Path) -> None:
        rows = [
            {
                "species_id": f"species-{number:02d}",
                "cluster_id": number,
                "common_name": common,
                "scientific_name": scientific,
                "slug": slug,
                "colour_names": ["golden", "brown"],
                "size": 30 - number,
            }
            for number, (common, scientific, slug) in enumerate(self.names)
        ]
        _write_json(folder / "species.json", {"species": rows})

    def _captions(self, folder: Path) -> None:
        rows = [
            {
                "image_id": f"{number}-{index}",
                "species_id": f"species-{number:02d}",
                "caption": f"a photo of {common}, {['golden', 'pale brown'][index % 2]}, in a field",
                "colour_names": [["golden"], ["brown", "golden"]][index % 2],
                "size_in_frame": None,
                "habitat": "in a field" if index else "on a log",
                "count": "alone",
                "closeness": None,
            }
            for number, (common, _, _) in enumerate(self.names)
            for index in range(8)
        ]
        text, many = pa.string(), pa.list_(pa.string())
        kinds = {name: many if name == "colour_names" else text for name in rows[0]}
        write_table(folder / "captions.parquet", rows, pa.schema(list(kinds.items())))

    def _prompt_rows(self) -> list[dict]:
        rows = []
        for number, (common, _, slug) in enumerate(self.names):
            owner = f"species-{number:02d}"
            rows += [
                {"prompt_id": slug, "kind": "species", "species_id": owner, "text": f"a photo of {common}"},
                {
                    "prompt_id": f"{slug}-pale",
                    "kind": "subspecies",
                    "species_id": owner,
                    "text": f"a photo of pale {common}",
                },
                {
                    "prompt_id": f"{slug}-on-a-log",
                    "kind": "context",
                    "species_id": owner,
                    "text": f"a photo of {common}, on a log",
                },
            ]
        rows.append(
            {
                "prompt_id": "mutant-00",
                "kind": "mutant",
                "species_id": None,
                "text": "a photo of coral bonnet",
            }
        )
        rows += [
            {
                "prompt_id": f"control-{i:02d}",
                "kind": "control",
                "species_id": None,
                "text": word,
                "group": group,
            }
            for i, (word, group, _, _) in enumerate(self.controls)
        ]
        return rows

    def _prompts(self, folder: Path) -> None:
        _write_json(
            folder / "prompts.json", {"prompts": self._prompt_rows(), "view_words": {}, "negative_prompt": ""}
        )

    def _gallery(self, folder: Path) -> None:
        rows = []
        for prompt in self._prompt_rows():
            if prompt["kind"] in ("control", "context"):
                continue
            several = prompt["kind"] == "species"
            number = int((prompt["species_id"] or "species-00")[-2:])
            for index in range(self.samples if several else 1):
                path = f"pictures/{prompt['prompt_id']}/tuned-{index}.png"
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                self.paint("sample" if several else prompt["kind"], number, index).save(folder / path)
                rows.append({**prompt, "path": path, "model": "tuned", "index": index, "seed": index})
        columns = ("path", "prompt_id", "kind", "species_id", "text", "model")
        schema = pa.schema(
            [*((name, pa.string()) for name in columns), ("index", pa.int32()), ("seed", pa.int64())]
        )
        write_table(
            folder / "gallery.parquet", [{name: row[name] for name in schema.names} for row in rows], schema
        )
        entries = [
            {
                "species_id": f"species-{number:02d}",
                "pictures": self.samples,
                "recognised": 0.5 + 0.5 * (number % 2),
            }
            for number in range(len(self.names))
        ]
        summary = {"species_recognised": 0.75, "chance": 0.33, "pictures": 6, "species": entries}
        _write_json(folder / "recognition.json", summary)

    def _weights(self, folder: Path) -> None:
        training = {
            "base_model": {"id": "pocket", "sha256": "cd" * 32},
            "method": "lora",
            "rows_trained_on": 24,
            "held_out_rows": 3,
            "held_out_loss_after": 0.2031,
            "steps": 300,
            "step_kept": 150,
            "rehearsal_share": 0.25,
            "watched_looks": 3,
            "stopped_because": "",
            "seed": self.seed,
        }
        _write_json(folder / "training.json", training)
        self.paint("control", 0, 0).resize((256, 256)).save(folder / "curves.png")

    def write_asked_for(self) -> tuple[Output, Output]:
        """The atlas and the comparison of these weights, as `fungal atlas` and `fungal compare` make them."""
        self._make("resolution_atlas", ["pruned_weights", "prompts"], self._atlas)
        read = ("forgetting_report", "sample_galleries", "pruned_weights", "fine_tuned_weights")
        outputs = [self.outputs[name] for name in read]
        self.outputs["weights_comparison"] = self.store.make(
            "weights_comparison",
            "128",
            inputs=[],
            config={"most_models": 4},
            code_version="1",
            build=self._comparison,
            sources={f"{each.name}/{each.record.fingerprint}": each.record.content_hash for each in outputs},
        ).output
        return self.outputs["resolution_atlas"], self.outputs["weights_comparison"]

    def _atlas(self, folder: Path) -> None:
        about = {
            "native_px": 128,
            "sizes_px": [64, 128, 256],
            "model": {
                "id": "pocket tuned by lora",
                "sha256": self.outputs["pruned_weights"].record.content_hash,
            },
            "prompts": ["hamburger", 'a photo of a <b>"bonnet"</b>'],
            "seeds": [1, 2],
            "settings": {"num_inference_steps": 4, "guidance_scale": 2.0, "scheduler": "DDIM"},
            "findings": [
                "At the first step, 64 px is like 128 px by 0.59.",
                "They part most in up_blocks.1.",
            ],
        }
        _write_json(folder / "atlas.json", about)
        for name in ("atlas", "pictures"):
            self.paint("control", 1, len(name)).resize((512, 256)).save(folder / f"{name}.webp")

    def _comparison(self, folder: Path) -> dict:
        told = {
            "retention": 0.8,
            "interval": [0.7, 0.9],
            "retention_by_text": None,
            "fungal": 0.1,
            "copies": 0,
        }
        told |= {"species_recognised": 0.5, "themselves": 2, "species": 3, "step_kept": 150, "strength": 0.6}
        own = self.outputs["fine_tuned_weights"].record.content_hash
        rows = [
            {"name": "base cdcdcdcd", "partition": "", "tuned_sha256": None, "differs": {}},
            {"name": "lora abababab", "partition": PARTITION, "tuned_sha256": own, "differs": {"seed": 0}},
            {"name": "full efefefef", "partition": "full|128", "tuned_sha256": "ef" * 32, "differs": {}},
        ]
        rows = [row | told | {"asked": "1234"} for row in rows]
        comparison = {"finding": "lora abababab keeps most.", "asked": ["1234"], "rows": rows}
        _write_json(folder / "comparison.json", comparison)
        self.paint("control", 2, 0).resize((256, 128)).save(folder / "places.png")
        self.paint("control", 2, 1).resize((256, 512)).save(folder / "beside.webp")
        return {}

    def _report(self, folder: Path) -> None:
        rows = [
            {
                "prompt_id": f"control-{number:02d}",
                "text": word,
                "group": group,
                "model": model,
                "seed": seed,
                "nearest": word if seed < hits else "mushroom",
                "recognised": seed < hits,
                "rank": 0 if seed < hits else 3,
                "similarity": 0.6 if seed < hits else 0.3,
                "recognised_by_text": seed < 2,
            }
            for number, (word, group, *both) in enumerate(self.controls)
            for model, hits in zip(("base", "tuned"), both, strict=True)
            for seed in range(4)
        ]
        write_table(folder / "scores.parquet", rows)
        by_text = {
            "pairs": 12,
            "retention": 0.8642,
            "interval": [0.7, 1.0],
            "base_recognised": 0.81,
            "tuned_recognised": 0.7,
        }
        shares = {"pairs": 4, "base_recognised": 0.5, "tuned_recognised": 0.25}
        report = {
            "retention": 0.7778,
            "interval": [0.6, 0.95],
            "min_retention": 0.8,
            "base_recognised": 0.75,
            "tuned_recognised": 0.5833,
            "pairs": 12,
            "by_text": by_text | {"judge": {"what": "The name that fits best.", "caveat": "It may flatter."}},
            "groups": [
                {"name": group, "retention": 0.5, "by_text": None if number else by_text, **shares}
                for number, (_, group, *_) in enumerate(self.controls)
            ],
            "over_training": {
                "finding": "Gone for good: 'flower' by step 150.",
                "step_kept": 300,
                "looks": [
                    {
                        "step": step,
                        "pairs": 8,
                        "retention": 1.0 - step / 600,
                        "interval": [0.4, 1.0] if step else None,
                        "tuned_recognised": 0.875,
                        "tuned_fungal": 0.125,
                        "species_recognised": None if step == 150 else 0.75,
                    }
                    for step in (0, 150, 300)
                ],
                "groups": [{"name": "plants", "retention": [1.0, 0.5, None]}],
            },
            "verdict": "Control knowledge is lost: 58% of the tuned model's control pictures are recognised.",
            "advice": "Raise rehearsal_share of fine_tuned_weights (try double).",
        }
        _write_json(folder / "report.json", report)
        for name in ("side_by_side.webp", "over_training.png", "when.webp"):
            self.paint("control", 0, len(name)).resize((768, 256)).save(folder / name)

    def _species_report(self, folder: Path) -> None:
        entries = [
            {
                "species_id": f"species-{number:02d}",
                "recognised": 0.5,
                "nearest_other": None if len(self.names) == 1 else 0,
                "distance_to_other": 0.81,
                "reach": 0.34,
                "variety": None if number else 0.62,
                "variety_floor": None if number else 0.75,
                "kid": None if number else 3.21,
                "kid_floor": None if number else 0.44,
                "kid_of_others": 2.95,
                "copies": number,
                "faults": ["copied", "not itself"] if number else [],
            }
            for number in reversed(range(len(self.names)))
        ]
        figures = {
            "species": len(entries),
            "pictures": 6,
            "themselves": 1,
            "new": 3,
            "varied": 1,
            "copies": 3,
        }
        report = {
            "figures": figures,
            "verdict": "Of 3 species 1 is itself.",
            "advice": "Lower max_steps of fine_tuned_weights.",
            "min_variety": 0.3,
            "chance": 0.33,
            "species": entries,
        }
        _write_json(folder / "report.json", report)
        for name in ("real_and_painted", "originals", "confusion"):
            self.paint("views", 0, len(name)).resize((256, 256)).save(folder / f"{name}.webp")

    def _forms(self, folder: Path) -> None:
        forms = []
        for number, (common, _, slug) in enumerate(self.names[: self.grown]):
            form = {
                "species_id": f"species-{number:02d}",
                "slug": slug,
                "prompt": f"a photo of {common}",
                "seed": 7,
                "guide_sha256": "ab" * 32,
                "iterations": 250,
                "grid_size": 48,
                "seconds": 61.5,
                "recognised": 0.875,
            }
            (folder / slug).mkdir()
            _write_json(folder / slug / "form.json", form)
            self.paint("views", number, 0).save(folder / slug / "views.webp")
            if number == 0:
                self.paint("first guess", number, 0).save(folder / slug / "first_guess.webp")
            forms.append(form)
        _write_json(folder / "forms.json", {"forms": forms})

    def _meshes(self, folder: Path) -> None:
        for common, _, slug in self.names[: self.grown]:
            (folder / slug).mkdir()
            write_bollard(folder / slug / f"{slug}_LOD0.glb", common, sides=24, is_textured=True)
            write_bollard(folder / slug / f"{slug}_LOD1.glb", common, sides=6, is_textured=False)
            (folder / slug / f"{slug}_LOD0.usdz").write_bytes(bytes(2000))
        made = [{"slug": slug, "height_m": BOLLARD_M} for _, _, slug in self.names[: self.grown]]
        _write_json(folder / "meshes.json", {"meshes": made, "failed": []})

    def _videos(self, folder: Path) -> None:
        for number, (_, _, slug) in enumerate(self.names[: self.grown]):
            (folder / slug).mkdir()
            self.film(folder / slug / "turntable.mp4", number)
            for name in ("pyramid", "black", "vertical"):
                shutil.copyfile(folder / slug / "turntable.mp4", folder / slug / f"{name}.mp4")
            for name in ("group", "quilt_qs8x6a0.75"):
                self.paint(name, number, 0).save(folder / slug / f"{name}.png")
            alone = {
                "x": 0,
                "z": 0,
                "turn_deg": 0,
                "scale": 1,
                "spread": 1,
                "lean": 0,
                "lean_deg": 0,
                "age": 1,
            }
            young = alone | {"x": 0.8, "scale": 0.5, "lean": 0.2, "lean_deg": 90, "age": 0.2}
            _write_json(folder / slug / "group.json", {"individuals": [alone, young]})
        (folder / "pyramid_template.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
        _write_json(folder / "videos.json", {"videos": []})


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def guide_inputs(outputs: dict[str, Output]) -> list[Path]:
    """The folders that every guide reads, in the order of its arguments."""
    return [outputs[name].path for name in (*WHOLE, *GROWN, "fine_tuned_weights")]


@pytest.fixture(scope="session")
def growth(tmp_path_factory) -> dict[str, Output]:
    """All outputs of a growth of three species, of which the first has a form."""
    return GrowthWriter(tmp_path_factory.mktemp("store")).write()


@pytest.fixture(scope="session")
def inputs(growth) -> list[Path]:
    """The folders that the guide reads."""
    return guide_inputs(growth)


@pytest.fixture(scope="session")
def whole(inputs, tmp_path_factory) -> Path:
    """A guide that no test may touch."""
    from fungal_assets.exhibition.field_guide import build_field_guide

    folder = tmp_path_factory.mktemp("guide")
    build_field_guide(*inputs, folder, title='Guide to "nothing" & <more>')
    return folder


@pytest.fixture
def built(whole, tmp_path) -> Path:
    """A guide that a test may spoil."""
    return shutil.copytree(whole, tmp_path / "built")
