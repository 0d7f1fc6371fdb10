"""Models with one known fault each, and what the reports say of them: each is to be flagged by its own figure alone.

Run: python benchmarks/planted.py STORE FOLDER [KIND...]. STORE holds a growth of the profile pocket. Kinds: `untouched`
(the base model itself), `collapsed` (names alone, the whole UNet, ten times the learning rate, nothing rehearsed),
`copying` (one image of each of ten species, learnt by heart), `blocky` (images enlarged from 16 px without smoothing).
Each model, its gallery and its reports stay in FOLDER; what is there is not made again, but for the reports. Of each
kind are told its figures, the checks that flag it, whether these are the expected ones and no others, and what the two
reports advise. All checks of the three assets are asked, with the profile's limits; ends with 1 where any is amiss.
"""

import io
import json
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image
from tuned import Change, Row, by_name_alone, rehearse_base, rewrite, tune_by_profile

from fungal_assets.diffusion.headers import Origin
from fungal_assets.diffusion.pruning import prune_weights
from fungal_assets.diffusion.watching import Watching
from fungal_assets.galleries.checks import (
    check_complete,
    check_knowledge_kept,
    check_not_blank,
    check_not_pixelated,
    check_species_recognised,
    check_weights,
)
from fungal_assets.galleries.forgetting import report_forgetting
from fungal_assets.galleries.sampling import sample_gallery
from fungal_assets.galleries.species_checks import (
    check_every_species_told,
    check_no_copies,
    check_species_new,
    check_species_varied,
)
from fungal_assets.galleries.species_report import report_species
from fungal_assets.pocket import MODEL_DIR
from fungal_assets.profiles import get_profile
from fungal_assets.store import Output, Store, hash_folder

TRAINED_SPECIES, BLOCKS = 10, 16


def one_of_each(rows: Iterable[Row]) -> list[Row]:
    """One image of each of ten species."""
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row["species_id"], row)
    return list(first.values())[:TRAINED_SPECIES]


def in_blocks(rows: Iterable[Row]) -> list[Row]:
    """Every picture made of 16 by 16 blocks; the pocket model's autoencoder smooths smaller ones away."""
    return [row | {"image": row["image"] | {"bytes": pixelate(row["image"]["bytes"])}} for row in rows]


def pixelate(data: bytes) -> bytes:
    """A picture shrunk and enlarged again without smoothing, as PNG."""
    image, buffer = Image.open(io.BytesIO(data)).convert("RGB"), io.BytesIO()
    small = image.resize((BLOCKS, BLOCKS), Image.Resampling.BOX)
    small.resize(image.size, Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


KINDS: dict[str, tuple[Change, dict[str, Any]] | None] = {
    "untouched": None,
    "collapsed": (by_name_alone, {"learning_rate": 1e-3, "max_steps": 60}),
    "copying": (one_of_each, {"learning_rate": 5e-4, "max_steps": 1200, "min_snr_gamma": 0.0}),
    "blocky": (in_blocks, {"learning_rate": 3e-4, "max_steps": 400}),
}
FLAGGED_BY: dict[str, set[str]] = {
    "untouched": set(),
    "collapsed": {"control_knowledge_kept"},
    "copying": {"no_copies"},
    "blocky": {"not_pixelated"},
}
LOOKS = 4
KEPT = {"copying": 0.25, "blocky": 0.25}
"""Share of rehearsal, where only the planted fault is to show: whole and fast tuning forgets too, and is told so."""


def make_weights(
    kind: str, dataset: Output, tuned: Output, prompts: Path, clusters: Path, folder: Path
) -> Path:
    """The pruned weights of one kind, made where they are not there."""
    pruned = folder / "pruned"
    if (pruned / "weights.json").is_file():
        return pruned
    pruned.mkdir(parents=True, exist_ok=True)
    planted = KINDS[kind]
    if planted is None:
        shutil.copytree(MODEL_DIR, pruned / "pipeline", dirs_exist_ok=True)
        about = {
            "base_model": {"id": "pocket", "sha256": hash_folder(MODEL_DIR)},
            "method": "nothing",
            "pipeline_sha256": hash_folder(pruned / "pipeline"),
        }
        (pruned / "weights.json").write_text(json.dumps(about))
        return pruned
    change, settings = planted
    share, profile = KEPT.get(kind, 0.0), get_profile("pocket").settings["fine_tuned_weights"]
    asked = {name: profile[name] for name in Watching.__dataclass_fields__} | {"must_learn_within": 0.0}
    asked |= {"watch_every_steps": settings["max_steps"] // LOOKS, "watched_controls": 12}
    tune_by_profile(
        rewrite(dataset.path, folder / "dataset", change),
        rehearse_base(prompts, folder / "rehearsal") if share else None,
        folder / "weights",
        {"class_share": 0.0, "rehearsal_share": share, "checkpoint_every_s": 60.0, **settings},
        method="full",
        watching=Watching(**asked),
        prompts=prompts,
        clusters=clusters,
        tell=print,
    )
    how: dict[str, Any] = {"base_model": "pocket", "strength": 1.0, "has_single_file": False}
    prune_weights(folder / "weights", pruned, Origin.of(dataset, tuned), **how)
    return pruned


def report(kind: str, store: Store, folder: Path) -> bool:
    """Make what is missing of one kind, print its figures, and say whether its own checks flag it and no others."""
    prompts, clusters = store.get("prompts").path, store.get("clusters").path
    dataset, tuned = store.get("captioned_dataset", "128"), store.get("fine_tuned_weights", "lora|128")
    pruned = make_weights(kind, dataset, tuned, prompts, clusters, folder)
    gallery, forgetting, species = (folder / name for name in ("gallery", "forgetting", "species"))
    for each in (gallery, forgetting, species):
        each.mkdir(exist_ok=True)
    row = get_profile("pocket").settings
    asked = row["sample_galleries"]
    sample_gallery(pruned, prompts, clusters, gallery, size_px=128, **asked, tell=print)
    weights = folder / "weights"
    report_forgetting(
        gallery, weights if weights.is_dir() else None, forgetting, **row["forgetting_report"], tell=print
    )
    figures = report_species(gallery, clusters, dataset.path, species, **row["species_report"], tell=print)
    counted = {name: asked[name] for name in ("images_per_prompt", "controls")}
    found = {
        "every_prompt_has_pictures": check_complete(gallery, prompts, **counted),
        "not_blank": check_not_blank(gallery),
        "not_pixelated": check_not_pixelated(gallery),
        "of_these_weights": check_weights(gallery, pruned),
        "species_recognised": check_species_recognised(gallery),
        "control_knowledge_kept": check_knowledge_kept(forgetting),
        "every_species_told": check_every_species_told(species, gallery),
        "no_copies": check_no_copies(species),
        "species_are_new": check_species_new(species),
        "species_are_varied": check_species_varied(species),
    }
    shown = (
        "copies",
        "pixelated",
        "blank",
        "shared_grid",
        "varied",
        "judged_for_variety",
        "new",
        "themselves",
    )
    told = {name: figures[name] for name in shown}
    kept = json.loads((forgetting / "report.json").read_text())
    told |= {name: kept[name] for name in ("retention", "interval", "pairs")}
    told |= {"by names": (kept["by_text"] or {}).get("retention")}
    flagged = {name for name, verdict in found.items() if not verdict.passed}
    is_told_apart = flagged == FLAGGED_BY[kind]
    print(f"\n{kind}: {json.dumps(told)}")
    print(
        f"  flagged by {sorted(flagged) or 'none'} of {len(found)} checks, expected "
        f"{sorted(FLAGGED_BY[kind]) or 'none'}: {'exactly these' if is_told_apart else 'NOT THESE'}"
    )
    for name in sorted(flagged | {"species_are_varied"}):
        print(f"  {name}: {found[name].finding}")
    print(
        f"  advice: {kept['advice']} {json.loads((species / 'report.json').read_text())['advice']}",
        flush=True,
    )
    return is_told_apart


def main() -> None:
    """Report on the kinds that are named, or on all."""
    store, folder = Store(sys.argv[1]), Path(sys.argv[2])
    are_told_apart = []
    for kind in sys.argv[3:] or KINDS:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        are_told_apart.append(report(kind, store, folder / kind))
    sys.exit(0 if all(are_told_apart) else 1)


if __name__ == "__main__":
    main()
