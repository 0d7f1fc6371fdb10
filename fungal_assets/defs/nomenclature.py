"""Assets of the stage `nomenclature`: words, invented names, captions and prompts."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from fungal_assets.defs.collection import raw_images
from fungal_assets.defs.keeping import Check, Inputs, StageConfig, check_specs, keep, told_plainly
from fungal_assets.defs.morphology import clusters, feature_vectors
from fungal_assets.defs.previewing import sheets
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.store import Output, fingerprint_of, is_file_intact
from fungal_assets.verdicts import Verdict


class NameLexiconConfig(StageConfig):
    """Whose names go in."""

    extra_names: str | None = Field(
        default=None,
        description="CSV of your own names (common_name, scientific_name, family); empty for none. Bad lines are "
        "left out and told.",
    )


def _lexicon_is_rich(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.nomenclature.checks import check_lexicon_is_rich

    return check_lexicon_is_rich(output.path)


def _lexicon_is_clean(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.nomenclature.checks import check_lexicon_is_clean

    return check_lexicon_is_clean(output.path)


def _every_line_used(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.nomenclature.bad_lines import check_every_line_is_used

    return check_every_line_is_used(output.path)


EVERY_LINE_USED = Check(
    "every_line_used", "No line of your own tables was left out as bad.", _every_line_used
)
LEXICON_CHECKS = (
    Check(
        "lexicon_is_rich",
        "Every part of a name has enough words to choose from.",
        _lexicon_is_rich,
        blocking=True,
    ),
    Check(
        "lexicon_is_clean", "No word of the lexicon is a stopword or rude.", _lexicon_is_clean, blocking=True
    ),
    EVERY_LINE_USED,
)


WORD_TABLES = ("stopwords.csv", "words.csv")
TABLES = {
    "name_lexicon": (*WORD_TABLES, "names.csv"),
    "species": (*WORD_TABLES, "form_nouns.csv", "stems.csv", "real_genera.csv", "morphotypes.npz"),
    "prompts": (*WORD_TABLES, "templates.csv", "controls.csv"),
}
"""The shipped tables that each asset reads, all of which a person may edit."""


def hash_tables(asset: str, **own: str) -> str:
    """Hash of the shipped tables that an asset reads, and of a person's own files, by setting."""
    import hashlib

    from fungal_assets import nomenclature
    from fungal_assets.errors import InputError
    from fungal_assets.store import hash_file

    tables = Path(nomenclature.__file__).parent
    given = {setting: Path(path) for setting, path in own.items() if path}
    missing = [f"{setting} {str(path)!r}" for setting, path in given.items() if not path.is_file()]
    if missing:
        raise InputError(
            f"{' and '.join(missing)}: not a file; give a CSV table, or leave the setting empty."
        )
    hashed = "".join(hash_file(path) for path in [*map(tables.joinpath, TABLES[asset]), *given.values()])
    return hashlib.sha256(hashed.encode()).hexdigest()


@dg.asset(
    group_name="nomenclature",
    kinds={"csv", "parquet"},
    code_version="2",
    check_specs=check_specs("name_lexicon", LEXICON_CHECKS),
)
def name_lexicon(
    context: dg.AssetExecutionContext,
    config: NameLexiconConfig,
    store: StoreResource,
    profile: ProfileResource,
) -> dg.MaterializeResult:
    """Real common and scientific names split apart, and their words by the part that they play in a name."""
    from fungal_assets.nomenclature.lexicon import compile_lexicon

    settings = config.fill("name_lexicon", profile)
    with told_plainly():
        tables = hash_tables("name_lexicon", extra_names=settings["extra_names"])
    return keep(
        context,
        store,
        inputs=[],
        settings=settings,
        sources={"tables": tables},
        build=compile_lexicon,
        checks=LEXICON_CHECKS,
        preview=sheets(),
    )


class SpeciesConfig(StageConfig):
    """How names are drawn."""

    keeps_names: bool | None = Field(
        default=None,
        description="Whether a cluster that was there in an earlier growth, with this seed, keeps its names; false "
        "names all anew.",
    )
    min_form_likeness: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="How like one of the known forms a cluster must be, as a cosine, for captions and prompts to call "
        "it by that form, such as cup fungus, instead of by the noun of all; 1 for never.",
    )
    seed: int | None = Field(
        default=None, ge=0, description="Seed of new names; another seed gives all species new ones."
    )


def _names_are_new(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.nomenclature.checks import check_species_are_new

    return check_species_are_new(output.path, inputs["name_lexicon"].path)


def _names_are_distinct(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.nomenclature.checks import check_species_are_distinct

    return check_species_are_distinct(output.path, inputs["clusters"].path)


SPECIES_CHECKS = (
    Check("names_are_new", "No name is that of a real fungus, or nearly.", _names_are_new, blocking=True),
    Check(
        "names_are_distinct",
        "Every cluster has one name, and no two are alike.",
        _names_are_distinct,
        blocking=True,
    ),
)


SPECIES_CODE_VERSION = "9"
EARLIER = "earlier species"
"""What an earlier `species` output is called among the inputs in the record of the one that keeps names of it."""


def _find_earlier(
    store: StoreResource, inputs: Sequence[Output], settings: dict[str, Any], sources: dict[str, str]
) -> Output | None:
    """The earlier output that names are kept from, or None.

    It is the one of this seed that has the most images in common with the clusters, at least one; of several with as
    many the one in force, else the newest. But what was named once is named the same again: for inputs and settings
    that have an output already it is what that one kept its names from.
    """
    from fungal_assets.nomenclature.species import MEMBERS_NAME, count_shared_images

    known = [
        output
        for output in _named_before(store)
        if output.record.config.get("seed") == settings["seed"]
        and all(is_file_intact(output, name) for name in (MEMBERS_NAME, "species.json"))
    ]
    by_hash = {output.record.content_hash: output for output in known}
    asked = {output.name: output.record.content_hash for output in inputs} | sources
    for output in known:
        before = output.record.inputs.get(EARLIER, "")
        named = asked | ({EARLIER: before} if before else {})
        same = fingerprint_of("species", None, named, settings, SPECIES_CODE_VERSION)
        if output.record.fingerprint == same and (not before or before in by_hash):
            return by_hash.get(before)
    shared = count_shared_images([output.path for output in known], inputs[0].path)
    most = max(shared, default=0)
    return known[shared.index(most)] if most else None


def _named_before(store: StoreResource) -> list[Output]:
    """All outputs of species on this machine: the one in force, then the others, newest first."""
    in_force, kept = store.open().find("species"), store.open().kept_here("species")
    others = [output for output in kept if in_force is None or output.path != in_force.path]
    return others if in_force is None else [in_force, *others]


@dg.asset(
    group_name="nomenclature",
    kinds={"json"},
    code_version=SPECIES_CODE_VERSION,
    deps=[clusters, raw_images, feature_vectors, name_lexicon],
    check_specs=check_specs("species", SPECIES_CHECKS),
)
def species(
    context: dg.AssetExecutionContext, config: SpeciesConfig, store: StoreResource, profile: ProfileResource
) -> dg.MaterializeResult:
    """One invented common name and Latin binomial per cluster, proven new; kept while the cluster persists."""
    from fungal_assets.nomenclature.species import name_species

    inputs = [store.get(name) for name in ("clusters", "raw_images", "feature_vectors", "name_lexicon")]
    settings, sources = config.fill("species", profile), {"tables": hash_tables("species")}
    keeps_names = settings.pop("keeps_names")
    earlier = _find_earlier(store, inputs, settings, sources) if keeps_names else None

    return keep(
        context,
        store,
        inputs=inputs,
        settings=settings,
        sources=sources | ({EARLIER: earlier.record.content_hash} if earlier else {}),
        build=functools.partial(
            name_species, *(one.path for one in inputs), earlier=earlier.path if earlier else None
        ),
        checks=SPECIES_CHECKS,
        preview=sheets(),
    )


CLASS_NOUN = (
    "What species of no sure form are, said after the name, such as mushroom; empty to say all names alone."
)


class CaptionsConfig(StageConfig):
    """How captions are worded."""

    class_noun: str | None = Field(default=None, description=CLASS_NOUN)
    cluttered_opening: str | None = Field(
        default=None,
        description="First words of the caption of a picture full of clutter, such as a snapshot of, without a "
        "comma; empty for those of all others.",
    )
    wordings: int | None = Field(
        default=None, ge=1, le=8, description="Distinct wordings of each picture, its caption among them."
    )
    class_wordings: int | None = Field(
        default=None,
        ge=0,
        le=8,
        description="Further wordings of each picture that say the class noun or fungus and not the name.",
    )
    captioner: str | None = Field(
        default=None,
        description="Card, folder or hub id of a model that writes the second wording of each picture; empty for none.",
    )
    seed: int | None = Field(default=None, ge=0, description="Seed of the order and choice of words.")


def _captions_say_more(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.nomenclature.checks import check_captions_say_enough

    return check_captions_say_enough(output.path, inputs["species"].path)


def _wordings_are_many(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.nomenclature.checks import check_wordings

    counts = {name: output.record.config[name] for name in ("wordings", "class_wordings")}
    return check_wordings(output.path, inputs["species"].path, **counts)


def _every_image_captioned(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.nomenclature.checks import check_captions_are_complete

    return check_captions_are_complete(output.path, inputs["raw_images"].path)


CAPTION_CHECKS = (
    Check(
        "every_image_captioned",
        "Every admitted image has one caption.",
        _every_image_captioned,
        blocking=True,
    ),
    Check(
        "more_than_a_name",
        "Every image's caption names its species and at least two things that were measured in the picture.",
        _captions_say_more,
        blocking=True,
    ),
    Check(
        "worded_in_many_ways",
        "Every image has as many distinct wordings as were asked for, with its name and without.",
        _wordings_are_many,
        blocking=True,
    ),
)


def hash_eyes(captioner: str) -> dict[str, str]:
    """Hashes of what looks at pictures for their captions: the weights of hints, and the captioner, if any."""
    from fungal_assets.nomenclature.captioners import find_captioner
    from fungal_assets.nomenclature.hints import weights_of_hints
    from fungal_assets.store import hash_file

    told_by = {"captioner": find_captioner(captioner).sha256} if captioner else {}
    return {name: hash_file(path) for name, path in weights_of_hints().items()} | told_by


@dg.asset(
    group_name="nomenclature",
    kinds={"parquet"},
    code_version="8",
    deps=[raw_images, clusters, species, feature_vectors],
    check_specs=check_specs("captions", CAPTION_CHECKS),
)
def captions(
    context: dg.AssetExecutionContext, config: CaptionsConfig, store: StoreResource, profile: ProfileResource
) -> dg.MaterializeResult:
    """Per image: the species' name and measured attributes, as columns and in several wordings."""
    from fungal_assets.nomenclature.captioners import licences_of
    from fungal_assets.nomenclature.captions import Manner, caption_images

    names = ("raw_images", "clusters", "species", "feature_vectors")
    inputs = [store.get(name) for name in names]
    settings = config.fill("captions", profile)
    with told_plainly():
        Manner(**settings).check()
        sources = hash_eyes(settings["captioner"])
    return keep(
        context,
        store,
        inputs=inputs,
        settings=settings,
        licences=licences_of(settings["captioner"]),
        sources=sources,
        build=functools.partial(caption_images, *(one.path for one in inputs)),
        checks=CAPTION_CHECKS,
        preview=sheets("sheet.webp"),
    )


class PromptsConfig(StageConfig):
    """What is asked for."""

    class_noun: str | None = Field(default=None, description=CLASS_NOUN)
    mutants: int | None = Field(
        default=None, ge=0, le=200, description="Mutant prompts: words of names recombined."
    )
    view_words: dict[str, str] | None = Field(
        default=None,
        description="What the base model calls the views front, side, back, angled, above and below of a 3D form.",
    )
    context_groups: list[str] | None = Field(
        default=None,
        description="Which context lines of the templates are used, by their group, such as habitat; none for none. "
        "Groups that your own templates lack are left out.",
    )
    templates: str | None = Field(
        default=None,
        description="Your own templates in place of nomenclature/templates.csv; empty for those.",
    )
    extra_controls: str | None = Field(
        default=None,
        description="CSV of your own control prompts (text, expected, group, use), asked right after the artist's "
        "three and rehearsed before the shipped; empty for none.",
    )
    seed: int | None = Field(default=None, ge=0, description="Seed of the recombination.")


def _prompts_are_complete(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.nomenclature.checks import check_prompts_are_complete

    return check_prompts_are_complete(output.path, inputs["species"].path)


PROMPT_CHECKS = (
    Check(
        "species_and_controls",
        "Every species has its prompt, and the artist's three control prompts are among the controls.",
        _prompts_are_complete,
        blocking=True,
    ),
    EVERY_LINE_USED,
)


@dg.asset(
    group_name="nomenclature",
    kinds={"json"},
    code_version="5",
    deps=[species, name_lexicon],
    check_specs=check_specs("prompts", PROMPT_CHECKS),
)
def prompts(
    context: dg.AssetExecutionContext, config: PromptsConfig, store: StoreResource, profile: ProfileResource
) -> dg.MaterializeResult:
    """Species, subspecies, mutant, context and control prompts, and the view words for 3D."""
    from fungal_assets.nomenclature.prompts import write_prompts

    named, lexicon = store.get("species"), store.get("name_lexicon")
    settings = config.fill("prompts", profile)
    with told_plainly():
        tables = hash_tables("prompts", **{name: settings[name] for name in ("templates", "extra_controls")})
    return keep(
        context,
        store,
        inputs=[named, lexicon],
        settings=settings,
        sources={"tables": tables},
        build=functools.partial(write_prompts, named.path, lexicon.path),
        checks=PROMPT_CHECKS,
        preview=sheets(),
    )
