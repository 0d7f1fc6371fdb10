"""Assets of the stage `nomenclature`: words, invented names, captions and prompts."""

import functools
from pathlib import Path

import dagster as dg
from pydantic import Field

from fungal_assets.defs.collection import raw_images
from fungal_assets.defs.keeping import Check, Inputs, StageConfig, check_specs, keep, told_plainly
from fungal_assets.defs.morphology import clusters, feature_vectors
from fungal_assets.defs.previewing import sheets
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.store import Output
from fungal_assets.verdicts import Verdict


class NameLexiconConfig(StageConfig):
    """Whose names go in."""

    extra_names: str | None = Field(
        default=None,
        description="CSV of your own names (common_name, scientific_name, family); empty for none.",
    )


def _lexicon_is_rich(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.nomenclature.checks import check_lexicon_is_rich

    return check_lexicon_is_rich(output.path)


def _lexicon_is_clean(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.nomenclature.checks import check_lexicon_is_clean

    return check_lexicon_is_clean(output.path)


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
)


def hash_tables(*, extra_names: str = "") -> str:
    """Hash of the shipped tables, all of which a person may edit, and of the user's own names."""
    import hashlib

    from fungal_assets import nomenclature
    from fungal_assets.errors import InputError
    from fungal_assets.store import hash_file

    tables = Path(nomenclature.__file__).parent
    paths = sorted([*tables.glob("*.csv"), *tables.glob("*.npz")])
    if extra_names:
        if not Path(extra_names).is_file():
            raise InputError(
                f"extra_names {extra_names!r} is not a file; give a CSV of names, or leave it empty."
            )
        paths.append(Path(extra_names))
    return hashlib.sha256("".join(hash_file(path) for path in paths).encode()).hexdigest()


@dg.asset(
    group_name="nomenclature",
    kinds={"csv", "parquet"},
    code_version="1",
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
        tables = hash_tables(extra_names=settings["extra_names"])
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

    seed: int | None = Field(default=None, ge=0, description="Seed of the names.")


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


@dg.asset(
    group_name="nomenclature",
    kinds={"json"},
    code_version="4",
    deps=[clusters, raw_images, feature_vectors, name_lexicon],
    check_specs=check_specs("species", SPECIES_CHECKS),
)
def species(
    context: dg.AssetExecutionContext, config: SpeciesConfig, store: StoreResource, profile: ProfileResource
) -> dg.MaterializeResult:
    """One invented common name and Latin binomial per cluster, proven new."""
    from fungal_assets.nomenclature.species import name_species

    grouped, raw = store.get("clusters"), store.get("raw_images")
    vectors, lexicon = store.get("feature_vectors"), store.get("name_lexicon")
    return keep(
        context,
        store,
        inputs=[grouped, raw, vectors, lexicon],
        settings=config.fill("species", profile),
        sources={"tables": hash_tables()},
        build=lambda folder, **settings: name_species(
            grouped.path, raw.path, vectors.path, lexicon.path, folder, **settings
        ),
        checks=SPECIES_CHECKS,
        preview=sheets(),
    )


CLASS_NOUN = "What every species is, said after its name, such as mushroom; empty to say the name alone."


class CaptionsConfig(StageConfig):
    """How captions are worded."""

    class_noun: str | None = Field(default=None, description=CLASS_NOUN)
    cluttered_opening: str | None = Field(
        default=None,
        description="First words of the caption of a picture full of clutter, such as a snapshot of.",
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
        description="Card, folder or hub id of a model that adds a wording of its own to each picture; empty for none.",
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


@dg.asset(
    group_name="nomenclature",
    kinds={"parquet"},
    code_version="5",
    deps=[raw_images, clusters, species, feature_vectors],
    check_specs=check_specs("captions", CAPTION_CHECKS),
)
def captions(
    context: dg.AssetExecutionContext, config: CaptionsConfig, store: StoreResource, profile: ProfileResource
) -> dg.MaterializeResult:
    """Per image: the species' name and measured attributes, as columns and in several wordings."""
    from fungal_assets.nomenclature.captioners import licences_of
    from fungal_assets.nomenclature.captions import caption_images
    from fungal_assets.nomenclature.counting import COUNTS_PATH
    from fungal_assets.store import hash_file

    names = ("raw_images", "clusters", "species", "feature_vectors")
    inputs = [store.get(name) for name in names]
    settings = config.fill("captions", profile)
    return keep(
        context,
        store,
        inputs=inputs,
        settings=settings,
        licences=licences_of(settings["captioner"]),
        sources={"counts": hash_file(COUNTS_PATH)},
        build=functools.partial(caption_images, *(one.path for one in inputs)),
        checks=CAPTION_CHECKS,
        preview=sheets("sheet.webp"),
    )


class PromptsConfig(StageConfig):
    """How many prompts there are."""

    class_noun: str | None = Field(default=None, description=CLASS_NOUN)
    mutants: int | None = Field(
        default=None, ge=0, le=200, description="Mutant prompts: words of names recombined."
    )
    view_words: dict[str, str] | None = Field(
        default=None,
        description="What the base model calls the views front, side, back, angled, above and below of a 3D form.",
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
)


@dg.asset(
    group_name="nomenclature",
    kinds={"json"},
    code_version="2",
    deps=[species, name_lexicon],
    check_specs=check_specs("prompts", PROMPT_CHECKS),
)
def prompts(
    context: dg.AssetExecutionContext, config: PromptsConfig, store: StoreResource, profile: ProfileResource
) -> dg.MaterializeResult:
    """Species, subspecies, mutant, context and control prompts, and the view words for 3D."""
    from fungal_assets.nomenclature.prompts import write_prompts

    named, lexicon = store.get("species"), store.get("name_lexicon")
    return keep(
        context,
        store,
        inputs=[named, lexicon],
        settings=config.fill("prompts", profile),
        sources={"tables": hash_tables()},
        build=lambda folder, **settings: write_prompts(named.path, lexicon.path, folder, **settings),
        checks=PROMPT_CHECKS,
        preview=sheets(),
    )
