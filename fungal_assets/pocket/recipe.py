"""The recipe of the pocket model, from nothing to what ships: pictures, tokenizer, autoencoder, diffusion, card.

Each stage keeps its results in a working folder and goes on from what it finds there, so the whole may be stopped at
any moment. `RecipeSettings.concepts` is the one dial: how large a world the model is asked to know.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, StableDiffusionPipeline
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPTokenizer

from fungal_assets.diffusion.devices import pick_device
from fungal_assets.diffusion.pruning import save_pipeline
from fungal_assets.pocket import architecture
from fungal_assets.pocket.architecture import tokenize
from fungal_assets.pocket.autoencoding import VaeSettings, encode, from_signed, psnr_db, to_signed, train_vae
from fungal_assets.pocket.card import RECIPE_FILE, steps_of, write_card, write_judge_card
from fungal_assets.pocket.contrasting import (
    ClipJudge,
    ContrastSettings,
    Lessons,
    build_towers,
    change_pictures,
    teach_judge,
)
from fungal_assets.pocket.corpus import (
    IMAGE_PX,
    REWORDING_SEED,
    Pictures,
    caption_fungi,
    draw_wide_world,
    draw_world,
    join,
    render_fungi,
    traits_of_fungi,
    traits_of_portraits,
    traits_of_snapshots,
    traits_of_views,
)
from fungal_assets.pocket.diffusing import Corpus, DiffusionSettings, train_diffusion
from fungal_assets.pocket.facts import Facts, facts_of_drawing, facts_of_fungus
from fungal_assets.pocket.fungarium import Traits
from fungal_assets.pocket.references import embed
from fungal_assets.pocket.scoring import score_judge_on_renders
from fungal_assets.pocket.wording import WordingSettings, teach_words
from fungal_assets.pocket.world import WORLD_CONCEPTS, held_out_pictures, read_art
from fungal_assets.pocket.world.captions import HOUSE_STYLE
from fungal_assets.previews import contact_sheet
from fungal_assets.progress import Tell
from fungal_assets.store import hash_folder
from fungal_assets.words import article_of

HELD_OUT = 64
SNAPSHOT = "snapshot"
FUNGUS_KINDS = {"portrait": "portraits", "fungus": "fungi", SNAPSHOT: "snapshots", "view": "views"}
"""Where the renders of each kind are kept, in the order of the corpus."""
JUDGE_SHARES = {"world": 0.25, "wide": 0.25, "portrait": 0.2, "fungus": 0.1, "snapshot": 0.1, "view": 0.1}
"""How often the judge sees pictures of each kind."""
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
        views: How many like portraits, but each morphotype as often from every side that there is of it.
        fungi_share: Share of fungi among the pictures that the diffusion model sees.
        portrait_share: Share of portraits among the fungi, `snapshot_share` of snapshots and `view_share` of views.
        house_share: Share of the house style, which bare words mean, among the drawings.
        half_share: Share of the steps in which the diffusion model sees all of these at half their size.
        double_share: Share of the steps in which it sees pictures of twice that size: of each kind of fungi the first
            `double_of_each`, and `double_variants` drawings per concept and style.
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
    views: int = 3760
    fungi_share: float = 0.8
    portrait_share: float = 0.3
    snapshot_share: float = 0.15
    view_share: float = 0.25
    house_share: float = 0.5
    half_share: float = 0.0
    double_share: float = 0.0
    double_of_each: int = 600
    double_variants: int = 2
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
    views: Pictures
    world: Pictures

    @property
    def fungi_of_all_kinds(self) -> Pictures:
        """All but the drawings."""
        return join(*self._by_kind.values())

    @property
    def kinds(self) -> list[str]:
        """Kind of each of the fungi of all kinds, a key of `traits_by_kind`."""
        return [kind for kind, pictures in self._by_kind.items() for _ in range(len(pictures))]

    def halved(self) -> Shown:
        """The same pictures at half their size."""
        return Shown(
            *(replace(one, images=_halve(one.images)) for one in (*self._by_kind.values(), self.world))
        )

    @property
    def _by_kind(self) -> dict[str, Pictures]:
        pictures = (self.portraits, self.fungi, self.snapshots, self.views)
        return dict(zip(FUNGUS_KINDS, pictures, strict=True))

    @property
    def all(self) -> Pictures:
        """All of them as one."""
        return join(self.fungi_of_all_kinds, self.world)


def _halve(images: np.ndarray) -> np.ndarray:
    """The mean of every two by two pixels: uint8, shape (N, H, W, 3) to (N, H/2, W/2, 3)."""
    parts = [images[start : start + 256] for start in range(0, len(images), 256)]
    return np.concatenate([from_signed(F.avg_pool2d(to_signed(part), 2)) for part in parts])


def traits_by_kind(settings: RecipeSettings) -> dict[str, list[Traits]]:
    """Traits of the fungi that are rendered, by kind; those of a `SNAPSHOT` are rendered and described as such."""
    traits = (
        traits_of_portraits(settings.portraits),
        traits_of_fungi(settings.fungi),
        traits_of_snapshots(settings.snapshots),
        traits_of_views(settings.views),
    )
    return dict(zip(FUNGUS_KINDS, traits, strict=True))


def gather_pictures(
    work: Path, tarballs: Path, settings: RecipeSettings, *, tell: Tell, size_px: int = IMAGE_PX
) -> Shown:
    """The fungi and the drawings, each of `size_px`."""
    of_size = "" if size_px == IMAGE_PX else f"_{size_px}"
    portraits, fungi, snapshots, views = (
        render_fungi(
            work / f"{FUNGUS_KINDS[kind]}{of_size}",
            traits,
            processes=2,
            tell=tell,
            is_snapshot=kind == SNAPSHOT,
            size_px=size_px,
        )
        for kind, traits in traits_by_kind(settings).items()
    )
    world = draw_world(
        work / "world",
        tarballs=tarballs,
        concepts=settings.concepts,
        variants=settings.variants,
        seed=0,
        size_px=size_px,
    )
    return Shown(portraits, fungi, snapshots, views, world)


def doubled(settings: RecipeSettings) -> RecipeSettings:
    """The settings of the pictures of twice the size: the first fungi of each kind, fewer drawings of each thing."""
    counts = {name: min(getattr(settings, name), settings.double_of_each) for name in FUNGUS_KINDS.values()}
    return replace(settings, **counts, variants=settings.double_variants)


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
    recipe under `continued_from` or `autoencoder_from`, and its autoencoder's figure is taken over: of other pictures
    nobody could say whether it was taught them.
    """
    settings = (
        settings if start is None else continued(settings, json.loads((start / RECIPE_FILE).read_text()))
    )
    shown = gather_pictures(work, tarballs, settings, tell=tell)
    large = None
    if settings.double_share > 0:
        large = gather_pictures(work, tarballs, doubled(settings), tell=tell, size_px=2 * IMAGE_PX)
    pictures = shown.all
    device, figures = pick_device(), {}
    if start is not None:
        pipeline = StableDiffusionPipeline.from_pretrained(start, safety_checker=None, dtype=torch.float32)
    else:
        pipeline = build(settings, pictures.captions, fungus_names())
        if autoencoder is None:
            kept = np.random.default_rng(0).permutation(len(pictures))
            held_out, used = pictures.images[kept[:HELD_OUT]], pictures.images[kept[HELD_OUT:]]
            train_vae(pipeline.vae.to(device), used, work / "vae", settings.vae, tell=tell)
            figures["vae_psnr_db"] = psnr_db(pipeline.vae, held_out)
            tell(f"autoencoder: {figures['vae_psnr_db']:.2f} dB on {HELD_OUT} held-out pictures")
        else:
            pipeline.vae = AutoencoderKL.from_pretrained(autoencoder / "vae", dtype=torch.float32)
    pipeline.to(device)
    corpora = make_corpora(pipeline, shown, large, settings, work)
    if start is None:
        corpus = corpora[0]
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
        corpora,
        work / "diffusion",
        settings.diffusion,
        tell=tell,
        on_checkpoint=lambda step: show(pipeline, work / "sheets" / f"step-{step:06d}.png"),
    )
    came_from = {"continued_from": start, "autoencoder_from": None if start else autoencoder}
    history = {key: json.loads((path / RECIPE_FILE).read_text()) for key, path in came_from.items() if path}
    for earlier in history.values():
        figures["vae_psnr_db"] = earlier["figures"]["vae_psnr_db"]
    export(pipeline, settings, figures, target, history=history)
    return figures


def continued(settings: RecipeSettings, earlier: Mapping[str, Any]) -> RecipeSettings:
    """The settings with which a model of an earlier recipe learns on: no draw of its steps is drawn again."""
    diffusion = settings.diffusion
    return replace(settings, diffusion=replace(diffusion, seed=diffusion.seed + steps_of(earlier)))


def make_corpora(
    pipeline: StableDiffusionPipeline,
    shown: Shown,
    large: Shown | None,
    settings: RecipeSettings,
    work: Path,
) -> list[Corpus]:
    """What is learnt from at the model's own size and, where they have a share, at half and at twice that size.

    Args:
        pipeline: Whose autoencoder encodes it.
        shown: Pictures of the model's own size.
        large: Pictures of twice that size, where these have a share.
        settings: Of `shown`, with the shares.
        work: Where latents are kept.
    """
    own_share = 1 - settings.half_share - settings.double_share
    corpora = [replace(make_corpus(pipeline, shown, settings, work), share=own_share)]
    if settings.half_share > 0:
        half = make_corpus(pipeline, shown.halved(), settings, work)
        corpora.append(replace(half, share=settings.half_share))
    if large is not None:
        double = make_corpus(pipeline, large, doubled(settings), work)
        corpora.append(replace(double, share=settings.double_share))
    return corpora


def make_corpus(
    pipeline: StableDiffusionPipeline, shown: Shown, settings: RecipeSettings, work: Path
) -> Corpus:
    """Scaled latents of everything, weighted to the shares that the settings ask for.

    Each fungus is there mirrored too, in other words: two texts that are true of one form teach what a word means.
    """
    fungi = shown.fungi_of_all_kinds.images
    images = np.concatenate([fungi, fungi[:, :, ::-1], shown.world.images])
    by_kind = traits_by_kind(settings)
    captions = [
        caption
        for seed in (0, REWORDING_SEED)
        for kind, traits in by_kind.items()
        for caption in caption_fungi(traits, seed=seed, is_snapshot=kind == SNAPSHOT)
    ]
    if len(captions) != 2 * len(fungi):
        raise ValueError(
            f"{len(fungi)} pictures of fungi but {len(captions) // 2} captions: render them again"
        )
    drawing_groups = ["house" if style == HOUSE_STYLE else "drawing" for style in shown.world.styles]
    of_fungi, of_drawings = settings.fungi_share, 1 - settings.fungi_share
    shares = {
        "portrait": of_fungi * settings.portrait_share,
        "fungus": of_fungi * (1 - settings.portrait_share - settings.snapshot_share - settings.view_share),
        "snapshot": of_fungi * settings.snapshot_share,
        "view": of_fungi * settings.view_share,
        "house": of_drawings * settings.house_share,
        "drawing": of_drawings * (1 - settings.house_share),
    }
    return Corpus(
        latents=_encode_once(pipeline.vae, images, work / "latents") * pipeline.vae.config.scaling_factor,
        captions=[*captions, *shown.world.captions],
        weights=_weights([*shown.kinds, *shown.kinds, *drawing_groups], shares),
    )


def concepts_of(shown: Shown) -> list[str]:
    """What each picture of the corpus shows, in the order of `make_corpus`: the mirrored fungi are there too."""
    fungi = shown.fungi_of_all_kinds.concepts
    return [*fungi, *fungi, *shown.world.concepts]


def _encode_once(vae: AutoencoderKL, images: np.ndarray, folder: Path) -> torch.Tensor:
    """Mean latents of the images, kept in `folder` for a recipe that is gone on with."""
    made_of = [images, *(value.cpu().numpy() for value in vae.state_dict().values())]
    return _keep(folder, "latents", made_of, lambda: encode(vae, images))


def _look_once(images: np.ndarray, folder: Path, *, tell: Tell) -> np.ndarray:
    """What EfficientNet-Lite0 sees in the images, float32 (N, 1280), kept in `folder` as latents are."""

    def look() -> torch.Tensor:
        tell(f"judge: looking at {len(images)} pictures")
        return torch.from_numpy(embed(images))

    return _keep(folder, "features", [images], look).numpy()


def _keep(
    folder: Path, name: str, made_of: Iterable[np.ndarray], make: Callable[[], torch.Tensor]
) -> torch.Tensor:
    """The tensor that `folder` keeps of what it is made of, made first where it is missing."""
    digest = hashlib.sha256()
    for part in made_of:
        digest.update(np.ascontiguousarray(part).data)
    path = folder / f"{digest.hexdigest()[:16]}.safetensors"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        save_file({name: make()}, temporary)
        temporary.replace(path)
    return load_file(path)[name]


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
    sheets: Path,
    tell: Tell,
) -> dict[str, float]:
    """Teach the judge on the world of the model and beyond, write it to `target`, and return its figures.

    It reads with the model's tokenizer. Its figures are of the held-out style, how often it names the right one of
    the world's first 100 things, and of renders that it was not taught; a sheet of the former goes into `sheets`.
    """
    shown = gather_pictures(work, tarballs, settings, tell=tell)
    wide = draw_wide_world(work / "world", tarballs=tarballs, seed=0)
    lessons = make_lessons(shown, wide, settings, contrast, work / "seen", tell=tell)
    tokenizer = CLIPTokenizer.from_pretrained(model / "tokenizer")
    towers = build_towers(tokenizer, contrast, dimensions=lessons.features.shape[1]).to(pick_device())
    teach_judge(towers, tokenizer, lessons, work / "judge", contrast, tell=tell)
    with in_place_of(target) as folder:
        ClipJudge(towers, tokenizer).save(folder)
        judge = ClipJudge.load(folder)
        figures, sheet = score_judge(judge, tarballs)
        figures |= score_judge_on_renders(judge)
        pictures = {"drawings": len(shown.world) + len(wide), "fungi": len(shown.fungi_of_all_kinds)}
        recipe = {"settings": asdict(contrast), "figures": figures, "pictures": pictures}
        write_judge_card(folder, recipe | {"weights_sha256": hash_folder(folder)})
    sheets.mkdir(parents=True, exist_ok=True)
    sheet.save(sheets / "judge.webp", quality=82)
    return figures


@dataclass(frozen=True)
class Lesson:
    """Pictures that the judge's eye is shown.

    Args:
        images: uint8, shape (N, H, W, 3), sRGB.
        facts: What is true of each.
        groups: Kind of each, a key of `JUDGE_SHARES`.
    """

    images: np.ndarray
    facts: list[Facts]
    groups: list[str]

    def changed(self, *, is_drawn: bool, seed: int) -> Lesson:
        """The same with every picture changed by chance."""
        generator, parts = torch.Generator().manual_seed(seed), []
        for start in range(0, len(self.images), 256):
            pixels = to_signed(self.images[start : start + 256])
            parts.append(from_signed(change_pictures(pixels, generator, is_drawn=is_drawn)))
        return replace(self, images=np.concatenate(parts))


def make_lessons(
    shown: Shown,
    wide: Pictures,
    settings: RecipeSettings,
    contrast: ContrastSettings,
    folder: Path,
    *,
    tell: Tell,
) -> Lessons:
    """What the judge learns from: drawings and their changed copies, fungi and theirs, weighted to `JUDGE_SHARES`.

    Args:
        shown: The world of the model and its fungi.
        wide: Drawings of what lies outside that world, under the names that their icons share.
        settings: Of the fungi, whose traits are drawn again.
        contrast: How many copies.
        folder: Where what the eye sees is kept.
        tell: Told of progress.
    """
    concepts = {concept.name: concept for concept in WORLD_CONCEPTS}
    drawn = Lesson(
        np.concatenate([shown.world.images, wide.images]),
        [
            *(facts_of_drawing(concepts[name]) for name in shown.world.concepts),
            *(Facts((name,), article_of(name)) for name in wide.concepts),
        ],
        ["world"] * len(shown.world) + ["wide"] * len(wide),
    )
    fungi = Lesson(
        shown.fungi_of_all_kinds.images,
        [
            facts_of_fungus(one, is_snapshot=kind == SNAPSHOT)
            for kind, traits in traits_by_kind(settings).items()
            for one in traits
        ],
        shown.kinds,
    )
    parts = [drawn, *(drawn.changed(is_drawn=True, seed=seed) for seed in range(contrast.drawn_copies))]
    parts += [fungi, *(fungi.changed(is_drawn=False, seed=seed) for seed in range(contrast.fungus_copies))]
    return Lessons(
        features=np.concatenate([_look_once(part.images, folder, tell=tell) for part in parts]),
        facts=[fact for part in parts for fact in part.facts],
        weights=_weights([group for part in parts for group in part.groups], JUDGE_SHARES),
    )


def score_judge(
    judge: ClipJudge, tarballs: Path, *, concepts: int = 100
) -> tuple[dict[str, float], Image.Image]:
    """How often the judge names the right thing in the held-out style, among the first `concepts`.

    Returns:
        The figures, and a sheet of the pictures with the name that each was given.
    """
    art, known = read_art(tarballs), WORLD_CONCEPTS[:concepts]
    names = [concept.name for concept in known]
    pictures = list(held_out_pictures(art, concepts=concepts, size_px=IMAGE_PX))
    images = [Image.fromarray(one.image) for one in pictures]
    found = [names[number] for number in judge.name(images, [one.phrase for one in known])]
    wanted = [one.concept for one in pictures]
    pairs = list(zip(found, wanted, strict=True))
    labels = [name if name == truth else f"{name}? {truth}" for name, truth in pairs]
    figures = {
        "held_out_style_right": float(np.mean([name == truth for name, truth in pairs])),
        "held_out_pictures": float(len(pairs)),
    }
    return figures, contact_sheet(images, columns=20, labels=labels, tile_px=IMAGE_PX)


def export(
    pipeline: StableDiffusionPipeline,
    settings: RecipeSettings,
    figures: dict,
    target: Path,
    *,
    history: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Write the pipeline in half precision with its recipe beside it, in place of what was there."""
    with in_place_of(target) as folder:
        for part in ("unet", "vae", "text_encoder"):
            getattr(pipeline, part).to("cpu").half()
        save_pipeline(pipeline, folder)
        for part in ("unet", "vae", "text_encoder"):
            getattr(pipeline, part).float()
        recipe = {"settings": asdict(settings), "figures": figures, "weights_sha256": hash_folder(folder)}
        write_card(folder, {**recipe, **history})


@contextmanager
def in_place_of(target: Path) -> Iterator[Path]:
    """A folder of a temporary name that takes the place of `target` once it is whole."""
    temporary = target.with_name(f".{target.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    yield temporary
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
