"""The shape of the pocket model: a latent diffusion model of the Stable Diffusion kind, in small.

Every part is a stock class of diffusers or transformers (f8 `AutoencoderKL`, `UNet2DConditionModel`, `CLIPTextModel`,
`CLIPTokenizer`, `DDIMScheduler`), so that whatever runs on Stable Diffusion runs on it unchanged. Here are only sizes;
how it learns is in `training`. The size `tiny` is the same thing for tests.

Imports torch at module level: import this module inside functions only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from fungal_assets.pocket.vocabulary import END_OF_WORD, count_words, learn_merges

BOS, EOS = "<|startoftext|>", "<|endoftext|>"
MAX_TOKENS = 32


@dataclass(frozen=True)
class Size:
    """Widths of one model.

    Args:
        image_px: Native side of a picture.
        latent_channels: Numbers per place of a latent.
        vae_channels: Width per VAE level; four levels make the factor 8.
        unet_channels: Width per UNet level.
        has_attention: Which UNet levels attend to themselves and to the text.
        text_width: Width of the text encoder.
        text_layers: Its depth.
    """

    image_px: int
    latent_channels: int
    vae_channels: Sequence[int]
    unet_channels: Sequence[int]
    has_attention: Sequence[bool]
    text_width: int
    text_layers: int


POCKET = Size(128, 8, (32, 64, 96, 128), (128, 192, 256), (False, True, True), 192, 4)
TINY = Size(64, 4, (8, 8, 16, 16), (16, 32), (False, True), 32, 1)
SIZES = {"pocket": POCKET, "tiny": TINY}
_WORDS = "a photo of a mushroom in a field, seen from above, red brown white yellow fly agaric bolete cup"


def train_tokenizer(texts: Iterable[str], *, vocabulary: int) -> CLIPTokenizer:
    """A `CLIPTokenizer` whose byte-pair vocabulary of at most `vocabulary` tokens is learnt from `texts`.

    Any text can be encoded, whatever it was learnt from; the two special tokens have the last ids, as CLIP's have.
    """
    template = CLIPTokenizer().backend_tokenizer
    words = (
        piece
        for text in texts
        for piece, _ in template.pre_tokenizer.pre_tokenize_str(template.normalizer.normalize_str(text))
    )
    alphabet = _byte_alphabet()
    single = [*alphabet, *(char + END_OF_WORD for char in alphabet)]
    merges = learn_merges(count_words(words), merges=vocabulary - len(single) - 2)
    tokens = dict.fromkeys([*single, *("".join(pair) for pair in merges)])
    ids = {token: index for index, token in enumerate([*tokens, BOS, EOS])}
    return CLIPTokenizer(vocab=ids, merges=merges, model_max_length=MAX_TOKENS)


def tokenize(tokenizer: CLIPTokenizer, texts: Sequence[str]) -> torch.Tensor:
    """Padded token ids, int64 (N, L)."""
    return tokenizer(
        list(texts),
        padding="max_length",
        truncation=True,
        max_length=tokenizer.model_max_length,
        return_tensors="pt",
    ).input_ids


def _byte_alphabet() -> list[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


def build_vae(size: Size, groups: int = 1) -> AutoencoderKL:
    """An f8 autoencoder, fully convolutional, so that any multiple of 8 px fits."""
    levels = len(size.vae_channels)
    return AutoencoderKL(
        latent_channels=size.latent_channels,
        block_out_channels=tuple(size.vae_channels),
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=1,
        norm_num_groups=groups,
        mid_block_add_attention=False,
        sample_size=size.image_px,
    )


def build_unet(size: Size) -> UNet2DConditionModel:
    """A UNet over latents of `image_px` / 8, cross-attending to the text.

    The text as a whole also scales and shifts every block, beside the time: where nothing is learnt yet, that path
    brings the subject in long before cross-attention does.
    """
    down = tuple("CrossAttnDownBlock2D" if attends else "DownBlock2D" for attends in size.has_attention)
    up = tuple("CrossAttnUpBlock2D" if attends else "UpBlock2D" for attends in reversed(size.has_attention))
    return UNet2DConditionModel(
        sample_size=size.image_px // 8,
        in_channels=size.latent_channels,
        out_channels=size.latent_channels,
        layers_per_block=1,
        block_out_channels=tuple(size.unet_channels),
        down_block_types=down,
        up_block_types=up,
        cross_attention_dim=size.text_width,
        attention_head_dim=4,
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        resnet_time_scale_shift="scale_shift",
        norm_num_groups=8 if size is TINY else 32,
    )


def build_text_encoder(size: Size, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """A CLIP text transformer over the tokenizer's vocabulary."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.text_width,
        intermediate_size=4 * size.text_width,
        num_hidden_layers=size.text_layers,
        num_attention_heads=4,
        max_position_embeddings=MAX_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def build_scheduler() -> DDIMScheduler:
    """Stable Diffusion's noise schedule rescaled to end in pure noise, v-prediction, trailing steps."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )


def assemble(
    vae: AutoencoderKL, unet: UNet2DConditionModel, text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer
) -> StableDiffusionPipeline:
    """The parts as one `StableDiffusionPipeline` without a safety checker."""
    return StableDiffusionPipeline(
        vae=vae,
        unet=unet,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def build_pipeline(size: str = "pocket", *, seed: int = 0) -> StableDiffusionPipeline:
    """The whole model at random weights, the same for the same seed; `size` is a key of `SIZES`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = train_tokenizer([_WORDS], vocabulary=1024)
        shape = SIZES[size]
        return assemble(build_vae(shape), build_unet(shape), build_text_encoder(shape, tokenizer), tokenizer)
