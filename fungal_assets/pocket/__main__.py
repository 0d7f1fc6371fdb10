"""The recipe as a command: `python -m fungal_assets.pocket specimens | model | judge | lifter | references | score`.

It needs the extra `recipe` and, the first time, npm for the drawings. What it makes goes into the package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from fungal_assets.pocket import JUDGE_DIR, MODEL_DIR, SPECIMENS_DIR

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def folder_option(name: str, default: str, what: str) -> Decorator:
    """An option for a folder."""
    kind = click.Path(path_type=Path)
    return click.option(name, type=kind, default=Path(default), show_default=True, help=what)


work_option = folder_option("--work", "pocket_work", "Working folder.")
art_option = folder_option(
    "--art", "pocket_work/art", "Where the npm packages of the drawings are, or are fetched to."
)
sheets_option = folder_option("--sheets", "docs/pocket", "Where the sheets of samples go.")


def count_option(name: str, default: int, what: str) -> Decorator:
    """An option for how many pictures of one kind are rendered."""
    return click.option(name, type=click.IntRange(min=1), default=default, show_default=True, help=what)


@click.group()
def main() -> None:
    """Make what the package ships; every command goes on where it was stopped."""


@main.command()
@click.option("--each", default=20, show_default=True, help="Specimens per hidden morphotype.")
@click.option("--processes", default=2, show_default=True)
def specimens(each: int, processes: int) -> None:
    """Render the specimens."""
    from fungal_assets.pocket.specimens import render_specimens

    count = render_specimens(SPECIMENS_DIR, each=each, processes=processes, tell=click.echo)
    click.echo(f"{count} files in {SPECIMENS_DIR}")


@main.command()
@work_option
@art_option
@click.option("--concepts", default=100, show_default=True, help="Size of the world beside fungi.")
@count_option("--portraits", 5000, "Rendered fungi that stand alone, in the middle.")
@count_option("--fungi", 6000, "Other rendered fungi.")
@count_option("--snapshots", 4000, "Rendered fungi amid clutter, as photographs show them.")
@count_option("--views", 3760, "Rendered fungi that stand alone, from every side in turn.")
@click.option("--vae-steps", default=3000, show_default=True, help="Steps of the autoencoder.")
@click.option("--steps", default=14000, show_default=True, help="Steps of the UNet and the text encoder.")
@click.option("--half-share", default=0.0, show_default=True, help="Share of the steps at 64 px.")
@click.option("--double-share", default=0.0, show_default=True, help="Share of the steps at 256 px.")
@click.option(
    "--compile", "is_compiled", is_flag=True, help="Compile the networks first; needs a C++ compiler."
)
@click.option(
    "--start",
    type=click.Path(path_type=Path, exists=True),
    help="A model of this recipe to learn on from, its tokenizer and autoencoder kept.",
)
@click.option(
    "--autoencoder",
    type=click.Path(path_type=Path, exists=True),
    help="A model of this recipe whose autoencoder is taken instead of training one.",
)
def model(
    work: Path,
    art: Path,
    concepts: int,
    portraits: int,
    fungi: int,
    snapshots: int,
    views: int,
    vae_steps: int,
    steps: int,
    half_share: float,
    double_share: float,
    is_compiled: bool,
    start: Path | None,
    autoencoder: Path | None,
) -> None:
    """Render the pictures, train autoencoder, text encoder and UNet, and write the model."""
    from fungal_assets.pocket.recipe import RecipeSettings, make_model

    settings = RecipeSettings(
        concepts=concepts,
        portraits=portraits,
        fungi=fungi,
        snapshots=snapshots,
        views=views,
        half_share=half_share,
        double_share=double_share,
    )
    settings = replace(
        settings,
        vae=replace(settings.vae, steps=vae_steps),
        diffusion=replace(settings.diffusion, steps=steps, is_compiled=is_compiled),
    )
    figures = make_model(
        work, art, settings, MODEL_DIR, start=start, autoencoder=autoencoder, tell=click.echo
    )
    click.echo("  ".join(f"{name} {value:.4g}" for name, value in figures.items()))


@main.command()
@work_option
@art_option
@click.option("--concepts", default=190, show_default=True, help="Size of the world beside fungi.")
@click.option("--steps", default=2300, show_default=True, help="Optimiser steps.")
@sheets_option
def judge(work: Path, art: Path, concepts: int, steps: int, sheets: Path) -> None:
    """Teach the judge and write it; the model comes first, since it reads with the model's tokenizer."""
    from fungal_assets.pocket.contrasting import ContrastSettings
    from fungal_assets.pocket.recipe import RecipeSettings, make_judge

    settings, contrast = RecipeSettings(concepts=concepts, variants=4), ContrastSettings(steps=steps)
    figures = make_judge(
        work, art, MODEL_DIR, settings, contrast, JUDGE_DIR / "clip", sheets=sheets, tell=click.echo
    )
    click.echo("  ".join(f"{name} {value:.4g}" for name, value in figures.items()))


@main.command()
@work_option
@count_option("--pairs", 1600, "Rendered fungi with their volumes.")
@click.option("--steps", default=2300, show_default=True, help="Optimiser steps.")
@click.option("--processes", default=2, show_default=True)
@sheets_option
def lifter(work: Path, pairs: int, steps: int, processes: int, sheets: Path) -> None:
    """Teach what makes a volume of a picture, and write it; the model comes first, since it paints some of them."""
    from fungal_assets.pocket import LIFTER_PATH
    from fungal_assets.pocket.lifter_training import LifterSettings, make_lifter

    settings = LifterSettings(pairs=pairs, steps=steps)
    figures = make_lifter(
        work, MODEL_DIR, settings, LIFTER_PATH.parent, processes=processes, sheets=sheets, tell=click.echo
    )
    click.echo("  ".join(f"{name} {value:.4g}" for name, value in figures["all"].items()))


@main.command()
@work_option
@art_option
@click.option("--concepts", default=100, show_default=True, help="Size of the world beside fungi.")
def references(work: Path, art: Path, concepts: int) -> None:
    """Write the reference vectors of real pictures: the judge's, and those that names are fitted by."""
    from fungal_assets.nomenclature.counting import COUNTS_PATH
    from fungal_assets.nomenclature.morphotypes import REFERENCES_PATH
    from fungal_assets.nomenclature.orientation import VIEWS_PATH
    from fungal_assets.pocket.references import (
        write_counts,
        write_morphotypes,
        write_references,
        write_views,
    )

    count = write_references(work, art, JUDGE_DIR, concepts=concepts, tell=click.echo)
    click.echo(f"{count} references in {JUDGE_DIR}")
    count = write_morphotypes(work, REFERENCES_PATH, tell=click.echo)
    click.echo(f"{count} rendered fungi in {REFERENCES_PATH}")
    count = write_counts(COUNTS_PATH, tell=click.echo)
    click.echo(f"{count} counted fungi in {COUNTS_PATH}")
    count = write_views(work, VIEWS_PATH, tell=click.echo)
    click.echo(f"{count} fungi from all sides in {VIEWS_PATH}")


@main.command()
@click.option(
    "--concepts", default=100, show_default=True, help="How many things beside fungi are asked for."
)
@click.option("--each", default=4, show_default=True, help="Pictures per thing.")
@click.option("--fungi", default=8, show_default=True, help="Pictures per morphotype.")
@sheets_option
def score(concepts: int, each: int, fungi: int, sheets: Path) -> None:
    """Measure what the shipped model knows, and write it into its card."""
    import json

    from fungal_assets.pocket.card import RECIPE_FILE, write_card
    from fungal_assets.pocket.scoring import write_scores

    figures = write_scores(MODEL_DIR, sheets, concepts=concepts, each=each, fungi=fungi, tell=click.echo)
    recipe = json.loads((MODEL_DIR / RECIPE_FILE).read_text())
    write_card(MODEL_DIR, recipe | {"figures": recipe["figures"] | figures})
    click.echo("  ".join(f"{name} {value:.3g}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
