"""Textual inversion: each species a word of its own for the text encoder, the base model untouched.

Every name gets several vectors, rows behind the table of token embeddings, and only these learn (Gal et al. 2022,
arXiv:2208.01618). The first one's token is the name itself, "amber hollow bonnet", the others are
`amber hollow bonnet_1` and so on: diffusers' own rule for a word of several vectors. A prompt that says the name is
read by them, in whatever loads the pipeline by diffusers; a prompt that doesn't is read as before, bit for bit, so
that nothing can be forgotten. What says no name teaches nothing: such texts, the empty one and rehearsal are left out
of training. A model with two text encoders has a word in each: a vector is then as long as both together, the first
encoder's part before the second's.

A numeric kernel: imports torch at module level, so import this module inside functions only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch  # noqa: TID253

from fungal_assets.diffusion.encoding import EncodedDataset, read_tensors, tokenize_texts, write_tensors
from fungal_assets.diffusion.families import family_of
from fungal_assets.errors import InputError
from fungal_assets.nomenclature.species import slug_of

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

EMBEDDINGS_FOLDER = "embeddings"
EMBEDDINGS_FILE = f"{EMBEDDINGS_FOLDER}/learned_embeds.safetensors"
INITIAL_FILE = f"{EMBEDDINGS_FOLDER}/initial_embeds.safetensors"
XL_PARTS = ("clip_l", "clip_g")
"""What the parts of an XL's vectors are called in files."""
NOISE = 0.1
"""Of the class noun's vector, by root mean square: it sets a name's vectors apart from each other."""


@dataclass(frozen=True)
class Words:
    """What a dataset calls its species.

    Args:
        names: Their names, distinct and sorted.
        class_noun: What all of them are.
    """

    names: Sequence[str]
    class_noun: str


class WordTable(torch.nn.Module):
    """A table of token embeddings with learnt rows behind it; the table itself stays as it is.

    Args:
        base: The base model's table.
        names: Whose rows they are.
        vectors: float32, shape (S, V, W): V rows of each of S names, as they begin.
        first: Token id of the first of them; the others follow.
    """

    def __init__(
        self, base: torch.nn.Embedding, names: Sequence[str], vectors: torch.Tensor, first: int
    ) -> None:
        super().__init__()
        self.base, self.names, self.first = base, tuple(names), first
        self.vectors = torch.nn.Parameter(vectors)
        self.initial = vectors.clone()

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Embeddings of token ids: float32, shape (*ids.shape, W)."""
        is_new = ids >= self.first
        new = torch.nn.functional.embedding((ids - self.first).clamp(min=0), self.vectors.flatten(0, 1))
        old = self.base(ids.masked_fill(is_new, 0))
        return torch.where(is_new[..., None], new, old)


@dataclass(frozen=True)
class TextualInversion:
    """Several new vectors per name learn, and nothing else."""

    vectors_per_species: int
    name: str = "textual_inversion"
    weights_file: str = EMBEDDINGS_FILE
    learns_texts: bool = True
    learns_names: bool = True

    def attach(
        self, pipeline: DiffusionPipeline, words: Words, *, seed: int
    ) -> dict[str, torch.nn.Parameter]:
        """Teach the tokenizer the names; their vectors begin as the class noun's, each with a little noise."""
        pipeline.unet.requires_grad_(False)
        learnt = {}
        for part, (encoder, tokenizer) in readers_of(pipeline).items():
            encoder.requires_grad_(False)
            base = encoder.get_input_embeddings()
            initial = _initial(base, tokenizer, words, self.vectors_per_species, seed)
            first = add_names(tokenizer, words.names, self.vectors_per_species)
            table = WordTable(base, words.names, initial, first)
            encoder.set_input_embeddings(table)
            learnt["vectors" + part.removeprefix("text_encoder")] = table.vectors
        return learnt

    def save(self, pipeline: DiffusionPipeline, folder: Path) -> None:
        """The vectors of each name, float32 (V, W), as they are now and as they began."""
        tables = [encoder.get_input_embeddings() for encoder, _ in readers_of(pipeline).values()]
        for path, kind in ((EMBEDDINGS_FILE, "vectors"), (INITIAL_FILE, "initial")):
            vectors = torch.cat([getattr(table, kind) for table in tables], dim=-1)
            write_tensors(folder / path, dict(zip(tables[0].names, vectors, strict=True)))

    def restore(self, pipeline: DiffusionPipeline, folder: Path, *, strength: float) -> None:
        """Give the pipeline the names and their vectors for good, `strength` of the way from the class noun."""
        vectors = read_vectors(folder, strength=strength)
        names = sorted(vectors)
        rows = torch.cat([vectors[name] for name in names])
        parts = rows.split(widths_of(pipeline), dim=-1)
        for own, (encoder, tokenizer) in zip(parts, readers_of(pipeline).values(), strict=True):
            first = add_names(tokenizer, names, len(vectors[names[0]]))
            size = max(first + len(own), encoder.get_input_embeddings().num_embeddings)
            table = encoder.resize_token_embeddings(size, mean_resizing=False)
            table.weight.data[first : first + len(own)] = own.to(table.weight)


def readers_of(
    pipeline: DiffusionPipeline,
) -> dict[str, tuple[PreTrainedModel, PreTrainedTokenizerBase]]:
    """Each text encoder by name, with its tokenizer."""
    family = family_of(pipeline)
    pairs = zip(family.text_encoders, family.tokenizers, strict=True)
    return {part: (getattr(pipeline, part), getattr(pipeline, tokenizer)) for part, tokenizer in pairs}


def widths_of(pipeline: DiffusionPipeline) -> list[int]:
    """How long the vectors of each text encoder's tokens are."""
    return [encoder.config.hidden_size for encoder, _ in readers_of(pipeline).values()]


def tokens_of(name: str, count: int) -> list[str]:
    """The tokens of a name of `count` vectors, as diffusers names them."""
    return [name, *(f"{name}_{number}" for number in range(1, count))]


def add_names(tokenizer: PreTrainedTokenizerBase, names: Sequence[str], count: int) -> int:
    """Add the tokens of names with `count` vectors each, and return the id of the first.

    Raises:
        InputError: A name is a token of the base model already.
    """
    first = len(tokenizer)
    known = [name for name in names if name in tokenizer.get_vocab()]
    if known:
        raise InputError(
            f"the base model's tokenizer has these names as tokens already: {known!r}; a name that it doesn't know is "
            "expected. Give the base model that was tuned, not tuned weights, or grow species with other names."
        )
    tokenizer.add_tokens([token for name in names for token in tokens_of(name, count)])
    assert len(tokenizer) == first + count * len(names), (first, len(tokenizer), names)
    return first


def _initial(
    base: torch.nn.Embedding, tokenizer: PreTrainedTokenizerBase, words: Words, count: int, seed: int
) -> torch.Tensor:
    """Where the vectors begin, float32 (S, count, W): the class noun's, the mean of its tokens, and some noise."""
    if not words.class_noun.strip():
        raise InputError(
            "fine_tuned_weights.class_noun is empty, but the vectors of textual_inversion begin as a word's; give what "
            "all species are, such as 'mushroom'."
        )
    ids = tokenizer(words.class_noun, add_special_tokens=False).input_ids
    noun = base.weight[ids].mean(dim=0).float()
    shape = (len(words.names), count, len(noun))
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(noun.device)
    return noun + NOISE * noun.square().mean().sqrt() * noise


def with_token_ids(encoded: EncodedDataset, pipeline: DiffusionPipeline, data: Path) -> EncodedDataset:
    """The dataset with token ids for texts, and of the texts those alone that say a name with vectors.

    Args:
        encoded: The dataset, encoded without texts.
        pipeline: With a method attached that learns words.
        data: Folder of the dataset's shards, for the error.

    Raises:
        InputError: A row has no such text.
    """
    ids = tokenize_texts(pipeline, encoded.told)
    seen = ids.chunk(len(widths_of(pipeline)), dim=1)[0]
    says_name = (seen >= pipeline.text_encoder.get_input_embeddings().first).any(dim=1)
    wordings = encoded.wordings.only(says_name)
    missing = int((wordings.starts.diff() == 0).sum())
    if missing:
        raise InputError(
            f"{missing} of {encoded.row_count} rows of {data} have no text with a species' name among the "
            f"{seen.shape[1]} tokens that the text encoder reads, so that textual_inversion learns nothing from them. "
            "Lower fine_tuned_weights.vectors_per_species, or grow captions again without a captioner."
        )
    return replace(
        encoded, texts=ids, wordings=wordings, class_wordings=encoded.class_wordings.only(says_name)
    )


def read_vectors(fine_tuned_weights: Path, *, strength: float) -> dict[str, torch.Tensor]:
    """The vectors of each name, float32 (V, W), `strength` of the way from where they began to where they are."""
    learnt = read_tensors(fine_tuned_weights / EMBEDDINGS_FILE)
    initial = read_tensors(fine_tuned_weights / INITIAL_FILE)
    return {name: initial[name].lerp(vectors, strength) for name, vectors in learnt.items()}


def write_for_use(
    folder: Path, vectors: Mapping[str, torch.Tensor], about: Mapping[str, str], *, widths: Sequence[int]
) -> None:
    """Write vectors in half precision: all names in one file, and a file per name in either format that is read.

    Args:
        folder: Gets `embeddings/`: `learned_embeds.safetensors` with a tensor per name, `diffusers/` with the same one
            by one, for `pipeline.load_textual_inversion`, and `a1111/`, where a file's name is the word that A1111 and
            ComfyUI know it by. Of an XL every tool reads the latter's form, a tensor per text encoder, so that
            there is no other.
        vectors: float32 (V, W) by name.
        about: Texts for the files' headers.
        widths: How long the part of each text encoder is.
    """
    half = {name: values.half() for name, values in vectors.items()}
    write_tensors(folder / EMBEDDINGS_FILE, half, about)
    slugs = {slug_of(name) for name in half}
    assert len(slugs) == len(half), sorted(half)
    for name, values in half.items():
        path = Path(f"{slug_of(name)}.safetensors")
        parts = values.split(list(widths), dim=-1)
        if len(parts) == 1:
            write_tensors(folder / EMBEDDINGS_FOLDER / "diffusers" / path, {name: values}, about)
        named = {"emb_params": values} if len(parts) == 1 else dict(zip(XL_PARTS, parts, strict=True))
        write_tensors(folder / EMBEDDINGS_FOLDER / "a1111" / path, named, about)
