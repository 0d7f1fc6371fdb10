import random
import time

import pytest

from fungal_assets.collection.parallel import MAX_THREADS, map_in_order


def test_results_come_in_the_order_of_the_items():
    def slow(number):
        time.sleep(random.Random(number).random() / 500)
        return number * number

    assert list(map_in_order(slow, range(60))) == [number * number for number in range(60)]


def test_a_source_is_not_read_far_ahead():
    taken = []
    results = map_in_order(
        lambda number: number, (taken.append(number) or number for number in range(10_000))
    )
    next(results)
    assert len(taken) <= 2 * MAX_THREADS
    results.close()


def test_an_error_in_the_work_comes_out():
    with pytest.raises(ZeroDivisionError):
        list(map_in_order(lambda number: 1 // number, [1, 0, 2]))
