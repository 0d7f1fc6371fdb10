"""An asset of the names is made anew by the shipped tables that it reads, and by no others."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from fungal_assets import nomenclature
from fungal_assets.defs.nomenclature import TABLES, hash_tables
from fungal_assets.nomenclature import tables
from fungal_assets.nomenclature.lexicon import compile_lexicon
from fungal_assets.nomenclature.prompts import write_prompts
from fungal_assets_tests.nomenclature.growths import ASKED, CLASS_NOUN, VIEW_WORDS, grow, name_growth

SHIPPED = Path(nomenclature.__file__).parent
_listening: list[list[Path]] = []
"""Where the paths of files that are opened go just now; nowhere, but within `tables_read`."""


def _note(event, args):
    if event == "open" and _listening and isinstance(args[0], str | Path):
        _listening[-1].append(Path(args[0]))


@pytest.fixture(scope="module", autouse=True)
def _hook():
    """For good, since there is no taking a hook off."""
    sys.addaudithook(_note)


@contextmanager
def tables_read():
    """Names of the shipped tables that are opened within; all that is remembered of them is forgotten before."""
    for function in vars(tables).values():
        if hasattr(function, "cache_clear"):
            function.cache_clear()
    opened: list[Path] = []
    read: set[str] = set()
    _listening.append(opened)
    try:
        yield read
    finally:
        _listening.remove(opened)
    read |= {path.name for path in opened if path.parent == SHIPPED and path.suffix in {".csv", ".npz"}}


@pytest.fixture(scope="module")
def growth(tmp_path_factory):
    return grow(tmp_path_factory.mktemp("growth"))


def _prompts(growth, folder):
    asked = {"class_noun": CLASS_NOUN, "mutants": 2, "view_words": VIEW_WORDS, "seed": 1, **ASKED}
    write_prompts(growth.species, growth.name_lexicon, folder, **asked)


MAKE = {
    "name_lexicon": lambda growth, folder: compile_lexicon(folder, extra_names=None),
    "species": lambda growth, folder: name_growth(growth, folder, seed=3, earlier=growth.species),
    "prompts": _prompts,
}


@pytest.mark.parametrize("asset", MAKE)
def test_the_tables_that_decide_an_asset_are_those_that_it_reads(growth, tmp_path, asset):
    with tables_read() as read:
        MAKE[asset](growth, tmp_path)
    assert read == set(TABLES[asset])


@pytest.mark.parametrize("asset", TABLES)
def test_every_asset_has_a_hash_of_its_own_that_a_table_of_ones_own_changes(tmp_path, asset):
    others = {hash_tables(other) for other in TABLES if other != asset}
    path = tmp_path / "own.csv"
    path.write_text("text\n")
    assert hash_tables(asset) not in {*others, hash_tables(asset, own=str(path))}
