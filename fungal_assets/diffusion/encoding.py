"""The captioned dataset as the model sees it: latents and text embeddings, encoded once and cached.

The autoencoder and the text encoder stay frozen in fine-tuning, so nothing is lost by running them once. Each
picture is encoded as it is and flipped left to right, and in crops if some are asked for; each distinct text once,
however many rows it is said of. The
cache lies in the working folder under the hash of all that decides it, so a resumed run reads it and a changed dataset
never meets an old one. Texts are several times as many as pictures and their embeddings larger than latents (236 kB
each for Stable Diffusion 1.5), so these go to their file as they are made, and are read from there as they are drawn.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import math
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch  # noqa: TID253
from PIL import Image

from fungal_assets.dataset.splitting import TRAIN
from fungal_assets.diffusion.families import family_of
from fungal_assets.errors import TrainingError
from fungal_assets.profiles import RESOLUTIONS
from fungal_assets.progress import Tell, follow
from fungal_assets.shards import count_rows_by_shard, read_rows, read_shard, shard_paths
from fungal_assets.store import hash_folder

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

CACHE_NAME = ".cache"
"""Where in an output in the making lies what is worked out once; the store keeps no hidden names."""
ENCODE_ROWS = 8
COUNT_TEXTS = 256
"""So many texts are tokenised at once only to be counted: a text takes some kilobytes as tokens."""
LEAST_CROP = 0.85
"""Least share of a picture's sides in a crop: enough that a caption stays true of it."""
EMPTY_PROMPT = 0
PX_PER_LATENT = 8
ALIKE_IN_AREA = 0.1
"""Pictures of a dataset may differ by this share in their number of pixels, so that one costs what another does."""


@dataclass(frozen=True)
class Choices:
    """The texts that each row may come with; those of row r are `ids[starts[r] : starts[r + 1]]`.

    Args:
        ids: int64, shape (T,): indices in `EncodedDataset.texts`.
        starts: int64, shape (N + 1,).
    """

    ids: torch.Tensor
    starts: torch.Tensor

    def counts(self, rows: torch.Tensor) -> torch.Tensor:
        """How many texts rows have, int64 (B,)."""
        return self.starts[rows + 1] - self.starts[rows]

    def pick(self, rows: torch.Tensor, chances: torch.Tensor) -> torch.Tensor:
        """One text of each row, each equally likely.

        Args:
            rows: int64, shape (B,), of rows that have a text.
            chances: float32, shape (B,), uniform, 0 to below 1.

        Returns:
            int64, shape (B,): indices in `EncodedDataset.texts`.
        """
        counts = self.counts(rows)
        return self.ids[self.starts[rows] + torch.minimum((chances * counts).long(), counts - 1)]

    def only(self, is_wanted: torch.Tensor) -> Choices:
        """The same without the texts that are not wanted, bool (M + 1,); a row may be left with none."""
        kept = is_wanted[self.ids]
        rows = torch.arange(len(self.starts) - 1).repeat_interleave(self.starts.diff())[kept]
        counts = torch.bincount(rows, minlength=len(self.starts) - 1)
        return Choices(self.ids[kept], torch.cat([counts.new_zeros(1), counts.cumsum(0)]))


_LISTS = ("wordings", "class_wordings", "name_wordings")


@dataclass(frozen=True)
class EncodedDataset:
    """All rows of a captioned dataset, encoded.

    Args:
        latents: float32, shape (N, V, C, H, W), or see `sizes`: each picture and its mirror image, then each of its
            crops and that one's mirror image, scaled to about unit variance.
        wordings: Each row's wordings, its caption first.
        class_wordings: Each row's wordings without the name of the species; may be none.
        name_wordings: Each row's name of the species alone; none where the dataset says none.
        told: The M + 1 distinct texts, sorted; index 0 is the empty prompt.
        texts: float32, shape (M + 1, L, D): their embeddings, mapped from their file; or int64, shape (M + 1, T): their
            token ids, where a method learns what texts mean, so that they are encoded within the step.
        rows_by_shard: How many rows were encoded of each shard, by its name, in the order in which they stand here.
        sizes: int64, shape (N, 2): height and width of each row's latents, where these differ or are no squares;
            `latents` is then (N, V, C, 1, L), each one's H W numbers in a line, filled up with zeros. None where all
            are squares of one size.
    """

    latents: torch.Tensor
    wordings: Choices
    class_wordings: Choices
    name_wordings: Choices
    told: Sequence[str]
    texts: torch.Tensor
    rows_by_shard: Mapping[str, int] = field(default_factory=dict)
    sizes: torch.Tensor | None = None

    @property
    def row_count(self) -> int:
        """N."""
        return len(self.latents)

    @property
    def resolution_px(self) -> int:
        """Side of the squares; where shapes differ, of squares of about as many pixels."""
        if self.sizes is None:
            return self.latents.shape[-1] * PX_PER_LATENT
        return nearest_resolution(int(self.sizes.prod(dim=1).max()) * PX_PER_LATENT**2)

    def rows_by_shape(self) -> dict[str, int]:
        """How many rows there are of each shape, as width x height in pixels; empty where all are squares."""
        if self.sizes is None:
            return {}
        counts = Counter(map(tuple, (self.sizes * PX_PER_LATENT).tolist()))
        return {f"{width}x{height}": count for (height, width), count in sorted(counts.items())}


def nearest_resolution(pixels: int) -> int:
    """Side of the partition whose squares have about as many pixels."""
    return min(map(int, RESOLUTIONS), key=lambda known: abs(math.log(known / pixels**0.5)))


def encode_dataset(
    data: Path,
    pipeline: DiffusionPipeline,
    *,
    base_sha256: str,
    cache: Path,
    tell: Tell,
    split: str = TRAIN,
    most_rows: int | None = None,
    has_embeddings: bool = True,
    crops: int = 0,
    data_sha256: str = "",
    size_px: int | None = None,
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
        has_embeddings: Whether texts are encoded too; without, `texts` is empty.
        crops: How many crops of each picture are encoded beside it.
        data_sha256: Hash of the folder, where it is known already.
        size_px: Side that pictures are brought to, crops of the whole ones as well; without one they stay as they are.

    Raises:
        TrainingError: A row cannot be read, pictures differ in size, rows were lost, or the disk has no room.
        ProvenanceError: A shard is missing or damaged.
    """
    expected = _first_rows(count_rows_by_shard(data, split), most_rows)
    promised = sum(expected.values())
    key = key_of(
        data_sha256 or hash_folder(data),
        split,
        promised,
        base_sha256,
        ENCODE_ROWS,
        crops,
        list(expected),
        _LISTS,
        size_px,
    )
    path, embeddings = cache / f"encoded-{key}.safetensors", cache / f"embeddings-{key}.npy"
    told = _distinct_texts(data, split, promised)
    if not path.exists():
        write_tensors(path, _encode(data, split, promised, crops, size_px, told, pipeline, tell))
    if has_embeddings and not embeddings.exists():
        write_embeddings(embeddings, pipeline, told, tell)
    encoded = _read(
        path, told, read_embeddings(embeddings) if has_embeddings else torch.empty(0), list(expected)
    )
    if encoded.rows_by_shard != expected or encoded.row_count != promised:
        read = encoded.rows_by_shard
        lost = [f"{name} {read[name]} of {rows}" for name, rows in expected.items() if read[name] != rows]
        raise TrainingError(
            f"the {split} shards of {data} promise {promised} rows and {encoded.row_count} were encoded: rows were "
            f"lost ({', '.join(lost)}). Delete {path} and grow captioned_dataset again."
        )
    return encoded


def _first_rows(rows_by_shard: Mapping[str, int], most: int | None) -> dict[str, int]:
    """How many of each shard's rows are among the first `most` of all."""
    left, taken = most if most is not None else sum(rows_by_shard.values()), {}
    for name, rows in rows_by_shard.items():
        taken[name] = min(rows, left)
        left -= taken[name]
    return taken


def _distinct_texts(data: Path, split: str, count: int) -> list[str]:
    """The texts of a split's first rows, each once, sorted, behind the empty prompt."""
    rows = itertools.islice(read_rows(data, ["text", "texts", "class_texts", "species"], stem=split), count)
    every = {text for row in rows for texts in _texts(row).values() for text in texts}
    return ["", *sorted(every - {""})]


def _texts(row: Mapping[str, Any]) -> dict[str, list[str]]:
    """A row's texts by the field of `EncodedDataset`; a dataset of before has one caption alone."""
    return {
        "wordings": row.get("texts") or [row["text"]],
        "class_wordings": row.get("class_texts") or [],
        "name_wordings": [row["species"]] if row.get("species") else [],
    }


def _encode(
    data: Path,
    split: str,
    count: int,
    crops: int,
    size_px: int | None,
    told: Sequence[str],
    pipeline: DiffusionPipeline,
    tell: Tell,
) -> dict[str, torch.Tensor]:
    """What the cache keeps but for the embeddings."""
    latents: list[torch.Tensor] = []
    first: torch.Size | None = None
    read: Counter[str] = Counter()
    said: dict[str, list[list[str]]] = {name: [] for name in _LISTS}
    chunks = _chunks(data, split, count)
    for rows in follow(chunks, tell, f"encoding pictures ({split})", -(-count // ENCODE_ROWS)):
        pixels = [_pixels(row) for row in rows]
        first = first or pixels[0].shape
        _check_shapes(rows, pixels, first)
        views = [
            [crop(picture, row["image_id"], number) for picture, row in zip(pixels, rows, strict=True)]
            for number in range(crops)
        ]
        sized = [[bring_to_side(picture, size_px) for picture in view] for view in (pixels, *views)]
        latents += _encode_views(pipeline, sized)
        read.update(row["shard"] for row in rows)
        for name, lists in said.items():
            lists += [_texts(row)[name] for row in rows]
    if not latents:
        raise TrainingError(
            f"the {split} shards of {data} hold no rows: there is nothing to learn from. Collect pictures."
        )
    index = {text: number for number, text in enumerate(told)}
    tensors = lay_together(latents)
    tensors["shard_rows"] = torch.tensor([read[path.name] for path in shard_paths(data, split)])
    for name, lists in said.items():
        tensors[f"{name}.ids"] = torch.tensor([index[text] for texts in lists for text in texts]).long()
        tensors[f"{name}.starts"] = torch.tensor([0, *map(len, lists)]).cumsum(0)
    return tensors


def _encode_views(pipeline: DiffusionPipeline, views: Sequence[Sequence[torch.Tensor]]) -> list[torch.Tensor]:
    """Latents of the same pictures in several views, each picture's (V, C, H, W); those of one shape at once."""
    rows_of: dict[torch.Size, list[int]] = {}
    for row, picture in enumerate(views[0]):
        rows_of.setdefault(picture.shape, []).append(row)
    found: dict[int, torch.Tensor] = {}
    for rows in rows_of.values():
        stacks = [torch.stack([view[row] for row in rows]) for view in views]
        found |= zip(
            rows, torch.cat([encode_pixels(pipeline, stack) for stack in stacks], dim=1), strict=True
        )
    return [found[row] for row in range(len(found))]


def lay_together(latents: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    """`latents` of `EncodedDataset` and, where there are any, `sizes`, of each row's latents, (V, C, H, W)."""
    height, width = latents[0].shape[-2:]
    if height == width and len({each.shape for each in latents}) == 1:
        return {"latents": torch.stack(list(latents))}
    sizes = torch.tensor([each.shape[-2:] for each in latents])
    length = int(sizes.prod(dim=1).max())
    return {"latents": torch.stack([flatten(each, length) for each in latents]), "sizes": sizes}


def flatten(latents: torch.Tensor, length: int) -> torch.Tensor:
    """Latents, (..., H, W), in a line filled up with zeros, (..., 1, L)."""
    line = latents.flatten(-2)
    return torch.nn.functional.pad(line, (0, length - line.shape[-1])).unsqueeze(-2)


def _read(path: Path, told: Sequence[str], texts: torch.Tensor, shards: Sequence[str]) -> EncodedDataset:
    tensors = read_tensors(path)
    rows_by_shard = dict(zip(shards, tensors["shard_rows"].tolist(), strict=True))
    choices = {name: Choices(tensors[f"{name}.ids"], tensors[f"{name}.starts"]) for name in _LISTS}
    return EncodedDataset(
        tensors["latents"],
        **choices,
        told=told,
        texts=texts,
        rows_by_shard=rows_by_shard,
        sizes=tensors.get("sizes"),
    )


def _chunks(data: Path, split: str, count: int) -> Iterator[list[dict[str, Any]]]:
    chunk: list[dict[str, Any]] = []
    columns = ["image", "image_id", "text", "texts", "class_texts", "species"]
    for row in itertools.islice(_rows_with_shard(data, columns, split), count):
        chunk.append(row)
        if len(chunk) == ENCODE_ROWS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _rows_with_shard(data: Path, columns: Sequence[str], split: str) -> Iterator[dict[str, Any]]:
    """The rows of a split, each with the name of the shard that it was read from."""
    for path in shard_paths(data, split):
        for row in read_shard(path, columns):
            yield row | {"shard": path.name}


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
    rows: Sequence[Mapping[str, Any]], pixels: Sequence[torch.Tensor], first: torch.Size
) -> None:
    for row, picture in zip(rows, pixels, strict=True):
        is_alike = abs(picture.numel() / first.numel() - 1) <= ALIKE_IN_AREA
        if not is_alike or any(side % PX_PER_LATENT for side in picture.shape[1:]):
            raise TrainingError(
                f"row {row['image_id']!r} is {picture.shape[2]} x {picture.shape[1]} px; expected {first[2]} x "
                f"{first[1]} px as the first row or another shape of about as many pixels, in multiples of "
                f"{PX_PER_LATENT}. Grow prepared_images again."
            )


def crop(picture: torch.Tensor, image_id: str, number: int) -> torch.Tensor:
    """The `number`-th crop of a picture, decided by its id alone: at least `LEAST_CROP` of its sides, enlarged to them.

    Args:
        picture: float32, shape (3, H, W), -1 to 1.
        image_id: Its id.
        number: Which crop.

    Returns:
        float32, shape (3, H, W), -1 to 1.
    """
    size = picture.shape[1:]
    generator = torch.Generator().manual_seed(int(key_of("crop", image_id, number), 16) >> 1)
    share, *places = torch.rand(3, generator=generator).tolist()
    sides = [round(side * (LEAST_CROP + (1 - LEAST_CROP) * share)) for side in size]
    top, left = (int(place * (side - cut + 1)) for place, side, cut in zip(places, size, sides, strict=True))
    part = picture[None, :, top : top + sides[0], left : left + sides[1]]
    whole = torch.nn.functional.interpolate(part, size, mode="bicubic", antialias=True)[0]
    return whole.clamp(-1, 1)


def bring_to_side(picture: torch.Tensor, size_px: int | None) -> torch.Tensor:
    """A picture brought to the resolution of a side; as it is where it has it, or where none is given.

    Args:
        picture: float32, shape (3, H, W), -1 to 1.
        size_px: Side of the squares of that resolution; of another shape there are about as many pixels.
    """
    height, width = picture.shape[-2:]
    own_px = height if height == width else nearest_resolution(height * width)
    if size_px in (None, own_px):
        return picture
    sides = [round(side * size_px / own_px / PX_PER_LATENT) * PX_PER_LATENT for side in (height, width)]
    whole = torch.nn.functional.interpolate(picture[None], sides, mode="bicubic", antialias=True)[0]
    return whole.clamp(-1, 1)


@torch.no_grad()
def encode_pixels(pipeline: DiffusionPipeline, pixels: torch.Tensor) -> torch.Tensor:
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
    plain, mirrored = scaled.float().cpu().chunk(2)
    return torch.stack([plain, mirrored], dim=1)


@torch.no_grad()
def embed_texts(pipeline: DiffusionPipeline, texts: Sequence[str]) -> torch.Tensor:
    """Text embeddings as in sampling: float32 on the CPU, shape (len(texts), L, D)."""
    family, starts = family_of(pipeline), range(0, len(texts), ENCODE_ROWS)
    return torch.cat(
        [family.embed(pipeline, texts[start : start + ENCODE_ROWS]).float().cpu() for start in starts]
    )


def tokenize_texts(pipeline: DiffusionPipeline, texts: Sequence[str]) -> torch.Tensor:
    """Token ids as in sampling, words of several vectors included: int64 on the CPU, shape (len(texts), T)."""
    return family_of(pipeline).tokenize(pipeline, texts)


def encode_tokens(pipeline: DiffusionPipeline, ids: torch.Tensor) -> torch.Tensor:
    """What `embed_texts` says of texts with these token ids, int64 (B, T), with gradients: float32, shape (B, L, D)."""
    return family_of(pipeline).encode(pipeline, ids)


def write_embeddings(path: Path, pipeline: DiffusionPipeline, texts: Sequence[str], tell: Tell) -> None:
    """Write the embeddings of texts as NumPy's `.npy`, a few at a time, so that memory holds no more of them.

    Raises:
        TrainingError: The disk has no room for them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    starts = range(0, len(texts), ENCODE_ROWS)
    shape = (len(texts), *embed_texts(pipeline, texts[:1]).shape[1:])
    _refuse_full_disk(path.parent, shape)
    # Written, not mapped: where others fill the disk meanwhile, a write raises and a mapping kills the process.
    with temporary.open("wb") as file:
        header = {"descr": np.dtype(np.float32).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for start in follow(starts, tell, "encoding texts", len(starts)):
            file.write(embed_texts(pipeline, texts[start : start + ENCODE_ROWS]).numpy().tobytes())
    temporary.replace(path)


def _refuse_full_disk(folder: Path, shape: Sequence[int]) -> None:
    """Raise where embeddings of that shape, float32, are more than is free."""
    needed, free = 4 * math.prod(shape), shutil.disk_usage(folder).free
    if needed > free:
        raise TrainingError(
            f"the embeddings of {shape[0]} texts need {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free at "
            f"{folder}. Free some, or lower captions.wordings and captions.class_wordings and grow captions again."
        )


def read_embeddings(path: Path) -> torch.Tensor:
    """The tensor of such a file, float32, mapped: what is drawn from it is read, and nothing is written back."""
    return torch.from_numpy(np.load(path, mmap_mode="c"))


def count_truncated(pipeline: DiffusionPipeline, texts: Sequence[str]) -> int:
    """How many texts are longer than the text encoder reads; what is past its end teaches nothing."""
    tokenizer = pipeline.tokenizer
    chunks = (list(texts[start : start + COUNT_TEXTS]) for start in range(0, len(texts), COUNT_TEXTS))
    # Only pipelines that can learn words have it, and longer texts for such in their place.
    convert = getattr(pipeline, "maybe_convert_prompt", lambda chunk, _: chunk)
    converted = (convert(chunk, tokenizer) for chunk in chunks)
    return sum(
        len(ids) > tokenizer.model_max_length for chunk in converted for ids in tokenizer(chunk).input_ids
    )


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
