"""A step of convolutions on all cores: OpenMP threads that sleep while they wait, as in `fungal grow`, or spin.

Run: python benchmarks/waiting.py [SECONDS]. Both sides run in turn, in a process each: alone, and beside one busy
process for each core. The ratios are the claim.
"""

import multiprocessing
import os
import subprocess
import sys
import time

ROUNDS = 3
POLICIES = {"as torch comes": {}, "sleeping": {"OMP_WAIT_POLICY": "PASSIVE"}}


def step_ms(seconds: float) -> float:
    """Mean wall milliseconds of a step in this process."""
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(os.cpu_count() or 1)
    kernel = torch.randn(128, 128, 3, 3, requires_grad=True)
    pictures = torch.randn(8, 128, 16, 16)

    def step() -> None:
        found = pictures
        for _ in range(20):
            found = F.silu(F.group_norm(F.conv2d(found, kernel, padding=1), 8))
        found.sum().backward()

    step()
    steps, start_s = 0, time.perf_counter()
    while time.perf_counter() - start_s < seconds:
        step()
        steps += 1
    return (time.perf_counter() - start_s) / steps * 1e3


def measure_ms(policy: dict[str, str], seconds: float) -> float:
    """As `step_ms`, in a process of its own with that policy."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, __file__, "--step", str(seconds)]
    return float(subprocess.run(command, env=plain | policy, check=True, capture_output=True).stdout)


def work_on() -> None:
    """What a busy neighbour does."""
    while True:
        pass


def compare(seconds: float, *, neighbours: int) -> None:
    """Print the best of each side and their ratio."""
    busy = [multiprocessing.Process(target=work_on, daemon=True) for _ in range(neighbours)]
    for process in busy:
        process.start()
    found = {name: [] for name in POLICIES}
    for _ in range(ROUNDS):
        for name, policy in POLICIES.items():
            found[name].append(measure_ms(policy, seconds))
    for process in busy:
        process.terminate()
    plain_ms, ours_ms = (min(found[name]) for name in POLICIES)
    print(
        f"beside {neighbours} busy processes: as torch comes {plain_ms:.0f} ms a step, sleeping {ours_ms:.0f} ms, "
        f"ratio {plain_ms / ours_ms:.2f} (best of {ROUNDS} rounds of {seconds:.0f} s, {os.cpu_count()} cores)"
    )


def main() -> None:
    """Compare alone and beside neighbours, or take the steps of one side."""
    if sys.argv[1:2] == ["--step"]:
        print(step_ms(float(sys.argv[2])))
        return
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    for neighbours in (0, os.cpu_count() or 1):
        compare(seconds, neighbours=neighbours)


if __name__ == "__main__":
    main()
