"""Training runs that end by SIGKILL, forked from one warm parent: `python -m fungal_assets_tests.diffusion.forking`.

The parent imports what training needs, once, and computes nothing, so that no pool of threads is there to be lost by a
fork. It reads orders, a line of JSON each, forks a child for each, and answers with the child's exit code.
"""

import json
import os
import signal
import sys
import traceback
from pathlib import Path

from fungal_assets_tests.diffusion.conftest import tune


def import_all():
    """What a child would import else, each for itself."""
    import peft  # noqa: F401
    from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel  # noqa: F401
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: F401
    from matplotlib.figure import Figure  # noqa: F401
    from transformers import CLIPTextModel, CLIPTokenizer  # noqa: F401

    from fungal_assets.diffusion.loop import Loop  # noqa: F401


def die(step, at):
    if step == at:
        os.kill(os.getpid(), signal.SIGKILL)


def train(places, place, at, settings):
    """Tune, and die in the look after step `at`, or after it."""
    from fungal_assets.diffusion import looks

    show = looks.show_look

    def die_in_a_look(folder, step, pictures, images):
        show(folder, step, pictures, images)
        die(step, at)

    if place == "look":
        looks.show_look = die_in_a_look
    how = {"on_step": lambda step, _figures: die(step, at)} if place == "step" else {}
    dataset, prompts, folder, base = places
    if "clusters" in settings:
        settings["clusters"] = Path(settings["clusters"])
    tune(Path(dataset), Path(prompts), Path(folder), base_model=base, **settings, **how)


def main():
    import_all()
    for order in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
            try:
                train(**json.loads(order))
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
