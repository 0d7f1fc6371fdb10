"""The stage behind `pruned_weights`: the strength that weights are exported at, given or chosen by measuring.

Between the base model and the tuned weights lies a line (Wortsman et al. 2022, arXiv:2109.01903): near its tuned end
species are drawn best, near its base end most of what the base knew is left. A few strengths on it are tried, each
measured by the judge and the clusters, and the best fit is taken among those that keep enough.
Belongs here: trying and choosing. What a strength does to weights is in `methods`, what is measured in
`galleries.measuring`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fungal_assets.diffusion.base_models import BaseModel, load_pipeline, read_json, resolve_base_model
from fungal_assets.diffusion.headers import Origin
from fungal_assets.diffusion.pruning import check_base_model, prune_weights, read_method
from fungal_assets.errors import InputError
from fungal_assets.figures import GROUND, INK, dress, name_lines, open_figure
from fungal_assets.galleries.batches import make_sampler
from fungal_assets.galleries.judging import load_judge
from fungal_assets.galleries.measuring import Yardstick, draw_controls, draw_species, measure
from fungal_assets.galleries.planning import read_prompts
from fungal_assets.galleries.sampling import SCHEDULERS
from fungal_assets.previews import contact_sheet, save_sheet
from fungal_assets.progress import Tell, stay_silent
from fungal_assets.store import Figures, hash_file, write_atomically

if TYPE_CHECKING:
    import numpy as np
    from diffusers import DiffusionPipeline
    from PIL import Image

CHOOSE = 0.0
"""The strength that stands for one that is chosen."""
TABLE_FILE, CURVE_FILE, SHEET_FILE = "strengths.json", "strengths.png", "strengths.webp"
SCHEDULER, BATCH_SIZE = "DPM++ 2M", 8
SHOWN_OF_EACH = 4
_TRIED = ".strengths"
Row = dict[str, Any]


@dataclass(frozen=True)
class Trials:
    """How strengths are tried, where one is to be chosen.

    Args:
        strengths: Which, each above 0 and at most 1.
        min_retention: Least retention that is enough, 0 to 1.
        judge: Whose references control pictures are held to.
        images_per_prompt: Pictures of each species and control prompt, for each strength.
        controls: How many control prompts.
        num_inference_steps: Denoising steps.
        guidance_scale: Classifier-free guidance.
        seed: Seed that every picture's own seed is drawn from.
    """

    strengths: Sequence[float]
    min_retention: float
    judge: str
    images_per_prompt: int
    controls: int
    num_inference_steps: int
    guidance_scale: float
    seed: int

    def check(self) -> None:
        """Refuse what cannot be tried, all at once.

        Raises:
            InputError: Some cannot be.
        """
        faults = [
            f"the strength {one} is not above 0 and at most 1" for one in self.strengths if not 0 < one <= 1
        ]
        faults += ["there are no strengths to try"] if not self.strengths else []
        faults += ["controls is 0, so that retention cannot be measured"] if self.controls < 1 else []
        if faults:
            raise InputError(
                f"no strength can be chosen: {'; '.join(faults)}. Set pruned_weights.strength to a number above 0, or "
                "mend these."
            )


def export_weights(
    fine_tuned_weights: Path,
    prompts: Path | None,
    clusters: Path | None,
    folder: Path,
    origin: Origin,
    *,
    base_model: str,
    strength: float,
    has_single_file: bool,
    trials: Trials,
    tell: Tell = stay_silent,
) -> Figures:
    """Prune at a given strength, or at the one that measuring chooses.

    Args:
        fine_tuned_weights: A complete output.
        prompts: A complete output, to be drawn from; None only where a strength is given.
        clusters: A complete output, to recognise species by; likewise.
        folder: Filled as `prune_weights` says, and where a strength is chosen with `strengths.json`, `strengths.png`
            and `strengths.webp`; of a killed run the strengths that were tried are not tried again.
        origin: What the weights were tuned on.
        base_model: The base model that the weights were tuned on.
        strength: How far from the base model (0) to the tuned weights (1); `CHOOSE` chooses.
        has_single_file: As of `prune_weights`.
        trials: How strengths are tried.
        tell: Progress.

    Raises:
        InputError: No strength can be tried, or what the base model keeps cannot be measured.
        ProvenanceError: `base_model` is not the one that the weights were tuned on.
    """
    chosen: Figures = {}
    if strength == CHOOSE:
        assert prompts is not None and clusters is not None, (prompts, clusters)
        trials.check()
        chosen = _choose(fine_tuned_weights, prompts, clusters, folder, base_model, trials, tell)
        strength = float(chosen["strength"])
    how: dict[str, Any] = {"base_model": base_model, "has_single_file": has_single_file, "tell": tell}
    figures = prune_weights(fine_tuned_weights, folder, origin, strength=strength, **how)
    return {"strength": strength, **chosen, **figures}


def pick_row(rows: Sequence[Row], min_retention: float) -> Row:
    """The row with the best fit among those that keep enough; where none does, the one that keeps most.

    Fit is the share of species recognised, and between equals the likeness. Of rows that are still equal the weakest.
    """
    enough = [row for row in rows if row["retention"] >= min_retention]
    if not enough:
        most = max(row["retention"] for row in rows)
        enough = [row for row in rows if row["retention"] == most]
    return max(enough, key=lambda row: (row["species_recognised"], row["species_likeness"], -row["strength"]))


def _choose(
    fine_tuned_weights: Path,
    prompts: Path,
    clusters: Path,
    folder: Path,
    base_model: str,
    trials: Trials,
    tell: Tell,
) -> Figures:
    """Try each strength, write what was measured, and return the figures, `strength` among them."""
    training = read_json(fine_tuned_weights / "training.json")
    base = resolve_base_model(base_model)
    check_base_model(training, base)
    size_px = training["resolution_px"]
    settings = {
        "num_inference_steps": trials.num_inference_steps,
        "guidance_scale": trials.guidance_scale,
        "batch_size": BATCH_SIZE,
        "width": size_px,
        "height": size_px,
    }
    by = Yardstick.of(
        read_prompts(prompts),
        images_per_prompt=trials.images_per_prompt,
        controls=trials.controls,
        seed=trials.seed,
        settings=settings,
        judge=load_judge(trials.judge),
        clusters=clusters,
    )
    files = [
        fine_tuned_weights / training["weights_file"],
        prompts / "prompts.json",
        clusters / "centroids.npy",
    ]
    decided_by = [base.sha256, asdict(trials), *map(hash_file, files)]
    tries = _Tries(fine_tuned_weights, base, by, folder / _TRIED, decided_by)
    rows, strengths = [], sorted(set(trials.strengths))
    for strength in strengths:
        row = tries.row_of(strength)
        _refuse_undefined(row, len(by.controls))
        rows.append(row)
        tell(
            f"strength {strength:g} ({len(rows)} of {len(strengths)}): retention {row['retention']:.2f}, "
            f"species recognised {row['species_recognised']:.2f}"
        )
    best = pick_row(rows, trials.min_retention)
    about = {"strength": best["strength"], "min_retention": trials.min_retention, "rows": rows}
    about |= {"judge_sha256": by.judge.sha256, "judge": trials.judge}
    write_atomically(folder / TABLE_FILE, json.dumps(about, indent=1, sort_keys=True))
    draw_curve(folder / CURVE_FILE, rows, best, trials.min_retention)
    tries.write_sheet(rows, folder / SHEET_FILE)
    return {
        "strength": best["strength"],
        "strengths_tried": len(rows),
        "retention": best["retention"],
        "species_recognised": best["species_recognised"],
        "species_likeness": best["species_likeness"],
    }


def _refuse_undefined(row: Row, controls: int) -> None:
    """Raise where there is nothing that could be forgotten."""
    if row["retention"] is None:
        raise InputError(
            f"no strength can be chosen: none of the base model's {controls} control pictures is recognised, so that "
            "retention is not defined. Raise num_inference_steps or controls of pruned_weights, or set its strength to "
            "a number above 0."
        )


@dataclass(frozen=True)
class _Tries:
    """Strengths, tried one after the other; what was tried stays in a cache.

    Args:
        tuned: The tuned weights.
        base: Their base model.
        by: What is drawn and measured by.
        cache: Folder of the cache.
        decided_by: All else that decides a row.
    """

    tuned: Path
    base: BaseModel
    by: Yardstick
    cache: Path
    decided_by: Sequence[Any]

    def row_of(self, strength: float) -> Row:
        """What is measured of a strength."""
        path = self._path(strength, ".json")
        if not path.exists():
            base = self._base_controls()
            pipeline = self._load(strength)
            controls, control_vectors = draw_controls(pipeline, self.by)
            species, species_vectors = draw_species(pipeline, self.by)
            found = measure(self.by, base=base, controls=control_vectors, species=species_vectors)
            self._strip(strength, species, controls).save(self._path(strength, ".png"))
            write_atomically(path, json.dumps({"strength": strength, **asdict(found)}))
        return json.loads(path.read_text())

    def write_sheet(self, rows: Sequence[Row], path: Path) -> None:
        """Write the strips of all strengths below each other."""
        from PIL import Image

        strips = []
        for row in rows:
            with Image.open(self._path(row["strength"], ".png")) as image:
                strips.append(image.convert("RGB"))
        sheet = Image.new(
            "RGB", (max(one.width for one in strips), sum(one.height for one in strips)), GROUND
        )
        top = 0
        for strip in strips:
            sheet.paste(strip, (0, top))
            top += strip.height
        save_sheet(sheet, path)

    def _base_controls(self) -> np.ndarray:
        """Vectors of the base model's control pictures."""
        import torch

        from fungal_assets.diffusion.encoding import read_tensors, write_tensors

        path = self._path(CHOOSE, ".safetensors")
        if not path.exists():
            _, vectors = draw_controls(self._load(CHOOSE), self.by)
            write_tensors(path, {"controls": torch.from_numpy(vectors)})
        return read_tensors(path)["controls"].numpy()

    def _load(self, strength: float) -> DiffusionPipeline:
        """The model at a strength as a gallery loads it, rounded as it is exported; at 0 the base model."""
        import torch

        pipeline = load_pipeline(self.base.path, device="cpu", dtype=torch.float32)
        if strength:
            read_method(self.tuned).restore(pipeline, self.tuned, strength=strength)
            pipeline = pipeline.to(dtype=torch.float16)
        return make_sampler(pipeline, SCHEDULERS[SCHEDULER])

    def _strip(
        self, strength: float, species: Sequence[Image.Image], controls: Sequence[Image.Image]
    ) -> Image.Image:
        """The first pictures of a strength in one row."""
        shown = [*species[:SHOWN_OF_EACH], *controls[:SHOWN_OF_EACH]]
        pictures = [*self.by.species[:SHOWN_OF_EACH], *self.by.controls[:SHOWN_OF_EACH]]
        labels = [f"{strength:g}: {picture.text}" for picture in pictures]
        return contact_sheet(shown, columns=len(shown), labels=labels)

    def _path(self, strength: float, ending: str) -> Path:
        from fungal_assets.diffusion.encoding import key_of

        self.cache.mkdir(parents=True, exist_ok=True)
        return self.cache / f"{key_of(list(self.decided_by), strength)}{ending}"


def draw_curve(path: Path, rows: Sequence[Mapping[str, Any]], best: Mapping[str, Any], floor: float) -> None:
    """Draw fit against retention, a point for each strength; the floor is a line, the chosen point is filled."""
    figure = open_figure(6, 3.5)
    axes = figure.add_subplot()
    points = [(row["retention"], row["species_recognised"]) for row in rows]
    axes.plot(*zip(*points, strict=True), "o-", color="#e8b04a", markerfacecolor=GROUND)
    axes.plot(best["retention"], best["species_recognised"], "o", color="#e8b04a", markersize=9)
    for point in dict.fromkeys(points):
        same = [row["strength"] for row, other in zip(rows, points, strict=True) if other == point]
        label = ", ".join(f"{strength:g}" for strength in same)
        axes.annotate(label, point, xytext=(6, 6), textcoords="offset points", color=INK)
    axes.set(xlim=(0, 1.2 * max(1.0, *(point[0] for point in points))), ylim=(0, 1.05))
    axes.axvline(floor, color="#5fa88c", linestyle="--", label=f"at least {floor:g}")
    axes.set_xlabel("retention of the control knowledge", color=INK)
    axes.set_ylabel("species recognised", color=INK)
    dress(axes)
    name_lines(axes)
    figure.savefig(path, metadata={"Software": None})
