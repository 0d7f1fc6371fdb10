"""Ending one training run again and again, and going on with it: `python -m fungal_assets_tests.diffusion.killing`.

A process imports what training needs and does nothing else, so that it has no threads. It forks a child for every life
of the run, so that a life costs no start; each ends by SIGKILL at a moment of its own, or by SIGTERM turned into an
exception as Dagster does it, and the last one of itself. What decides a moment is drawn from a seed: a line that is
told, a step, a touch of the disk (Python's audit events below the working folder: every open, rename, mkdir, remove),
or a span of wall time, which may end within any of the libraries' code.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from fungal_assets.store import Store, fingerprint_of
from fungal_assets_tests.diffusion.conftest import SETTINGS, rehearse, tune

TERMINATED, FAILED = 10, 11
STEPS_NAME = ".steps"
"""A file that grows by a byte with every step of any life."""
STEPS = 44
LONGEST_LIFE_S = 100
"""After that a life is ended by SIGALRM, which is none of the ends that are expected."""
MOST_STEPS_OF_A_LIFE = 2
TOUCHES = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir"}
PHASES = (
    "encoding pictures (train)",
    "encoding texts",
    "encoding pictures (test)",
)


@dataclass(frozen=True)
class End:
    """When a life ends: `at` is a line's beginning, a number of steps or touches, or seconds; None: of itself."""

    kind: str
    at: object = None
    by: signal.Signals = signal.SIGKILL


def plan(seed: int) -> list[End]:
    """Twenty kills, and three terminations among them."""
    rng = random.Random(seed)
    early = [end for phase in PHASES for end in (End("cache", rng.randint(1, 6)), End("line", phase))]
    amid = [End("time", rng.uniform(0.1, 1.2)) for _ in range(5)]
    amid += [End("state", rng.randint(1, 14)) for _ in range(3)]
    amid += [End("step", rng.randint(1, 2)) for _ in range(3)]
    amid += [End("time", rng.uniform(0.2, 1.2), signal.SIGTERM) for _ in range(3)]
    rng.shuffle(amid)
    late = [End("output", at) for at in sorted(rng.sample(range(1, 14), 3))]
    return early + amid + late


class Life:
    """One child: it trains in the store until its end comes."""

    def __init__(self, end: End, working: Path):
        self._end, self._working, self._touches, self._steps = end, str(working), 0, 0
        sys.addaudithook(self._touch)
        signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, *_):
        raise KeyboardInterrupt

    def _die(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def _touch(self, event, arguments):
        if event not in TOUCHES or not str(arguments[0]).startswith(self._working + "/"):
            return
        place = str(arguments[0])[len(self._working) + 1 :].split("/")[0]
        kind = {".cache": "cache", ".resume": "state"}.get(place, "output")
        if kind == self._end.kind:
            self._touches += 1
            if self._touches == self._end.at:
                self._die()

    def tell(self, line):
        if self._end.kind == "line" and line.startswith(self._end.at):
            self._die()

    def on_step(self, _step, _figures):
        with (Path(self._working).parent / STEPS_NAME).open("a") as file:
            file.write(".")
        self._steps += 1
        most = self._end.at if self._end.kind == "step" else MOST_STEPS_OF_A_LIFE
        if self._end.kind not in ("none", "output") and self._steps >= most:
            self._die()


def make(store, places, method, life=None):
    dataset, prompts, base = places

    def build(folder):
        heard = {"tell": life.tell, "on_step": life.on_step} if life else {}
        settings = SETTINGS | {"method": method, "max_steps": STEPS} | heard
        return tune(dataset, prompts, folder, base_model=str(base), **settings)

    config = {"method": method}
    return store.make("weights", "64", inputs=[], config=config, code_version="1", build=build).output


def working_folder(store, method):
    """Where the store makes the output that `make` asks for."""
    fingerprint = fingerprint_of("weights", "64", {}, {"method": method}, "1")
    return Path(store.root) / "weights" / "64" / f".working-{fingerprint}"


def live(store, places, method, end):
    """One life in a child of its own; how it ended, as `os.waitstatus_to_exitcode` says it."""
    pid = os.fork()
    if pid == 0:
        code = FAILED
        signal.alarm(LONGEST_LIFE_S)
        try:
            make(store, places, method, Life(end, working_folder(store, method)))
            code = 0
        except KeyboardInterrupt:
            code = TERMINATED
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    if end.kind == "time":
        time.sleep(end.at)
        os.kill(pid, end.by)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main(root, dataset, prompts, base, method, seed):
    """Live through the plan, then once unbroken in another store; prints how every life ended."""
    import peft  # noqa: F401
    from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel  # noqa: F401
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: F401
    from matplotlib.figure import Figure  # noqa: F401
    from transformers import CLIPTextModel, CLIPTokenizer  # noqa: F401

    from fungal_assets.diffusion.loop import Loop  # noqa: F401

    places = (Path(dataset), Path(prompts), Path(base))
    rehearse(places[1], str(places[2]), SETTINGS["rehearsal_prompts"])
    broken, unbroken = Store(Path(root) / "broken"), Store(Path(root) / "unbroken")
    told = []
    for end in plan(int(seed)):
        code = live(broken, places, method, end)
        print(end, code, file=sys.stderr, flush=True)
        told.append([end.kind, end.at, int(end.by), code])
    for store in (broken, unbroken):
        told.append(["none", None, 0, live(store, places, method, End("none"))])
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
