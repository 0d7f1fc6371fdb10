"""The two networks of a DCGAN: one that draws pictures from noise, and one that tells drawn from real.

Radford, Metz and Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks", ICLR 2016 (arXiv:1511.06434). Both are a row of convolutions of 4 px, each but one with stride 2: from noise
to 4x4 to the whole picture, and back to one number. `width` channels lie beside the picture; they double with each
halving of its side, up to `MOST_WIDER` times as many, which pictures over 128 px come to. A picture of 128 px has one
layer more than one of 64.

The number that the second gives is a logit, positive for real; the sigmoid belongs to the loss.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch  # noqa: TID253
from torch import nn  # noqa: TID253
from torch.nn.utils.parametrizations import spectral_norm  # noqa: TID253

KERNEL, FIRST_SIDE = 4, 4
SLOPE = 0.2
MOST_WIDER = 16
SPREAD = 0.02
"""Standard deviation of weights at the start."""


class Generator(nn.Module):
    """Noise to pictures.

    Args:
        size_px: Side of a picture, a power of two from 8.
        latent_size: Numbers in a noise vector.
        width: Channels of the layer before the picture.
    """

    def __init__(self, size_px: int, latent_size: int, width: int):
        super().__init__()
        first, *others = reversed(list_channels(size_px, width))
        layers = [nn.ConvTranspose2d(latent_size, first, KERNEL, bias=False), *_after(first)]
        for before, after in pairwise((first, *others)):
            layers += [_doubling(before, after), *_after(after)]
        self.layers = nn.Sequential(*layers, _doubling(width, 3), nn.Tanh())
        self.size_px, self.latent_size = size_px, latent_size

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """Pictures of noise: from shape (B, latent_size) to (B, 3, size_px, size_px), -1 to 1."""
        return self.layers(latents[:, :, None, None])


class Discriminator(nn.Module):
    """Pictures to how real they look.

    Args:
        size_px: Side of a picture, a power of two from 8.
        width: Channels of the first layer.
        has_spectral_norm: Whether no convolution can stretch what it is given (Miyato, Kataoka, Koyama and Yoshida
            2018, arXiv:1802.05957), beside the batch normalisation of all layers but the first. In its place, as in
            that paper, it learnt more slowly (docs/log.md, 2026-11-29).
    """

    def __init__(self, size_px: int, width: int, *, has_spectral_norm: bool):
        super().__init__()
        bound = spectral_norm if has_spectral_norm else _as_it_is
        channels = list_channels(size_px, width)
        layers: list[nn.Module] = [bound(_halving(3, width)), nn.LeakyReLU(SLOPE)]
        for before, after in pairwise(channels):
            layers += [bound(_halving(before, after)), nn.BatchNorm2d(after), nn.LeakyReLU(SLOPE)]
        last = nn.Conv2d(channels[-1], 1, KERNEL, bias=False)
        self.layers = nn.Sequential(*layers, bound(last))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of pictures, shape (B,)."""
        return self.layers(images).flatten()


def list_channels(size_px: int, width: int) -> list[int]:
    """Channels where a picture's side was halved once, twice and so on, down to 4 px."""
    halvings = int(math.log2(size_px // FIRST_SIDE))
    return [width * min(2**at, MOST_WIDER) for at in range(halvings)]


def _as_it_is(layer: nn.Module) -> nn.Module:
    return layer


def _doubling(before: int, after: int) -> nn.Module:
    return nn.ConvTranspose2d(before, after, KERNEL, stride=2, padding=1, bias=False)


def _halving(before: int, after: int) -> nn.Module:
    return nn.Conv2d(before, after, KERNEL, stride=2, padding=1, bias=False)


def _after(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.BatchNorm2d(channels), nn.ReLU()


@torch.no_grad()
def begin(network: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights anew, as the paper does: all N(0, 0.02), those of batch normalisation N(1, 0.02), biases 0.

    The scale of a layer with spectral norm has no effect, its direction has.
    """
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()
        elif parameter.dim() == 1:
            parameter.normal_(1.0, SPREAD, generator=generator)
        else:
            parameter.normal_(0.0, SPREAD, generator=generator)
    for name, buffer in network.named_buffers():
        if name.endswith(("._u", "._v")):  # the first guesses of spectral norm
            buffer.copy_(nn.functional.normalize(buffer.normal_(generator=generator), dim=0))


def count_parameters(network: nn.Module) -> int:
    """How many numbers a network learns."""
    return sum(parameter.numel() for parameter in network.parameters())
