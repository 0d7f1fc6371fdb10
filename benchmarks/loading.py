"""CPU time of loading the definitions against `import dagster` alone, in turn, in fresh interpreters.

Run: python benchmarks/loading.py [RUNS]. Bar: a ratio of at most 1.3.
"""

import os
import statistics
import subprocess
import sys

DAGSTER = "import dagster"
DEFINITIONS = "from fungal_assets.definitions import defs; defs()"


def cpu_s(code: str) -> float:
    """User and system seconds of a fresh interpreter that runs `code`."""
    before = os.times()
    subprocess.run([sys.executable, "-c", code], check=True)
    after = os.times()
    return (after.children_user - before.children_user) + (after.children_system - before.children_system)


def main() -> None:
    """Print both medians and the median of the ratios pair by pair."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    cpu_s(DEFINITIONS)
    pairs = [(cpu_s(DAGSTER), cpu_s(DEFINITIONS)) for _ in range(runs)]
    ratio = statistics.median(mine / theirs for theirs, mine in pairs)
    theirs, mine = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        f"import dagster {theirs:.2f} s, definitions {mine:.2f} s, ratio {ratio:.2f} (median of {runs} pairs)"
    )


if __name__ == "__main__":
    main()
