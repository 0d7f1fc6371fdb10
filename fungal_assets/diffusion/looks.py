"""Looks at a model in training: a few pictures of the moment, judged as the galleries and the report judge theirs.

Each look draws the same prompts from the same noise, shows them as one sheet, and measures what share of the control
pictures that the base model could draw is still recognised, and how well species are. Every picture has a generator
of its own and the training has none (see `batches`), so what is drawn cannot change what is learnt. The vectors of the
base model's pictures are kept in the cache, as rehearsal is, so that a run that goes on draws them no more.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch  # noqa: TID253

from fungal_assets.diffusion.devices import mixed_precision
from fungal_assets.diffusion.encoding import CACHE_NAME, read_tensors, write_tensors
from fungal_assets.diffusion.families import text_encoders_of
from fungal_assets.diffusion.watching import Watching
from fungal_assets.errors import InputError
from fungal_assets.galleries.batches import paint, scheduler_for
from fungal_assets.galleries.judging import Judge, Judgement, load_judge
from fungal_assets.galleries.looking_back import keep_look, show_look
from fungal_assets.galleries.measuring import (
    embed_controls,
    embed_species,
    judge_controls,
    recognise_pictures,
)
from fungal_assets.galleries.planning import Picture, plan_look
from fungal_assets.galleries.retention import Pair, measure_retention
from fungal_assets.galleries.sampling import SCHEDULERS

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

SCHEDULER = "DPM++ 2M"
PICTURES_AT_ONCE = 4
Vectors = Mapping[str, np.ndarray]
_NONE = np.zeros((0, 1), np.float32)


@dataclass(frozen=True)
class Looker:
    """Looks at one run.

    Args:
        pipeline: The model in training, as its base so far.
        pictures: What is drawn, species first.
        watching: The settings.
        negative_prompt: What is not wanted in a picture.
        clusters: Folder of the clusters that species are recognised by, or None.
        folder: Gets the sheets and what was found, in `looks/`; the cache is in it.
        run_key: Hash of all that decides the run.
        size_px: Side of the pictures.
    """

    pipeline: DiffusionPipeline
    pictures: Sequence[Picture]
    watching: Watching
    negative_prompt: str
    clusters: Path | None
    folder: Path
    run_key: str
    size_px: int

    @cached_property
    def _judge(self) -> Judge:
        return load_judge(self.watching.judge)

    def look(self, step: int) -> dict[str, float | None]:
        """Draw, show and judge the model as it is after so many steps; at step 0 that is the base model.

        Returns:
            `retention`, `species_recognised` and `species_likeness` of a look's row.

        Raises:
            InputError: Retention is to stop the run, and none of the base model's control pictures is recognised.
        """
        vectors = self._base if step == 0 else self._draw(step)
        found = self._judged(vectors["controls"])
        keep_look(self.folder, step, self.pictures, self._judge, found)
        return {"retention": self._retention(found), **self._fit(vectors["species"])}

    @cached_property
    def _base(self) -> Vectors:
        """Vectors of the base model's pictures, drawn before a step is done, or those that an earlier run kept."""
        path = self.folder / CACHE_NAME / f"look-{self.run_key}.safetensors"
        if not path.exists():
            write_tensors(path, {name: torch.from_numpy(rows) for name, rows in self._draw(0).items()})
        return {name: rows.numpy() for name, rows in read_tensors(path).items()}

    def prepare(self) -> None:
        """Look at the base model, while the pipeline is that."""
        retained = self._retention(self._judged(self._base["controls"]))
        if self.watching.stops_below_retention > 0 and retained is None:
            raise InputError(
                f"stops_below_retention is {self.watching.stops_below_retention}, but none of the base model's "
                f"{len(self._of('control'))} watched control pictures is recognised, so nothing could be seen to be "
                f"lost. Raise watched_controls or watch_inference_steps of fine_tuned_weights, or set it to 0."
            )

    def _of(self, kind: str) -> list[Picture]:
        return [picture for picture in self.pictures if picture.kind == kind]

    def _draw(self, step: int) -> Vectors:
        """Draw all pictures, write the sheet, and return their vectors: `species` and `controls`, float32 (n, d)."""
        settings = {
            "negative_prompt": self.negative_prompt,
            "num_inference_steps": self.watching.watch_inference_steps,
            "guidance_scale": self.watching.watch_guidance_scale,
            "batch_size": PICTURES_AT_ONCE,
            "width": self.size_px,
            "height": self.size_px,
        }
        with _sampling(self.pipeline) as sampler:
            images = {picture.prompt_id: image for picture, image in paint(sampler, self.pictures, settings)}
        show_look(self.folder, step, self.pictures, images)
        species, controls = (
            [images[each.prompt_id] for each in self._of(kind)] for kind in ("species", "control")
        )
        return {
            "species": embed_species(species, self.clusters) if self.clusters and species else _NONE,
            "controls": embed_controls(controls) if controls else _NONE,
        }

    def _judged(self, vectors: np.ndarray) -> list[Judgement | None]:
        return judge_controls(self._of("control"), self._judge, base=self._base["controls"], vectors=vectors)

    def _retention(self, found: Sequence[Judgement | None]) -> float | None:
        """What is retained, None where the judge knows no control picture or recognises none of the base model's."""
        of_base = self._judged(self._base["controls"])
        pairs = [Pair.of(one, other) for one, other in zip(of_base, found, strict=True) if one and other]
        return measure_retention(pairs).retention if pairs else None

    def _fit(self, vectors: np.ndarray) -> dict[str, float | None]:
        """How well species are drawn, None where there is nothing to tell it by."""
        if self.clusters is None or not len(vectors):
            return {"species_recognised": None, "species_likeness": None}
        recognised, likeness = recognise_pictures(self._of("species"), vectors, self.clusters)
        return {"species_recognised": recognised, "species_likeness": likeness}


def begin_looking(
    pipeline: DiffusionPipeline,
    prompts: Path | None,
    clusters: Path | None,
    folder: Path,
    watching: Watching,
    *,
    seed: int,
    run_key: str,
    size_px: int,
) -> Looker:
    """A looker that has looked at the base model.

    Args:
        pipeline: The base model, with what learns attached.
        prompts: A prompts output, from which the pictures are chosen.
        clusters: As of `Looker`.
        folder: The output; the cache is in it.
        watching: The settings.
        seed: Seed of the run.
        run_key: As of `Looker`.
        size_px: Side of the pictures.

    Raises:
        InputError: There is no `prompts.json`, or retention is to stop the run and cannot be measured.
    """
    if prompts is None:
        raise InputError(
            f"watch_every_steps is {watching.watch_every_steps}, but there are no prompts to draw. Grow some: fungal "
            "grow --until prompts, or set fine_tuned_weights.watch_every_steps to 0."
        )
    path = prompts / "prompts.json"
    if not path.is_file():
        raise InputError(f"{path} is missing; expected the folder of a complete prompts output.")
    content = json.loads(path.read_text(encoding="utf-8"))
    counts = {"species": watching.watched_species, "controls": watching.watched_controls}
    pictures = plan_look(content["prompts"], **counts, seed=seed)
    negative_prompt = content.get("negative_prompt", "")
    looker = Looker(pipeline, pictures, watching, negative_prompt, clusters, folder, run_key, size_px)
    looker.prepare()
    return looker


@contextmanager
def _sampling(pipeline: DiffusionPipeline) -> Iterator[DiffusionPipeline]:
    """A pipeline in training with a scheduler that samples; afterwards each of its parts is where and what it was."""
    unet, scheduler = pipeline.unet, pipeline.scheduler
    parts = {"vae": pipeline.vae, **text_encoders_of(pipeline)}
    places = {name: part.device for name, part in parts.items()}
    was_training = unet.training
    pipeline.set_progress_bar_config(disable=True)
    try:
        pipeline.scheduler = scheduler_for(pipeline, SCHEDULERS[SCHEDULER])
        for part in parts.values():
            part.to(unet.device)
        unet.eval()
        with mixed_precision(unet.device):
            yield pipeline
    finally:
        pipeline.scheduler = scheduler
        unet.train(was_training)
        for name, part in parts.items():
            part.to(places[name])
