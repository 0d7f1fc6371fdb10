"""CPU seconds of rendering a fungus at 512 px, against the same fungus at 128 px, for every morphotype.

Run: python benchmarks/fungarium.py [EACH]. Bar: 2 CPU-s a picture of 512 px. The ratio says what the pixels cost: there
are sixteen times as many, but grass, stones and forms are set up once whatever the size.
"""

import statistics
import sys
import time

import torch

from fungal_assets.pocket.fungarium import MORPHOTYPES, Traits, render, sample_traits

SEED = 8_000_000


def cpu_s(traits: Traits, size_px: int) -> float:
    """CPU seconds of one render, all threads together."""
    start_s = time.process_time()
    render(traits, size_px=size_px)
    return time.process_time() - start_s


def main() -> None:
    """Print the median and the worst picture of each size."""
    each = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    torch.set_num_threads(1)
    traits = [sample_traits(SEED + i, morphotype=name) for i, name in enumerate(MORPHOTYPES * each)]
    cpu_s(traits[0], 512)
    pairs = [(cpu_s(one, 128), cpu_s(one, 512)) for one in traits]
    small_s, large_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    places = [f"{one.morphotype}, {one.habitat}" for one in traits]
    worst_s, worst = max((pair[1], place) for pair, place in zip(pairs, places, strict=True))
    print(
        f"128 px {small_s:.2f} CPU-s, 512 px {large_s:.2f} CPU-s, ratio {large_s / small_s:.1f} "
        f"(medians of {len(pairs)}); slowest {worst_s:.2f} CPU-s, {worst}"
    )


if __name__ == "__main__":
    main()
