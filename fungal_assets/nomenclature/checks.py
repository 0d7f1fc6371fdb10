"""Verdicts about the outputs of nomenclature: lexicon, species, captions and prompts.

Each check reads a complete output and says one thing. Belongs here: findings. Nothing is made or mended.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from fungal_assets.nomenclature.lexicon import read_lexicon
from fungal_assets.nomenclature.prompts import ARTISTS_CONTROLS
from fungal_assets.nomenclature.species import RealNames, read_species
from fungal_assets.nomenclature.tables import PARTS, stopwords
from fungal_assets.nomenclature.wordings import LEAST_ATTRIBUTES
from fungal_assets.shards import count_rows, read_table
from fungal_assets.verdicts import Verdict

LEAST_NAMES = 600
LEAST_WORDS_PER_PART = 10
_SHOWN = 5


def check_lexicon_is_rich(name_lexicon: Path) -> Verdict:
    """The lexicon has enough real names, and enough words of every part."""
    lexicon = read_lexicon(name_lexicon)
    counts = {part: len(lexicon.of_part(part)) for part in PARTS}
    poor = [f"{part} {count}" for part, count in counts.items() if count < LEAST_WORDS_PER_PART]
    is_rich = len(lexicon.names) >= LEAST_NAMES and not poor
    found = f"{len(lexicon.names)} names and {len(lexicon.words)} words; too few of {poor or 'no part'}"
    wanted = f"at least {LEAST_NAMES} names and {LEAST_WORDS_PER_PART} words per part were expected"
    return Verdict(is_rich, f"{found}; {wanted}.", {"names": len(lexicon.names), **counts})


def check_lexicon_is_clean(name_lexicon: Path) -> Verdict:
    """No stopword and no unknown part among the words, no name twice."""
    lexicon = read_lexicon(name_lexicon)
    stopped = [word for word in lexicon.words if word in stopwords()]
    unknown = [word.word for word in lexicon.words.values() if word.part not in PARTS]
    names = [name.scientific_name for name in lexicon.names]
    faults = [f"stopword {word!r}" for word in stopped] + [f"no known part: {word!r}" for word in unknown]
    faults += [f"twice: {name!r}" for name in sorted({name for name in names if names.count(name) > 1})]
    return _verdict(faults, f"{len(lexicon.words)} words, none a stopword, and {len(names)} names, each once")


def check_species_are_new(species: Path, name_lexicon: Path) -> Verdict:
    """No common name is a real one or within two edits of one, and no genus is one of a real fungus or near one."""
    lexicon, kinds = read_lexicon(name_lexicon), read_species(species)
    real = RealNames.of(lexicon)
    pairs = [(one.common_name, real.common.nearest(one.common_name)) for one in kinds]
    faults = [f"{name!r} is too near to the real {real!r}" for name, real in pairs if real]
    faults += [
        f"the genus of {one.scientific_name!r} is a real one or too near to one"
        for one in kinds
        if not real.genera.is_new(one.scientific_name.split()[0])
    ]
    finding = f"{len(kinds)} species, their names new among {len(lexicon.names)} real ones and"
    return _verdict(faults, f"{finding} their genera among {len(real.genera)}")


def check_species_are_distinct(species: Path, clusters: Path) -> Verdict:
    """Every cluster has one species, and no name is given twice."""
    kinds = read_species(species)
    wanted = {one["cluster_id"] for one in json.loads((clusters / "clusters.json").read_text())["clusters"]}
    given = [one.cluster_id for one in kinds]
    faults = [f"cluster {one} has no species" for one in sorted(wanted - set(given))]
    faults += [
        f"cluster {one} has {given.count(one)} species" for one in sorted(set(given)) if given.count(one) > 1
    ]
    faults += [f"species of an unknown cluster {one}" for one in sorted(set(given) - wanted)]
    for field in ("common_name", "scientific_name", "slug"):
        values = [getattr(one, field) for one in kinds]
        faults += [
            f"{field} {value!r} is given twice" for value in sorted(set(values)) if values.count(value) > 1
        ]
    return _verdict(faults, f"{len(kinds)} species with distinct names for {len(wanted)} clusters")


def check_captions_are_complete(captions: Path, raw_images: Path) -> Verdict:
    """Every specimen has one caption."""
    ids = [row["image_id"] for row in read_table(captions / "captions.parquet")]
    expected = count_rows(raw_images)
    has_all = len(ids) == expected == len(set(ids))
    finding = f"{len(ids)} captions of {len(set(ids))} images; {expected} specimens were admitted"
    return Verdict(has_all, f"{finding}.", {"captions": len(ids), "specimens": expected})


def check_captions_say_enough(captions: Path, species: Path) -> Verdict:
    """Every caption names its species and at least two attributes."""
    names = {one.species_id: one.common_name for one in read_species(species)}
    rows = read_table(captions / "captions.parquet")
    faults = []
    for row in rows:
        opening, *attributes = row["caption"].split(", ")
        name = names.get(row["species_id"])
        if name is None or f" {name}" not in opening:
            faults.append(f"{row['image_id']} does not name its species: {row['caption']!r}")
        elif len(attributes) < LEAST_ATTRIBUTES:
            faults.append(f"{row['image_id']} says {len(attributes)} attributes: {row['caption']!r}")
    return _verdict(
        faults, f"{len(rows)} captions name their species and at least {LEAST_ATTRIBUTES} attributes"
    )


def check_wordings(captions: Path, species: Path, *, wordings: int, class_wordings: int) -> Verdict:
    """Every image has so many distinct wordings, the caption first and each with the name, and so many without it.

    Args:
        captions: A `captions` output.
        species: The `species` output that names them.
        wordings: How many wordings each has, by its settings.
        class_wordings: How many of them without the name.
    """
    names = {one.species_id: one.common_name for one in read_species(species)}
    rows = read_table(captions / "captions.parquet")
    faults = []
    for row in rows:
        named, nameless = row["wordings"], row["class_wordings"]
        name = names.get(row["species_id"], "?")
        if (len(named), len(nameless)) != (wordings, class_wordings):
            faults.append(f"{row['image_id']} has {len(named)} wordings and {len(nameless)} of its class")
        faults += [f"{row['image_id']} says twice: {text!r}" for text in _repeated([*named, *nameless])]
        if named[:1] != [row["caption"]]:
            faults.append(f"{row['image_id']} has a caption that is not its first wording")
        faults += [f"{row['image_id']} does not say {name!r}: {text!r}" for text in named if name not in text]
        faults += [f"{row['image_id']} says {name!r}: {text!r}" for text in nameless if name in text]
    praise = f"{len(rows)} images, each in {wordings} wordings and {class_wordings} without its name"
    return _verdict(faults, praise)


def check_prompts_are_complete(prompts: Path, species: Path) -> Verdict:
    """The artist's three prompts come first among the controls, none is rehearsed, and every species has its prompt."""
    found = json.loads((prompts / "prompts.json").read_text())["prompts"]
    controls = [one["text"] for one in found if one["kind"] == "control"]
    prompted = {one["species_id"] for one in found if one["kind"] == "species"}
    ids = [one["prompt_id"] for one in found]
    faults = (
        [f"control prompts begin with {controls[:3]!r}"] if tuple(controls[:3]) != ARTISTS_CONTROLS else []
    )
    faults += [
        f"{one.common_name!r} has no prompt"
        for one in read_species(species)
        if one.species_id not in prompted
    ]
    rehearsed = {one["text"] for one in found if one["kind"] == "rehearsal"}
    faults += [f"{text!r} is both rehearsed and measured" for text in controls if text in rehearsed]
    faults += [f"prompt_id {one!r} is there twice" for one in sorted(set(ids)) if ids.count(one) > 1]
    return _verdict(
        faults, f"{len(found)} prompts, {len(controls)} of them controls, the artist's three first"
    )


def _repeated(texts: Sequence[str]) -> list[str]:
    return sorted({text for text in texts if texts.count(text) > 1})


def _verdict(faults: Sequence[str], praise: str) -> Verdict:
    shown = "; ".join(faults[:_SHOWN])
    finding = f"{len(faults)} faults: {shown}. Grow the asset again." if faults else f"{praise}."
    return Verdict(not faults, finding, {"faults": len(faults)})
