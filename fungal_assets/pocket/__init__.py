"""The embedded default: a miniature text-to-image model, its specimens, and the recipe that makes both.

What ships lies in `model/` (a diffusers folder) and `specimens/`; everything else here is the recipe, which only
`python -m fungal_assets.pocket` and the tests import.
"""

from pathlib import Path

MODEL_DIR = Path(__file__).parent / "model"
SPECIMENS_DIR = Path(__file__).parent / "specimens"
JUDGE_DIR = Path(__file__).parent / "judge"
LIFTER_PATH = Path(__file__).parent / "lifter" / "lifter.safetensors"
