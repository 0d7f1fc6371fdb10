"""Listening to a UNet: what its blocks give, and how widely its attention looks, at one call.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch  # noqa: TID253
from diffusers.models.attention_processor import Attention, AttnProcessor  # noqa: TID253
from torch.nn.functional import conv2d, pad  # noqa: TID253

from fungal_assets.galleries.atlas.measures import entropy_share

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

_LISTENED = ("resnets", "attentions")
"""The lists of a block's parts; one entry of them is one row of the atlas."""


@dataclass
class Heard:
    """What one call of a UNet left.

    Args:
        blocks: Output of each block by name, float (B, C, H, W), in the order of the call.
        entropies: How widely each attention looks, 0 to 1, by its name; self-attention ends in `attn1`.
    """

    blocks: dict[str, torch.Tensor] = field(default_factory=dict)
    entropies: dict[str, float] = field(default_factory=dict)


def block_names(unet: UNet2DConditionModel) -> list[str]:
    """Names of the blocks that are listened to."""
    return [
        name
        for name, _ in unet.named_modules()
        if name == "conv_in"
        or (name.count(".") >= 2 or name.startswith("mid_block."))
        and name.split(".")[-2] in _LISTENED
    ]


@contextmanager
def listening(unet: UNet2DConditionModel, rows: slice) -> Iterator[Heard]:
    """Gather what the UNet's blocks give while this lasts; call `clear` of both between two calls.

    Args:
        unet: The model; it computes what it computed before.
        rows: Which rows of the batch are kept.
    """
    heard, before = Heard(), dict(unet.attn_processors)
    with ExitStack() as stack:
        for name in block_names(unet):
            handle = unet.get_submodule(name).register_forward_hook(_keeper(heard, name, rows))
            stack.callback(handle.remove)
        stack.callback(unet.set_attn_processor, before)
        unet.set_attn_processor(
            {name: _Listener(heard, name.removesuffix(".processor"), rows) for name in before}
        )
        yield heard


def _keeper(heard: Heard, name: str, rows: slice) -> Any:
    def keep(_module: torch.nn.Module, _given: object, output: Any) -> None:
        tensor = output if isinstance(output, torch.Tensor) else output[0]
        heard.blocks[name] = tensor[rows].detach()

    return keep


class _Listener(AttnProcessor):
    """Attention written out, as diffusers has it, whose weights are looked at."""

    def __init__(self, heard: Heard, name: str, rows: slice):
        super().__init__()
        self._heard, self._name, self._rows = heard, name, rows

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        *rest: Any,
        **options: Any,
    ) -> torch.Tensor:
        kept = hidden_states[self._rows]
        keys = kept if encoder_hidden_states is None else encoder_hidden_states[self._rows]
        query = attn.head_to_batch_dim(attn.to_q(kept))
        key = attn.head_to_batch_dim(attn.to_k(keys))
        self._heard.entropies[self._name] = entropy_share(attn.get_attention_scores(query, key))
        return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, *rest, **options)


@contextmanager
def wrapped_borders(unet: UNet2DConditionModel) -> Iterator[None]:
    """While this lasts, beyond a border lies the other side of the picture, where else there are zeros."""
    convolutions = [
        module
        for module in unet.modules()
        if isinstance(module, torch.nn.Conv2d) and any(module.padding) and module.padding_mode == "zeros"
    ]
    kept = [module.forward for module in convolutions]
    for module in convolutions:
        module.forward = partial(_convolve_wrapped, module)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for module, forward in zip(convolutions, kept, strict=True):
            module.forward = forward  # type: ignore[method-assign]


def _convolve_wrapped(module: torch.nn.Conv2d, given: torch.Tensor) -> torch.Tensor:
    vertical, horizontal = module.padding
    framed = pad(given, (int(horizontal), int(horizontal), int(vertical), int(vertical)), mode="circular")
    return conv2d(framed, module.weight, module.bias, module.stride, 0, module.dilation, module.groups)
