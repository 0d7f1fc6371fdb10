"""Images a second of our training loop and of diffusers' own LoRA script: one model, one dataset, the same steps.

Run: python benchmarks/training.py SCRIPT STORE [--threads 2] [--rounds 3] [--steps 16] [--precision float32]. STORE
holds a growth of the profile pocket (`fungal grow --until captioned_dataset` is enough). SCRIPT is
`examples/text_to_image/train_text_to_image_lora.py` of https://github.com/huggingface/diffusers at tag v0.40.0, the
newest there is for diffusers 0.42: `git show v0.40.0:examples/text_to_image/train_text_to_image_lora.py`. It is not
part of this repository. It wants five picture transforms of torchvision, without which this project does: where
torchvision can't be imported, a stand-in of the same five on Pillow and torch takes its place, and the report says so.

Both sides run in turn, a process each, with as many OpenMP threads: the shipped pocket model at 128 px, LoRA of the
same rank in the same precision, the same batch and steps, flips and min-SNR weights, nothing rehearsed. Ours has
its own targets, all of the transformer blocks, where theirs are the attentions alone. A step is the time from one step
of the optimiser to the next, told by the same hook on either side, the first two left out; set-up is all that comes
before the first, from the start of the process: for ours with every latent and text embedding of the dataset. CPU time
counts where others share the cores.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import resource
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fungal_assets.pocket import MODEL_DIR
from fungal_assets.profiles import get_profile
from fungal_assets.store import Store

RESOLUTION_PX, RUN_STEPS, SETTLING = 128, 300, 2
COUNTED = 6
"""Steps whose arithmetic is counted; the median is taken, as what is done between two of them may be no step's."""
ALONE = {"rehearsal_share": 0.0, "class_share": 0.0, "name_share": 0.0}
PRECISIONS = {"float32": "no", "bfloat16": "bf16"}
"""The names of a precision here and in the script."""


def stand_in_for_torchvision() -> None:
    """Offer `torchvision.transforms` with what the script asks of it, on Pillow and torch.

    transformers looks for torchvision once and remembers; it must not take the stand-in for the library.
    """
    import enum
    from importlib.machinery import ModuleSpec

    import numpy as np
    import torch
    from PIL import Image
    from transformers.utils import is_torchvision_available

    assert not is_torchvision_available()

    class InterpolationMode(enum.Enum):
        LANCZOS = Image.Resampling.LANCZOS

    def compose(steps: list[Callable[[Any], Any]]) -> Callable[[Any], Any]:
        def run(value: Any) -> Any:
            for step in steps:
                value = step(value)
            return value

        return run

    def resize(side: int, interpolation: InterpolationMode) -> Callable[[Image.Image], Image.Image]:
        def run(image: Image.Image) -> Image.Image:
            scale = side / min(image.size)
            size = tuple(round(length * scale) for length in image.size)
            return image if image.size == size else image.resize(size, interpolation.value)

        return run

    def centre(side: int) -> Callable[[Image.Image], Image.Image]:
        def run(image: Image.Image) -> Image.Image:
            left, top = ((length - side) // 2 for length in image.size)
            return image.crop((left, top, left + side, top + side))

        return run

    def flip() -> Callable[[Image.Image], Image.Image]:
        def run(image: Image.Image) -> Image.Image:
            return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if torch.rand(()) < 0.5 else image

        return run

    def to_tensor(image: Image.Image) -> torch.Tensor:
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)

    transforms = types.ModuleType("torchvision.transforms")
    vars(transforms).update(
        InterpolationMode=InterpolationMode,
        Compose=compose,
        Resize=resize,
        CenterCrop=centre,
        RandomHorizontalFlip=flip,
        ToTensor=lambda: to_tensor,
        Normalize=lambda mean, spread: lambda image: (image - mean[0]) / spread[0],
    )
    module = types.ModuleType("torchvision")
    vars(module).update(transforms=transforms, __spec__=ModuleSpec("torchvision", None))
    sys.modules |= {"torchvision": module, "torchvision.transforms": transforms}


class EnoughSteps(BaseException):
    """Ends a training whose steps have been counted."""


def end_after(steps: int, note: Callable[[], None]) -> None:
    """Call `note` after every step of whatever optimiser this process has, and end the training at `steps`."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    seen: list[None] = []

    def hear(*_: object) -> None:
        note()
        seen.append(None)
        if len(seen) == steps:
            raise EnoughSteps

    register_optimizer_step_post_hook(hear)


def record_steps(steps: int, run: Callable[[], object]) -> dict[str, Any]:
    """Run a training for so many steps: median `cpu_s` and `wall_s` of one, set-up, and the peak memory."""
    stamps: list[tuple[float, float]] = []
    started_s = float(os.environ["STARTED_S"])
    end_after(steps, lambda: stamps.append((time.process_time(), time.time() - started_s)))
    with contextlib.suppress(EnoughSteps):
        run()
    settled = stamps[SETTLING:]
    gaps = [(later[0] - sooner[0], later[1] - sooner[1]) for sooner, later in itertools.pairwise(settled)]
    cpu_s, wall_s = (statistics.median(column) for column in zip(*gaps, strict=True))
    return {
        "cpu_s": cpu_s,
        "wall_s": wall_s,
        "setup_cpu_s": stamps[0][0] - cpu_s,
        "setup_wall_s": stamps[0][1] - wall_s,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


def run_theirs(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The script, as it is."""
    pictures = Store(args.store).get("captioned_dataset", str(RESOLUTION_PX)).path / "imagefolder/train"
    settings = ours_of(args)
    sys.argv = [
        str(args.script),
        f"--pretrained_model_name_or_path={MODEL_DIR}",
        f"--train_data_dir={pictures}",
        "--caption_column=text",
        f"--resolution={RESOLUTION_PX}",
        "--center_crop",
        "--random_flip",
        f"--train_batch_size={settings['batch_size']}",
        f"--max_train_steps={RUN_STEPS}",
        f"--rank={settings['lora_rank']}",
        f"--learning_rate={settings['learning_rate']}",
        "--lr_scheduler=cosine",
        f"--snr_gamma={settings['min_snr_gamma']}",
        f"--mixed_precision={PRECISIONS[args.precision]}",
        "--seed=0",
        f"--cache_dir={folder / 'cache'}",
        f"--output_dir={folder / 'theirs'}",
    ]
    has_torchvision = True
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        has_torchvision = False
        stand_in_for_torchvision()
    figures = record_steps(args.steps, lambda: runpy.run_path(str(args.script), run_name="__main__"))
    return figures | {"has_torchvision": has_torchvision}


def ours_of(args: argparse.Namespace) -> dict[str, Any]:
    """The settings of the profile pocket, with nothing rehearsed and captions alone."""
    return dict(get_profile("pocket").settings["fine_tuned_weights"]) | ALONE | {"precision": args.precision}


def tune_ours(args: argparse.Namespace, folder: Path) -> None:
    """`tune`, into an empty folder."""
    from tuned import tune_by_profile

    dataset = Store(args.store).get("captioned_dataset", str(RESOLUTION_PX)).path
    tune_by_profile(dataset, None, folder / "ours", ours_of(args) | {"checkpoint_every_s": 1e9})


def run_ours(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Our loop, as a growth runs it."""
    return record_steps(args.steps, lambda: tune_ours(args, folder))


def run_peak(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """What this machine multiplies (`matmul_gflop_a_cpu_s`), and how much a step of ours does (`gflop_a_step`)."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    matrix = torch.randn(2048, 2048, dtype=getattr(torch, args.precision))
    found = []
    for _ in range(9):
        start_s = time.process_time()
        matrix @ matrix
        found.append(2 * 2048**3 / (time.process_time() - start_s) / 1e9)
    totals: list[float] = []
    with FlopCounterMode(display=False) as counter, contextlib.suppress(EnoughSteps):
        end_after(COUNTED, lambda: totals.append(counter.get_total_flops() / 1e9))
        tune_ours(args, folder)
    work = statistics.median(later - sooner for sooner, later in itertools.pairwise(totals))
    return {"matmul_gflop_a_cpu_s": statistics.median(found), "gflop_a_step": work}


SIDES = {"theirs": run_theirs, "ours": run_ours, "peak": run_peak}


def measure(side: str, args: argparse.Namespace) -> dict[str, Any]:
    """The figures of one side in a process of its own."""
    given = [str(args.script), str(args.store), f"--threads={args.threads}", f"--steps={args.steps}"]
    threads = {"OMP_NUM_THREADS": str(args.threads), "OMP_WAIT_POLICY": "PASSIVE"}
    offline = {"HF_HUB_OFFLINE": "1", "STARTED_S": repr(time.time())}
    command = [sys.executable, __file__, *given, f"--precision={args.precision}", f"--side={side}"]
    done = subprocess.run(command, env=os.environ | threads | offline, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def median_of(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians by name."""
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def report(args: argparse.Namespace, found: Mapping[str, dict[str, Any]], peak: Mapping[str, float]) -> None:
    """Print both sides, their ratios and the share of the peak."""
    batch, images = ours_of(args)["batch_size"], ours_of(args)["batch_size"] * RUN_STEPS
    wholes = {side: one["setup_cpu_s"] + RUN_STEPS * one["cpu_s"] for side, one in found.items()}
    for side, one in found.items():
        print(
            f"{side}: a step {one['cpu_s']:.3f} CPU-s and {one['wall_s']:.3f} s, {batch / one['cpu_s']:.1f} images a "
            f"CPU-s and {batch / one['wall_s']:.1f} a second; set-up {one['setup_cpu_s']:.1f} CPU-s, with it "
            f"{images / wholes[side]:.1f} images a CPU-s over {RUN_STEPS} steps; peak {one['peak_mb']:.0f} MB"
        )
    theirs, ours = found["theirs"], found["ours"]
    stood_in = "torchvision itself" if theirs["has_torchvision"] else "a stand-in for torchvision"
    print(
        f"ours over theirs: {theirs['cpu_s'] / ours['cpu_s']:.2f} by CPU time, {theirs['wall_s'] / ours['wall_s']:.2f} "
        f"by wall time, {wholes['theirs'] / wholes['ours']:.2f} with set-up over {RUN_STEPS} steps ({args.precision}, "
        f"batch {batch}, {args.threads} threads, medians of {args.rounds} rounds of {args.steps} steps, {stood_in})"
    )
    work, rate = peak["gflop_a_step"], peak["matmul_gflop_a_cpu_s"]
    print(
        f"a step of ours is {work:.1f} GFLOP; matrices multiply at {rate:.0f} GFLOP a CPU-s, of which we reach "
        f"{work / ours['cpu_s'] / rate:.0%}; at all of it the ratio would be {theirs['cpu_s'] * rate / work:.2f}"
    )


def main() -> None:
    """Compare, or be one side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("script", type=Path)
    parser.add_argument("store")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--side", choices=SIDES)
    args = parser.parse_args()
    if args.side:
        with tempfile.TemporaryDirectory() as folder:
            print("\n" + json.dumps(SIDES[args.side](args, Path(folder))))
        return
    rounds = [{side: measure(side, args) for side in ("theirs", "ours")} for _ in range(args.rounds)]
    found = {side: median_of([one[side] for one in rounds]) for side in ("theirs", "ours")}
    report(args, found, measure("peak", args))


if __name__ == "__main__":
    main()
