"""The dataset's card, `README.md`.

The card opens with the YAML that the Hugging Face hub and `datasets` read; its `configs` point at the
Parquet shards alone, so that `load_dataset(folder)` leaves the imagefolder aside. Belongs here: the text of the card.
What it tells is counted in `contents`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from fungal_assets.dataset.attribution import CHANGES
from fungal_assets.dataset.attribution import NAME as ATTRIBUTION
from fungal_assets.dataset.contents import DATA, CaptionStatistics, Contents
from fungal_assets.dataset.splitting import LEAST_TRAINING, TEST
from fungal_assets.errors import ProvenanceError
from fungal_assets.store import Record, output_name

NAME, SHEET = "README.md", "samples.webp"
FOLDER_IN_CARD = "path/of/this/folder"
"""Stands in the card's example for the place of the dataset; a publication puts its own there."""
_SIZE_CATEGORIES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_HUB_LICENCES = {
    "CC0-1.0": "cc0-1.0",
    "CC-BY-2.0": "cc-by-2.0",
    "CC-BY-3.0": "cc-by-3.0",
    "CC-BY-4.0": "cc-by-4.0",
    "CC-BY-SA-3.0": "cc-by-sa-3.0",
    "CC-BY-SA-4.0": "cc-by-sa-4.0",
    "Apache-2.0": "apache-2.0",
    "MIT": "mit",
}
_PUBLIC = re.compile(r"(hf|inaturalist|gbif):")
_LOCAL = "(local)"


def write_card(path: Path, contents: Contents) -> None:
    """Write the card."""
    path.write_text(f"---\n{_front_matter(contents)}---\n{_body(contents)}", encoding="utf-8")


def read_front_matter(path: Path) -> dict[str, Any]:
    """What a card tells machines.

    Raises:
        ProvenanceError: It opens with no YAML.
    """
    parts = path.read_text(encoding="utf-8").split("---\n", 2)
    if len(parts) != 3 or parts[0]:
        raise ProvenanceError(f"{path} opens with no YAML between two lines of ---. Grow the dataset again.")
    found: dict[str, Any] = yaml.safe_load(parts[1])
    return found


def _front_matter(contents: Contents) -> str:
    """YAML that the hub and `datasets` read."""
    known = {_HUB_LICENCES.get(licence, "other") for licence in contents.licences}
    licence = known.pop() if len(known) == 1 else "other"
    told = {
        "pretty_name": "Fungal assets",
        "license": licence,
        **(
            {"license_name": "see-attribution-csv", "license_link": ATTRIBUTION} if licence == "other" else {}
        ),
        "language": ["en"],
        "task_categories": ["text-to-image", "image-classification"],
        "annotations_creators": ["machine-generated"],
        "size_categories": [_size_category(contents.row_count)],
        "tags": ["fungi", "art", "diffusers"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": split, "path": f"{DATA}/{split}-*.parquet"} for split in contents.rows
                ],
            }
        ],
        "dataset_info": {
            "features": [{"name": field.name, **_feature(field.type)} for field in contents.schema],
            "splits": [{"name": split, "num_examples": count} for split, count in contents.rows.items()],
        },
    }
    return yaml.safe_dump(told, sort_keys=False)


def _feature(kind: pa.DataType) -> dict[str, str]:
    """How the hub's cards name a column's type."""
    if pa.types.is_struct(kind):
        return {"dtype": "image"}
    return {"list": str(kind.value_type)} if pa.types.is_list(kind) else {"dtype": str(kind)}


def _size_category(rows: int) -> str:
    return next((name for limit, name in _SIZE_CATEGORIES if rows < limit), "n>1M")


def _body(contents: Contents) -> str:
    parts = (_opening, _species, _captions, _split, _use, _licences, _making)
    return "\n".join(line for part in parts for line in ("", *part(contents))) + "\n"


def _table(heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """A table; whatever would end a cell or a line is taken out."""
    heads = list(heads)
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for row in rows:
        yield "| " + " | ".join(" ".join(str(cell).replace("|", "\\|").split()) for cell in row) + " |"


def _opening(contents: Contents) -> Iterator[str]:
    shards = sum(contents.shards.values())
    yield "# Fungal assets"
    yield ""
    yield (
        f"{contents.pictures} with captions, in {shards} Parquet "
        "shards. The species are invented: each is a cluster of pictures that look alike, and its names are no real "
        "ones."
    )
    yield ""
    yield f"![{len(contents.samples)} of the pictures]({SHEET})"
    yield ""
    yield "```python"
    yield "from datasets import load_dataset"
    yield f'dataset = load_dataset("{FOLDER_IN_CARD}", split="train")'
    yield "```"


def _species(contents: Contents) -> Iterator[str]:
    rows = (
        (
            one.common_name,
            f"*{one.scientific_name}*",
            *(found.get(one.species_id, 0) for found in contents.per_species.values()),
        )
        for one in contents.species
    )
    yield "## Species"
    yield ""
    yield from _table(("species", "binomial", *contents.rows), rows)


def _captions(contents: Contents) -> Iterator[str]:
    found, rows = contents.captions, contents.row_count
    yield "## Captions"
    yield ""
    yield (
        "Written by a program: the name of the species and what was measured in the picture (colours, habitat, "
        "closeness, count, view, light). A guess that was not sure is left out, and some that are told are wrong. "
        "`text` is the fullest caption, `texts` are several wordings of it, it among them, and `class_texts` say the "
        "same without the name."
    )
    yield ""
    yield from (f"- {caption}" for caption in contents.samples.values())
    yield ""
    spreads = (
        ("words of a caption", *(f"{number:g}" for number in found.words)),
        ("characters of a caption", *(f"{number:g}" for number in found.characters)),
    )
    yield from _table(("", "fewest", "median", "most"), spreads)
    yield ""
    yield f"{found.distinct} of {rows} captions are different; they use {found.vocabulary} different words."
    yield ""
    shares = ((name.replace("_", " "), count, _share(count, rows)) for name, count in found.told.items())
    yield from _table(("measured", "pictures", "share"), shares)
    yield ""
    yield f"Habitats: {_listed(found.habitats)}."
    yield from _not_measured(found, rows)


def _not_measured(found: CaptionStatistics, rows: int) -> Iterator[str]:
    """Of how many pictures something is said that another told: their source, or a captioner."""
    if count := found.habitats_told:
        yield ""
        yield (
            f"The habitat of {count} pictures (share {_share(count, rows)}) was not measured: their source told it."
        )
    if count := found.described:
        yield ""
        yield (
            f"One wording of {count} pictures (share {_share(count, rows)}) was written by a model that captions "
            "pictures, and held against the picture by nobody."
        )


def _share(count: int, total: int) -> str:
    return f"{count / max(1, total):.2f}"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"


def _split(contents: Contents) -> Iterator[str]:
    yield "## Split"
    yield ""
    rows = ((name, count, contents.shards[name]) for name, count in contents.rows.items())
    yield from _table(("split", "pictures", "shards"), rows)
    yield ""
    if TEST not in contents.rows:
        yield "Nothing is held out."
        return
    yield (
        f"`{TEST}` is held out of training: about {contents.held_out_share:g} of the pictures. Pictures that are near "
        "duplicates of one another are all on one side. Which group is held out is drawn by its hash, so that new "
        f"pictures move no others but their own duplicates; a species keeps at least {LEAST_TRAINING} pictures for "
        "training."
    )


def _use(contents: Contents) -> Iterator[str]:
    yield "## What it is for, and what not"
    yield ""
    yield (
        "To teach a text-to-image model new names for things that it half knows, and to measure how well it learnt "
        "them. It is no field guide: names are invented, species are clusters, and nothing here says what may be "
        "eaten. Clusters, names and captions were made by programs and looked at by nobody. Fungi that are "
        "photographed often are here often."
    )


def _licences(contents: Contents) -> Iterator[str]:
    yield "## Licences and attribution"
    yield ""
    yield (
        f"Every picture keeps its own licence. `{ATTRIBUTION}` names creator, licence and origin of each and what "
        f"was changed ({CHANGES}). Creators named: {contents.creators}."
    )
    yield ""
    credits = sorted(contents.credits.items())
    rows = ((source, licence, count) for (source, licence), count in credits)
    yield from _table(("source", "licence", "pictures"), rows)


def _making(contents: Contents) -> Iterator[str]:
    if not contents.records:
        return
    yield "## How it was made"
    yield ""
    yield (
        "By the assets below of `fungal_assets`, each named by the hash of its files. The same inputs, settings and "
        "code make the same bytes. Settings that name a place on the maker's machine are left out."
    )
    yield ""
    yield from _table(("asset", "hash", "code", "made from", "settings"), map(_record_row, contents.records))


def _record_row(record: Record) -> tuple[str, ...]:
    made_from = ", ".join(f"{name} {content[:12]}" for name, content in sorted(record.inputs.items()))
    settings = ", ".join(f"{name}={_public(value)}" for name, value in sorted(record.config.items()))
    return (
        output_name(record.asset, record.partition),
        f"`{record.content_hash[:12]}`",
        f"{record.code_version} ({record.package_version})",
        made_from or "what lies outside",
        settings or "none",
    )


def _public(value: Any) -> str:
    """A setting as it may be published: no path of the maker's machine."""
    text = str(value)
    is_place = isinstance(value, str) and re.search(r"[/\\~]", text) and not _PUBLIC.match(text)
    return _LOCAL if is_place else text
