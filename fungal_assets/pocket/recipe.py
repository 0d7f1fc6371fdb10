"""The recipe of the pocket model, from nothing to what ships: pictures, tokenizer, autoencoder, diffusion, card.

Each stage keeps its results in a working folder and goes on from what it finds there, so the whole may be stopped at
any moment. `RecipeSettings.concepts` is the one dial: how large a world the model is asked to know.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPTokenizer

from fungal_assets.diffusion.devices import pick_device
from fungal_assets.diffusion.pruning import save_pipeline
from fungal_assets.pocket import architecture
from fungal_assets.pocket.architecture import tokenize
from fungal_assets.pocket.autoencoding import VaeSettings, encode, psnr_db, train_vae
from fungal_assets.pocket.card import RECIPE_FILE, write_card, write_judge_card
from fungal_assets.pocket.contrasting import ClipJudge, ContrastSettings, build_clip, teach_judge
from fungal_assets.pocket.corpus import (
    IMAGE_PX,
    REWORDING_SEED,
    Pictures,
    caption_fungi,
    draw_world,
    join,
    render_fungi,
    traits_of_fungi,
    traits_of_portraits,
    traits_of_snapshots,
)
from fungal_assets.pocket.diffusing import Corpus, DiffusionSettings, train_diffusion
from fungal_assets.pocket.wording import WordingSettings, teach_words
from fungal_assets.pocket.world import WORLD_CONCEPTS, held_out_pictures, read_art
from fungal_assets.pocket.world.captions import HOUSE_STYLE
from fungal_assets.previews import contact_sheet
from fungal_assets.progress import Tell
from fungal_assets.store import hash_folder

HELD_OUT = 64
SHEET_PROMPTS = (
    "hamburger",
    "girl holding a basket",
    "flower",
    "cat",
    "a photo of a red fly agaric mushroom with white spots, growing in moss",
    "a photo of a brown bolete mushroom",
    "a photo of a morel in leaf litter, side view",
    "a photo of an orange chanterelle, seen from above",
    "a photo of a white puffball in a field",
    "a photo of a purple agaric mushroom in snow",
    "a photo of a bracket fungus on a tree trunk",
    "a photo of a coral fungus on a black background",
    "a snapshot of a brown bolete mushroom with a white stem, in leaf litter",
    "a snapshot of an orange chanterelle, in a field",
)


@dataclass(frozen=True)
class RecipeSettings:
    """How large the world is and how long the model learns.

    Args:
        concepts: How many things beside fungi; the order is by importance.
        variants: Drawings per concept and style.
        portraits: How many rendered fungi of the kind that a plain prompt means: alone, whole, in the middle.
        fungi: How many others, of any number and from any side.
        snapshots: How many amid clutter, as a photograph shows them; a plain prompt does not mean these.
        fungi_share: Share of fungi among the pictures that the diffusion model sees.
        portrait_share: Share of portraits among the fungi, and `snapshot_share` of snapshots.
        house_share: Share of the house style, which bare words mean, among the drawings.
        vocabulary: Tokens of the text encoder.
        vae: Settings of the autoencoder.
        words: Settings of the text encoder's first lessons.
        diffusion: Settings of the UNet and the text encoder together.
    """

    concepts: int = 160
    variants: int = 8
    portraits: int = 5000
    fungi: int = 6000
    snapshots: int = 4000
    fungi_share: float = 0.7
    portrait_share: float = 0.35
    snapshot_share: float = 0.3
    house_share: float = 0.5
    vocabulary: int = 4096
    vae: VaeSettings = field(default_factory=VaeSettings)
    words: WordingSettings = field(default_factory=WordingSettings)
    diffusion: DiffusionSettings = field(default_factory=DiffusionSettings)


@dataclass(frozen=True)
class Shown:
    """Everything that the model learns from."""

    portraits: Pictures
    fungi: Pictures
    snapshots: Pictures
    world: Pictures

    @property
    def fungi_of_all_kinds(self) -> Pictures:
        """All but the drawings."""
        return join(self.portraits, self.fungi, self.snapshots)

    @property
    def all(self) -> Pictures:
        """All of them as one."""
        return join(self.portraits, self.fungi, self.snapshots, self.world)


def gather_pictures(work: Path, tarballs: Path, settings: RecipeSettings, *, tell: Tell) -> Shown:
    """The fungi and the drawings."""
    portraits, fungi = traits_of_portraits(settings.portraits), traits_of_fungi(settings.fungi)
    snapshots = traits_of_snapshots(settings.snapshots)
    return Shown(
        render_fungi(work / "portraits", portraits, processes=2, tell=tell),
        render_fungi(work / "fungi", fungi, processes=2, tell=tell),
        render_fungi(work / "snapshots", snapshots, processes=2, tell=tell, is_snapshot=True),
        draw_world(
            work / "world", tarballs=tarballs, concepts=settings.concepts, variants=settings.variants, seed=0
        ),
    )


def build(settings: RecipeSettings, captions: Sequence[str], names: Sequence[str]) -> StableDiffusionPipeline:
    """The pipeline at random weights with a tokenizer learnt from the captions and from names of fungi."""
    torch.manual_seed(settings.diffusion.seed)
    size = architecture.POCKET
    tokenizer = architecture.train_tokenizer([*captions, *names, *names], vocabulary=settings.vocabulary)
    return architecture.assemble(
        architecture.build_vae(size),
        architecture.build_unet(size),
        architecture.build_text_encoder(size, tokenizer),
        tokenizer,
    )


def fungus_names() -> list[str]:
    """Common names of real fungi, whose words a species' invented name will be made of."""
    from fungal_assets.nomenclature.tables import shipped_names

    return [name.common_name for name in shipped_names()]


def make_model(
    work: Path,
    tarballs: Path,
    settings: RecipeSettings,
    target: Path,
    *,
    start: Path | None = None,
    autoencoder: Path | None = None,
    tell: Tell,
) -> dict[str, float]:
    """Run the whole recipe; writes the diffusers folder `target` and returns its figures.

    With `start`, a model that this recipe made, its tokenizer and autoencoder are kept and its UNet and text encoder
    learn on; with `autoencoder`, only that model's autoencoder is taken. `recipe.json` then holds that model's own
    recipe under `continued_from` or `autoencoder_from`.
    """
    shown = gather_pictures(work, tarballs, settings, tell=tell)
    pictures = shown.all
    kept = np.random.default_rng(0).permutation(len(pictures))
    held_out, used = kept[:HELD_OUT], kept[HELD_OUT:]
    device = pick_device()
    if start is not None:
        pipeline = StableDiffusionPipeline.from_pretrained(start, safety_checker=None, dtype=torch.float32)
    else:
        pipeline = build(settings, pictures.captions, fungus_names())
        if autoencoder is None:
            train_vae(pipeline.vae.to(device), pictures.images[used], work / "vae", settings.vae, tell=tell)
        else:
            pipeline.vae = AutoencoderKL.from_pretrained(autoencoder / "vae", dtype=torch.float32)
    pipeline.to(device)
    figures = {"vae_psnr_db": psnr_db(pipeline.vae, pictures.images[held_out])}
    tell(f"autoencoder: {figures['vae_psnr_db']:.2f} dB on {HELD_OUT} held-out pictures")
    corpus = make_corpus(pipeline, shown, settings, work)
    if start is None:
        teach_words(
            pipeline.text_encoder,
            tokenize(pipeline.tokenizer, corpus.captions),
            corpus.latents,
            concepts_of(shown),
            corpus.weights,
            work / "words",
            settings.words,
            tell=tell,
        )
    train_diffusion(
        pipeline,
        corpus,
        work / "diffusion",
        settings.diffusion,
        tell=tell,
        on_checkpoint=lambda step: show(pipeline, work / "sheets" / f"step-{step:06d}.png"),
    )
    came_from = {"continued_from": start, "autoencoder_from": None if start else autoencoder}
    history = {key: json.loads((path / RECIPE_FILE).read_text()) for key, path in came_from.items() if path}
    export(pipeline, settings, figures, target, history=history)
    return figures


def make_corpus(
    pipeline: StableDiffusionPipeline, shown: Shown, settings: RecipeSettings, work: Path
) -> Corpus:
    """Scaled latents of everything, weighted to the shares that the settings ask for.

    Each fungus is there mirrored too, in other words: two texts that are true of one form teach what a word means.
    """
    fungi = shown.fungi_of_all_kinds.images
    images = np.concatenate([fungi, fungi[:, :, ::-1], shown.world.images])
    rendered = [*traits_of_portraits(settings.portraits), *traits_of_fungi(settings.fungi)]
    snapped = traits_of_snapshots(settings.snapshots)
    captions = [
        caption
        for seed in (0, REWORDING_SEED)
        for traits, is_snapshot in ((rendered, False), (snapped, True))
        for caption in caption_fungi(traits, seed=seed, is_snapshot=is_snapshot)
    ]
    if len(captions) != 2 * len(fungi):
        raise ValueError(
            f"{len(fungi)} pictures of fungi but {len(captions) // 2} captions: render them again"
        )
    fungus_groups = ["portrait"] * len(shown.portraits) + ["fungus"] * len(shown.fungi)
    fungus_groups += ["snapshot"] * len(shown.snapshots)
    drawing_groups = ["house" if style == HOUSE_STYLE else "drawing" for style in shown.world.styles]
    of_fungi, of_drawings = settings.fungi_share, 1 - settings.fungi_share
    shares = {
        "portrait": of_fungi * settings.portrait_share,
        "fungus": of_fungi * (1 - settings.portrait_share - settings.snapshot_share),
        "snapshot": of_fungi * settings.snapshot_share,
        "house": of_drawings * settings.house_share,
        "drawing": of_drawings * (1 - settings.house_share),
    }
    return Corpus(
        latents=_encode_once(pipeline.vae, images, work / "latents") * pipeline.vae.config.scaling_factor,
        captions=[*captions, *shown.world.captions],
        weights=_weights([*fungus_groups, *fungus_groups, *drawing_groups], shares),
    )


def concepts_of(shown: Shown) -> list[str]:
    """What each picture of the corpus shows, in the order of `make_corpus`: the mirrored fungi are there too."""
    fungi = [*shown.portraits.concepts, *shown.fungi.concepts, *shown.snapshots.concepts]
    return [*fungi, *fungi, *shown.world.concepts]


def _encode_once(vae: AutoencoderKL, images: np.ndarray, folder: Path) -> torch.Tensor:
    """Mean latents of the images, kept in `folder` for a recipe that is gone on with."""
    made_of = hashlib.sha256(images.data)
    for value in vae.state_dict().values():
        made_of.update(value.cpu().numpy())
    path = folder / f"{made_of.hexdigest()[:16]}.safetensors"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        save_file({"latents": encode(vae, images)}, temporary)
        temporary.replace(path)
    return load_file(path)["latents"]


def _weights(groups: Sequence[str], shares: Mapping[str, float]) -> torch.Tensor:
    """Weights that give each group its share, equal within it: float64 (N,)."""
    counts = Counter(groups)
    return torch.tensor([shares[group] / counts[group] for group in groups], dtype=torch.float64)


def make_judge(
    work: Path,
    tarballs: Path,
    model: Path,
    settings: RecipeSettings,
    contrast: ContrastSettings,
    target: Path,
    *,
    tell: Tell,
) -> dict[str, float]:
    """Teach the judge on the world of the model, write it to `target`, and return its figures.

    It reads with the model's tokenizer. Its figures are of the held-out style: how often it names the right one of
    the world's first 100 things.
    """
    shown = gather_pictures(work, tarballs, settings, tell=tell)
    pictures = shown.all
    tokenizer = CLIPTokenizer.from_pretrained(model / "tokenizer")
    things = sorted(set(shown.world.concepts))
    fungi = len(pictures) - len(shown.world)
    groups = [-1] * fungi + [things.index(one) for one in shown.world.concepts]
    clip = build_clip(tokenizer, contrast).to(pick_device())
    ids = tokenize(tokenizer, pictures.captions)
    share = {True: 0.5 / fungi, False: 0.5 / len(shown.world)}
    weights = torch.tensor([share[group < 0] for group in groups], dtype=torch.float64)
    teach_judge(clip, pictures.images, ids, groups, weights, work / "judge", contrast, tell=tell)
    temporary = target.with_name(f".{target.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    clip.to("cpu").half().save_pretrained(temporary)
    tokenizer.save_pretrained(temporary)
    figures = score_judge(ClipJudge(temporary), tarballs)
    recipe = {"settings": asdict(contrast), "figures": figures, "world": asdict(settings)["concepts"]}
    write_judge_card(temporary, recipe)
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)
    return figures


def score_judge(judge: ClipJudge, tarballs: Path, *, concepts: int = 100) -> dict[str, float]:
    """How often the judge names the right thing in the held-out style, among the first `concepts`."""
    art, known = read_art(tarballs), WORLD_CONCEPTS[:concepts]
    names = [concept.name for concept in known]
    pictures = list(held_out_pictures(art, concepts=concepts, size_px=IMAGE_PX))
    found = judge.name(
        [Image.fromarray(one.image) for one in pictures],
        [f"{one.article} {one.name}".lstrip() for one in known],
    )
    right = [names[number] == one.concept for number, one in zip(found, pictures, strict=True)]
    return {"held_out_style_right": float(np.mean(right)), "held_out_pictures": float(len(right))}


def export(
    pipeline: StableDiffusionPipeline,
    settings: RecipeSettings,
    figures: dict,
    target: Path,
    *,
    history: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Write the pipeline in half precision with its recipe beside it, in place of what was there."""
    temporary = target.with_name(f".{target.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    for part in ("unet", "vae", "text_encoder"):
        getattr(pipeline, part).to("cpu").half()
    save_pipeline(pipeline, temporary)
    for part in ("unet", "vae", "text_encoder"):
        getattr(pipeline, part).float()
    recipe = {"settings": asdict(settings), "figures": figures, "weights_sha256": hash_folder(temporary)}
    recipe |= history
    write_card(temporary, recipe)
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)


@torch.no_grad()
def show(
    pipeline: StableDiffusionPipeline, path: Path, prompts: Sequence[str] = SHEET_PROMPTS, *, rows: int = 2
) -> None:
    """A sheet of samples, one column per prompt."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.unet.eval(), pipeline.text_encoder.eval()
    images: list[Image.Image] = []
    for row in range(rows):
        generators = [torch.Generator().manual_seed(row * 1000 + index) for index in range(len(prompts))]
        images += pipeline(
            list(prompts), num_inference_steps=20, guidance_scale=2.0, generator=generators
        ).images
    pipeline.unet.train(), pipeline.text_encoder.train()
    contact_sheet(images, columns=len(prompts), labels=[*prompts] * rows).save(path)
