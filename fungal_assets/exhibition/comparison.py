"""The page of all tuned models of a resolution beside each other: base, and whatever the store has.

Belongs here: the order of the work, and the page. Numbers and pictures are in `galleries.comparing` and
`galleries.comparison_sheets`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from fungal_assets.exhibition.pages import Site
from fungal_assets.galleries.comparing import Compared, compare, write_table_of
from fungal_assets.galleries.comparison_sheets import draw_beside, draw_places
from fungal_assets.galleries.planning import TUNED
from fungal_assets.progress import Tell, stay_silent
from fungal_assets.store import Figures, write_atomically


def compare_weights(
    models: Sequence[Compared], folder: Path, *, most_models: int, tell: Tell = stay_silent
) -> Figures:
    """Put tuned models beside each other.

    Args:
        models: The models; at least one.
        folder: Where `comparison.json`, `comparison.md`, `places.png`, `beside.webp`, `index.html` and `guide.css` go.
        most_models: How many are shown with pictures, the first of those that were asked alike.
        tell: Gets lines of progress.

    Returns:
        `models`, `asked_alike`, and the name of the model that keeps most.

    Raises:
        InputError: There are none.
    """
    comparison = compare(models)
    tuned = [row for row in comparison.rows if row["model"] == TUNED]
    alike = tuned[: len(comparison.alike)]
    tell(f"{len(tuned)} tuned models, {len(alike)} of them asked alike")
    draw_places(alike, folder / "places.png")
    shown = [
        (row["name"], each.sample_galleries, each.forgetting_report)
        for row, each in zip(alike, comparison.alike, strict=True)
    ][:most_models]
    draw_beside(shown, folder / "beside.webp")
    write_atomically(folder / "comparison.md", write_table_of(comparison))
    site = Site(folder, {"title": "Tuned models beside each other", "partition": "", "plates": []})
    site.write_style()
    pictures = {"places": "places.png", "beside": "beside.webp"}
    site.write_page("index.html", "comparison.html", comparison=comparison, pictures=pictures, own_sha256="")
    write_atomically(folder / "comparison.json", json.dumps(comparison.as_json(), indent=1))
    tell(comparison.finding)
    return {"models": len(tuned), "asked_alike": len(alike), "keeps_most": alike[0]["name"]}
