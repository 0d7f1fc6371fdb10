"""The captioned dataset as the model sees it: latents and text embeddings, encoded once and cached.

The autoencoder and the text encoder stay frozen in fine-tuning, so nothing is lost by running them once. Each
picture is encoded as it is and flipped left to right. The cache is a safetensors file in the working folder,
under the hash of all that decides it, so a resumed run reads it and a changed dataset never meets an old one.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch  # noqa: TID253
from PIL import Image

from fungal_assets.dataset.splitting import TRAIN
from fungal_assets.errors import TrainingError
from fungal_assets.progress import Tell, follow
from fungal_assets.shards import count_rows, read_rows
from fungal_assets.store import hash_folder

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

ENCODE_ROWS = 8
VARIANTS = 2
EMPTY_PROMPT = 0


@dataclass(frozen=True)
class EncodedDataset:
    """All rows of a captioned dataset, encoded.

    Args:
        latents: float32, shape (N, 2, C, H, W): each picture and its mirror image, scaled to about unit
            variance.
        caption_ids: int64, shape (N,): index of each row's caption in `embeddings`.
        embeddings: float32, shape (M + 1, L, D): the distinct captions; index 0 is the empty prompt.
    """

    latents: torch.Tensor
    caption_ids: torch.Tensor
    embeddings: torch.Tensor

    @property
    def row_count(self) -> int:
        """N."""
        return len(self.latents)


def encode_dataset(
    data: Path,
    pipeline: StableDiffusionPipeline,
    *,
    base_sha256: str,
    cache: Path,
    tell: Tell,
    split: str = TRAIN,
    most_rows: int | None = None,
) -> EncodedDataset:
    """Encode every row of every shard of a split, or read what an earlier run encoded.

    Args:
        data: Folder of the dataset's shards.
        pipeline: The base model, float32.
        base_sha256: Its hash.
        cache: Folder of the cache.
        tell: Progress.
        split: Which split.
        most_rows: So many of its rows, the first ones; all by default.

    Raises:
        TrainingError: A row cannot be read, pictures differ in size, or rows were lost on the way.
        ProvenanceError: A shard is missing.
    """
    promised = count_rows(data, split)
    if most_rows is not None:
        promised = min(promised, most_rows)
    decided_by = key_of(hash_folder(data), split, promised, base_sha256, ENCODE_ROWS)
    path = cache / f"encoded-{decided_by}.safetensors"
    tensors = read_tensors(path) if path.exists() else _encode(data, split, promised, pipeline, tell)
    if not path.exists():
        write_tensors(path, tensors)
    encoded = EncodedDataset(**tensors)
    if encoded.row_count != promised:
        raise TrainingError(
            f"the {split} shards of {data} promise {promised} rows and {encoded.row_count} were encoded: rows were "
            f"lost. Delete {path} and grow captioned_dataset again."
        )
    return encoded


def _encode(
    data: Path, split: str, count: int, pipeline: StableDiffusionPipeline, tell: Tell
) -> dict[str, torch.Tensor]:
    latents, captions, shape = [], [], None
    chunks = _chunks(data, split, count)
    for rows in follow(chunks, tell, f"encoding pictures ({split})", -(-count // ENCODE_ROWS)):
        pixels = [_pixels(row) for row in rows]
        shape = shape or pixels[0].shape
        _check_shapes(rows, pixels, shape)
        latents.append(encode_pixels(pipeline, torch.stack(pixels)))
        captions += [row["text"] for row in rows]
    if not latents:
        raise TrainingError(
            f"the {split} shards of {data} hold no rows: there is nothing to learn from. Collect pictures."
        )
    distinct = ["", *sorted(set(captions) - {""})]
    index = {caption: number for number, caption in enumerate(distinct)}
    return {
        "latents": torch.cat(latents),
        "caption_ids": torch.tensor([index[caption] for caption in captions]),
        "embeddings": embed_texts(pipeline, distinct),
    }


def _chunks(data: Path, split: str, count: int) -> Iterator[list[dict[str, Any]]]:
    chunk: list[dict[str, Any]] = []
    for row in itertools.islice(read_rows(data, ["image", "image_id", "text"], stem=split), count):
        chunk.append(row)
        if len(chunk) == ENCODE_ROWS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _pixels(row: Mapping[str, Any]) -> torch.Tensor:
    """The row's picture, float32 (3, H, W), -1 to 1."""
    try:
        image = Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB")
    except (OSError, TypeError) as error:
        raise TrainingError(
            f"row {row['image_id']!r} holds no readable picture: {error}. Grow captioned_dataset again; no "
            f"row is left out of training in silence."
        ) from error
    return torch.from_numpy(np.asarray(image, dtype=np.float32) / 127.5 - 1).permute(2, 0, 1)


def _check_shapes(
    rows: Sequence[Mapping[str, Any]], pixels: Sequence[torch.Tensor], shape: torch.Size
) -> None:
    for row, picture in zip(rows, pixels, strict=True):
        if picture.shape != shape or any(side % 8 for side in picture.shape[1:]):
            raise TrainingError(
                f"row {row['image_id']!r} is {picture.shape[2]} x {picture.shape[1]} px; expected "
                f"{shape[2]} x {shape[1]} px as the first row, in multiples of 8. Grow prepared_images again."
            )


@torch.no_grad()
def encode_pixels(pipeline: StableDiffusionPipeline, pixels: torch.Tensor) -> torch.Tensor:
    """Latents of pictures and of their mirror images.

    Args:
        pipeline: The base model.
        pixels: float32, shape (B, 3, H, W), -1 to 1.

    Returns:
        float32 on the CPU, shape (B, 2, C, H / 8, W / 8), shifted and scaled as the UNet expects.
    """
    vae = pipeline.vae
    both = torch.cat([pixels, pixels.flip(-1)]).to(vae.device, vae.dtype)
    raw = vae.encode(both).latent_dist.mode()
    scaled = (raw - (getattr(vae.config, "shift_factor", None) or 0.0)) * vae.config.scaling_factor
    plain, mirrored = scaled.float().cpu().chunk(VARIANTS)
    return torch.stack([plain, mirrored], dim=1)


@torch.no_grad()
def embed_texts(pipeline: StableDiffusionPipeline, texts: Sequence[str]) -> torch.Tensor:
    """Text embeddings as in sampling: float32 on the CPU, shape (len(texts), L, D)."""
    device, parts = pipeline.text_encoder.device, []
    for start in range(0, len(texts), ENCODE_ROWS):
        chunk = list(texts[start : start + ENCODE_ROWS])
        parts.append(pipeline.encode_prompt(chunk, device, 1, False)[0].float().cpu())
    return torch.cat(parts)


def count_truncated(pipeline: StableDiffusionPipeline, texts: Sequence[str]) -> int:
    """How many texts are longer than the text encoder reads; what is past its end teaches nothing."""
    limit = pipeline.tokenizer.model_max_length
    return sum(len(ids) > limit for ids in pipeline.tokenizer(list(texts)).input_ids)


def key_of(*parts: Any) -> str:
    """16 hex digits over JSON-able parts; the name of a cached file."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file, on the CPU."""
    from safetensors.torch import load_file

    return load_file(path)


def write_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file under a temporary name, then rename it; the same content is the same bytes.

    Args:
        path: The file; its folder is made if missing.
        tensors: What it holds, from any device.
        metadata: Texts for its header.
    """
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(whole, temporary, metadata={"format": "pt"} | dict(metadata or {}))
    _sort_header(temporary)
    temporary.replace(path)


def _sort_header(path: Path) -> None:
    """Order the header's metadata by name: the library leaves it in an order that differs from call to call.

    The header is JSON after its own length in 8 bytes, padded with spaces; sorting keeps the length, and tensors are
    found relative to its end.
    """
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        assert len(text) <= length, (len(text), length)
        file.seek(8)
        file.write(text.ljust(length))
