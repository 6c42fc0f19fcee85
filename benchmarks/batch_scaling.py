"""What several workers make of a batch, SIMULATED from measured times: units taken one by one, against a fixed split.

    python benchmarks/batch_scaling.py --unit-s 70 --start-s 8 --units 1000

`--unit-s` is the measured time of one unit (a photo in all its styles) on one worker, `--start-s` that until a process
paints. Each unit's time varies by `--spread`; taking one costs `--claim-s`. Three fleets: equal workers, one of them at
half speed, and one that is killed halfway, whose unit is taken over.
"""

import argparse
import heapq
import random
import statistics
from collections.abc import Sequence

WORKERS = (1, 2, 4, 8, 16)


def taken_one_by_one(units: Sequence[float], speeds: Sequence[float], start_s: float, claim_s: float) -> float:
    """Seconds until all is done when whoever is free takes the next unit."""
    free = [(start_s, number) for number in range(len(speeds))]
    heapq.heapify(free)
    for unit in units:
        when, number = heapq.heappop(free)
        heapq.heappush(free, (when + claim_s + unit / speeds[number], number))
    return max(when for when, _ in free)


def split_beforehand(units: Sequence[float], speeds: Sequence[float], start_s: float) -> float:
    """Seconds until all is done when every worker gets an equal share at the start."""
    return start_s + max(sum(units[number :: len(speeds)]) / speed for number, speed in enumerate(speeds))


def with_one_killed(units: Sequence[float], workers: int, start_s: float, claim_s: float) -> float:
    """Seconds until all is done when one of equal workers dies halfway; its unit is begun anew by another."""
    half = taken_one_by_one(units, [1.0] * workers, start_s, claim_s) / 2
    left = [(start_s if number else float("inf"), number) for number in range(workers)]
    mine, queue = start_s, list(units)
    heapq.heapify(left)
    while queue:
        when, number = heapq.heappop(left)
        if mine <= min(when, half):
            heapq.heappush(left, (when, number))
            if mine + claim_s + queue[0] > half:
                mine = float("inf")  # dies with this unit, which stays in the queue
            else:
                mine += claim_s + queue.pop(0)
            continue
        heapq.heappush(left, (when + claim_s + queue.pop(0), number))
    return max(when for when, _ in left if when != float("inf"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unit-s", type=float, required=True, help="measured seconds of one photo in all its styles")
    parser.add_argument("--start-s", type=float, required=True, help="measured seconds until a process paints")
    parser.add_argument("--claim-s", type=float, default=0.01, help="seconds to take a unit")
    parser.add_argument("--units", type=int, default=1000)
    parser.add_argument("--spread", type=float, default=0.15, help="standard deviation of a unit's time, as a share")
    parser.add_argument("--draws", type=int, default=20)
    given = parser.parse_args()
    chance = random.Random(0)

    def draw() -> list[float]:
        return [given.unit_s * max(0.2, chance.gauss(1, given.spread)) for _ in range(given.units)]

    draws = [draw() for _ in range(given.draws)]
    alone = statistics.mean(taken_one_by_one(units, [1.0], given.start_s, given.claim_s) for units in draws)
    print(f"simulated: {given.units} units of {given.unit_s:g} s ± {given.spread:.0%}, start {given.start_s:g} s\n")
    print("| workers | equal | one slow | one slow, split beforehand | one killed halfway |")
    print("| --- | --- | --- | --- | --- |")
    for count in WORKERS:
        slow = [1.0] * (count - 1) + [0.5]
        columns = [
            [taken_one_by_one(units, [1.0] * count, given.start_s, given.claim_s) for units in draws],
            [taken_one_by_one(units, slow, given.start_s, given.claim_s) for units in draws],
            [split_beforehand(units, slow, given.start_s) for units in draws],
            [with_one_killed(units, count, given.start_s, given.claim_s) for units in draws] if count > 1 else [],
        ]
        print(f"| {count} | " + " | ".join(f"{alone / statistics.mean(c):.2f}" if c else "" for c in columns) + " |")


if __name__ == "__main__":
    main()
