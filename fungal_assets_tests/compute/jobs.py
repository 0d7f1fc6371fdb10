"""Small functions to map, importable by a worker."""

import os
import signal
import time
from pathlib import Path

from fungal_assets import compute
from fungal_assets.errors import InputError


def square(number):
    return number * number


def wait(seconds):
    time.sleep(seconds)
    return seconds


def describe_worker(_):
    return os.getpid(), os.environ.get("OMP_NUM_THREADS")


def refuse_odd(number):
    if number % 2:
        raise InputError(f"{number} is odd")
    return number


def divide(number):
    return 1 / number


def die_at_two(number):
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_once(place):
    if not Path(place).exists():
        Path(place).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def map_inside(number):
    return compute.map(square, [number], processes=1), os.environ["FUNGAL_COMPUTE"]
