"""Families of base models: how a model of each kind is loaded, conditioned on texts and asked for its prediction.

This is the seam between base models and everything else. Encoding, batches, rehearsal, the loop, galleries and forms
know one tensor per text, its *conditioning*, float32 of shape (L, D), and hand it back to the family that made it. What
is in it is the family's own business, and so is everything that a model wants beside it. A family is one small class in
`FAMILIES`; where a further one enters is written in docs/families.md.

Loads no torch at module level, so that a base model can be refused without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from fungal_assets.errors import InputError

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline
    from transformers import PreTrainedTokenizerBase


UNET, TRANSFORMER = "unet", "transformer"
_WITH_SUMMARY = (
    "prompt_embeds",
    "negative_prompt_embeds",
    "pooled_prompt_embeds",
    "negative_pooled_prompt_embeds",
)


class Family(Protocol):
    """One kind of base model.

    Args:
        title: What people call it.
        pipeline_class: Its class in diffusers, as `model_index.json` names it.
        loading: What `from_pretrained` and `from_single_file` take beside the usual.
        text_encoders: The pipeline's attributes that read texts, in their order.
        tokenizers: The tokenizers that belong to them.
        prompt_arguments: What the pipeline calls that which its `encode_prompt` returns, in this order.
        encoding: What its `encode_prompt` must be given beside the usual.
        has_fragile_vae: Whether its autoencoder overflows in half precision.
        denoiser: What the pipeline calls its denoiser, in folders and LoRA files too. A loaded one has it as `unet`.
        learns_texts: Whether methods may change what texts mean.
    """

    title: ClassVar[str]
    pipeline_class: ClassVar[str]
    loading: ClassVar[Mapping[str, Any]]
    text_encoders: ClassVar[tuple[str, ...]]
    tokenizers: ClassVar[tuple[str, ...]]
    prompt_arguments: ClassVar[tuple[str, ...]]
    encoding: ClassVar[Mapping[str, Any]]
    has_fragile_vae: ClassVar[bool]
    denoiser: ClassVar[str]
    learns_texts: ClassVar[bool]

    @classmethod
    def of(cls, pipeline: DiffusionPipeline) -> Family:
        """The family of a loaded pipeline, with what it must know of it."""
        ...

    def embed(self, pipeline: DiffusionPipeline, texts: Sequence[str]) -> torch.Tensor:
        """Conditionings as in sampling: shape (B, L, D), on the text encoders' device."""
        ...

    def tokenize(self, pipeline: DiffusionPipeline, texts: Sequence[str]) -> torch.Tensor:
        """Token ids as in sampling, words of several vectors included: int64 on the CPU, shape (B, T)."""
        ...

    def encode(self, pipeline: DiffusionPipeline, ids: torch.Tensor) -> torch.Tensor:
        """What `embed` says of texts with these token ids, with gradients: shape (B, L, D)."""
        ...

    def predict(
        self, denoiser: torch.nn.Module, x_t: torch.Tensor, t: torch.Tensor, text: torch.Tensor
    ) -> torch.Tensor:
        """The model's answer to noisy latents (B, C, H, W) at steps (B,), conditioned on (B, L, D)."""
        ...


@dataclass(frozen=True)
class StableDiffusion:
    """One CLIP text encoder, whose last layer is the conditioning."""

    title: ClassVar[str] = "Stable Diffusion 1.x and 2.x and the pocket model"
    pipeline_class: ClassVar[str] = "StableDiffusionPipeline"
    loading: ClassVar[Mapping[str, Any]] = {
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }
    text_encoders: ClassVar[tuple[str, ...]] = ("text_encoder",)
    tokenizers: ClassVar[tuple[str, ...]] = ("tokenizer",)
    prompt_arguments: ClassVar[tuple[str, ...]] = ("prompt_embeds", "negative_prompt_embeds")
    encoding: ClassVar[Mapping[str, Any]] = {}
    has_fragile_vae: ClassVar[bool] = False
    denoiser: ClassVar[str] = UNET
    learns_texts: ClassVar[bool] = True

    @classmethod
    def of(cls, pipeline: DiffusionPipeline) -> StableDiffusion:
        """It needs to know nothing."""
        return cls()

    def embed(self, pipeline: DiffusionPipeline, texts: Sequence[str]) -> torch.Tensor:
        """See `Family`."""
        return pipeline.encode_prompt(list(texts), pipeline.text_encoder.device, 1, False)[0]

    def tokenize(self, pipeline: DiffusionPipeline, texts: Sequence[str]) -> torch.Tensor:
        """See `Family`; T is L."""
        return _tokenize(pipeline, pipeline.tokenizer, texts)

    def encode(self, pipeline: DiffusionPipeline, ids: torch.Tensor) -> torch.Tensor:
        """See `Family`."""
        return pipeline.text_encoder(ids)[0]

    def predict(
        self, denoiser: torch.nn.Module, x_t: torch.Tensor, t: torch.Tensor, text: torch.Tensor
    ) -> torch.Tensor:
        """See `Family`."""
        return denoiser(x_t, t, text, return_dict=False)[0]


@dataclass(frozen=True)
class StableDiffusionXL:
    """Two CLIP text encoders, the second one's summary of the whole text, and the picture's size and crop.

    A conditioning is the layer before the last of both encoders, side by side, and behind these rows the summary in as
    many as it fills (Podell et al. 2023, arXiv:2307.01952). Each picture is told to be whole and of its own size, as in
    sampling: a dataset does not say what its originals were. The empty text is all zeros where the model says so, for
    that is what sampling leads away from.

    Args:
        summary_width: Of the summary.
        px_per_latent: Pixels along a latent's side.
    """

    summary_width: int
    px_per_latent: int

    title: ClassVar[str] = "Stable Diffusion XL"
    pipeline_class: ClassVar[str] = "StableDiffusionXLPipeline"
    loading: ClassVar[Mapping[str, Any]] = {"add_watermarker": False}
    text_encoders: ClassVar[tuple[str, ...]] = ("text_encoder", "text_encoder_2")
    tokenizers: ClassVar[tuple[str, ...]] = ("tokenizer", "tokenizer_2")
    prompt_arguments: ClassVar[tuple[str, ...]] = _WITH_SUMMARY
    encoding: ClassVar[Mapping[str, Any]] = {}
    has_fragile_vae: ClassVar[bool] = True
    denoiser: ClassVar[str] = UNET
    learns_texts: ClassVar[bool] = True

    @classmethod
    def of(cls, pipeline: DiffusionPipeline) -> StableDiffusionXL:
        """The widths of a pipeline.

        Raises:
            InputError: It is a refiner, which has one text encoder.
        """
        if pipeline.text_encoder is None:
            raise InputError(
                "this Stable Diffusion XL has no first text encoder, so it is a refiner, which draws no picture from "
                "noise. Choose the base model."
            )
        return cls(pipeline.text_encoder_2.config.projection_dim, pipeline.vae_scale_factor)

    def embed(self, pipeline: DiffusionPipeline, texts: Sequence[str]) -> torch.Tensor:
        """See `Family`."""
        import torch

        hidden, _, summary, _ = pipeline.encode_prompt(
            prompt=list(texts),
            device=pipeline.text_encoder.device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=False,
        )
        is_empty = torch.tensor([text == "" for text in texts], device=hidden.device)
        return self._packed(pipeline, hidden, summary, is_empty)

    def tokenize(self, pipeline: DiffusionPipeline, texts: Sequence[str]) -> torch.Tensor:
        """See `Family`; the ids of both tokenizers side by side."""
        import torch

        tokenizers = (getattr(pipeline, name) for name in self.tokenizers)
        return torch.cat([_tokenize(pipeline, tokenizer, texts) for tokenizer in tokenizers], dim=1)

    def encode(self, pipeline: DiffusionPipeline, ids: torch.Tensor) -> torch.Tensor:
        """See `Family`."""
        import torch

        first, second = (
            getattr(pipeline, name)(own, output_hidden_states=True)
            for name, own in zip(self.text_encoders, ids.chunk(2, dim=1), strict=True)
        )
        hidden = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
        is_empty = (ids == self.tokenize(pipeline, [""]).to(ids.device)).all(dim=1)
        return self._packed(pipeline, hidden, second.text_embeds, is_empty)

    def predict(
        self, denoiser: torch.nn.Module, x_t: torch.Tensor, t: torch.Tensor, text: torch.Tensor
    ) -> torch.Tensor:
        """See `Family`."""
        hidden, summary = unpack(text, self.summary_width)
        height, width = (side * self.px_per_latent for side in x_t.shape[-2:])
        size_and_crop = x_t.new_tensor([height, width, 0, 0, height, width]).expand(len(summary), -1)
        beside = {"text_embeds": summary, "time_ids": size_and_crop}
        return denoiser(x_t, t, hidden, added_cond_kwargs=beside, return_dict=False)[0]

    def _packed(
        self, pipeline: DiffusionPipeline, hidden: torch.Tensor, summary: torch.Tensor, is_empty: torch.Tensor
    ) -> torch.Tensor:
        """One tensor of shape (B, L + R, D) of (B, L, D), (B, `summary_width`) and which texts are empty, bool (B,)."""
        packed = pack(hidden, summary)
        if not pipeline.config.force_zeros_for_empty_prompt:
            return packed
        return packed.masked_fill(is_empty[:, None, None], 0)


@dataclass(frozen=True)
class StableDiffusion3:
    """A transformer that predicts a velocity, told by three text encoders (Esser et al. 2024, arXiv:2403.03206).

    A conditioning is what its pipeline makes of two CLIPs and T5, zeros in the place of T5 where there is none, and
    behind it the summaries of both CLIPs as for XL. Texts are encoded once only.

    Args:
        summary_width: Of both summaries together.
    """

    summary_width: int

    title: ClassVar[str] = "Stable Diffusion 3 and 3.5"
    pipeline_class: ClassVar[str] = "StableDiffusion3Pipeline"
    loading: ClassVar[Mapping[str, Any]] = {}
    text_encoders: ClassVar[tuple[str, ...]] = ("text_encoder", "text_encoder_2", "text_encoder_3")
    tokenizers: ClassVar[tuple[str, ...]] = ("tokenizer", "tokenizer_2", "tokenizer_3")
    prompt_arguments: ClassVar[tuple[str, ...]] = _WITH_SUMMARY
    encoding: ClassVar[Mapping[str, Any]] = {"prompt_2": None, "prompt_3": None}
    has_fragile_vae: ClassVar[bool] = False
    denoiser: ClassVar[str] = TRANSFORMER
    learns_texts: ClassVar[bool] = False

    @classmethod
    def of(cls, pipeline: DiffusionPipeline) -> StableDiffusion3:
        """The widths of a pipeline."""
        return cls(pipeline.transformer.config.pooled_projection_dim)

    def embed(self, pipeline: DiffusionPipeline, texts: Sequence[str]) -> torch.Tensor:
        """See `Family`."""
        hidden, _, summary, _ = pipeline.encode_prompt(
            prompt=list(texts),
            device=pipeline.text_encoder.device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=False,
            **self.encoding,
        )
        return pack(hidden, summary)

    def tokenize(self, pipeline: DiffusionPipeline, texts: Sequence[str]) -> torch.Tensor:
        """See `Family`; nothing asks for them, as `learns_texts` says."""
        raise NotImplementedError

    def encode(self, pipeline: DiffusionPipeline, ids: torch.Tensor) -> torch.Tensor:
        """See `Family`; as `tokenize`."""
        raise NotImplementedError

    def predict(
        self, denoiser: torch.nn.Module, x_t: torch.Tensor, t: torch.Tensor, text: torch.Tensor
    ) -> torch.Tensor:
        """See `Family`."""
        hidden, summary = unpack(text, self.summary_width)
        return denoiser(x_t, hidden, summary, t, return_dict=False)[0]


FAMILIES: tuple[type[Family], ...] = (StableDiffusion, StableDiffusionXL, StableDiffusion3)


def pack(hidden: torch.Tensor, summary: torch.Tensor) -> torch.Tensor:
    """One tensor of shape (B, L + R, D) of (B, L, D) and a summary (B, S) in as many rows as it fills."""
    import torch

    count, _, width = hidden.shape
    rows = -(-summary.shape[1] // width)
    padded = torch.nn.functional.pad(summary, (0, rows * width - summary.shape[1])).view(count, rows, width)
    return torch.cat([hidden, padded], dim=1)


def unpack(text: torch.Tensor, summary_width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What `pack` was given."""
    rows = -(-summary_width // text.shape[-1])
    return text[:, :-rows], text[:, -rows:].flatten(1)[:, :summary_width]


def find_family(pipeline_class: str | None, where: str) -> type[Family]:
    """The family of a class of pipelines.

    Args:
        pipeline_class: Its name, as `model_index.json` has it.
        where: Who has it, for the error.

    Raises:
        InputError: It is of none.
    """
    for family in FAMILIES:
        if family.pipeline_class == pipeline_class:
            return family
    known = "; ".join(f"{family.pipeline_class!r} ({family.title})" for family in FAMILIES)
    raise InputError(
        f"{where} holds a {pipeline_class!r}; this version works with {known}. Choose a base model of such a kind."
    )


def family_of(pipeline: DiffusionPipeline) -> Family:
    """The family of a loaded pipeline.

    Raises:
        InputError: It is of none.
    """
    return find_family(type(pipeline).__name__, "the pipeline").of(pipeline)


def text_encoders_of(pipeline: DiffusionPipeline) -> dict[str, torch.nn.Module]:
    """The text encoders of a pipeline by name, in their order; a T5 may have been left out."""
    found = {name: getattr(pipeline, name) for name in family_of(pipeline).text_encoders}
    return {name: encoder for name, encoder in found.items() if encoder is not None}


def parts_of(pipeline: DiffusionPipeline) -> dict[str, torch.nn.Module]:
    """All of a pipeline that has weights, by name."""
    denoiser = family_of(pipeline).denoiser
    return {denoiser: pipeline.unet, "vae": pipeline.vae, **text_encoders_of(pipeline)}


def _tokenize(
    pipeline: DiffusionPipeline, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]
) -> torch.Tensor:
    """Token ids, int64 on the CPU, shape (B, L)."""
    return tokenizer(
        pipeline.maybe_convert_prompt(list(texts), tokenizer),
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids
