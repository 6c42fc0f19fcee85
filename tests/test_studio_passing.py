"""Work that gives way, work that is found again, and work that nobody follows."""

import threading
import time

import pytest
from test_studio import ANNA, BERT, base, studio
from test_studio_lane import Gate

from sigstyle.errors import Cancelled
from sigstyle.studio.lane import Job, Lane
from sigstyle.studio.studio import Studio, Who

__all__ = ["base", "studio"]  # fixtures
ANNA_RELOADED = Who(ANNA.person, "page-a-again")


def test_long_work_lets_short_work_pass_and_goes_on() -> None:
    lane, order, gate = Lane("here"), list[str](), Gate()

    def long(job: Job[str]) -> str:
        order.append("long begins")
        gate(job)
        assert lane.is_wanted()
        job.make_way()
        assert not lane.is_wanted()
        order.append("long ends")
        return "long"

    first = lane.submit(long, gives_way=True)
    gate.begun.wait(5)
    other = lane.submit(lambda job: order.append("other"), gives_way=True)
    short = [lane.submit(lambda job, n=n: order.append(n)) for n in ("1", "2")]
    assert [lane.before(job) for job in (first, other, *short)] == [0, 1, 0, 1]
    gate.go.set()
    other.wait()
    assert first.result() == "long" and order == ["long begins", "1", "2", "long ends", "other"]


def test_a_failure_of_what_passes_is_its_own() -> None:
    lane, begun, go = Lane("here"), threading.Event(), threading.Event()

    def long(job: Job[str]) -> str:
        begun.set()
        go.wait(5)
        job.make_way()
        return "made"

    job = lane.submit(long, gives_way=True)
    begun.wait(5)
    failing = lane.submit(lambda job: 1 / 0)
    go.set()
    assert job.wait() == "made"
    with pytest.raises(ZeroDivisionError):
        failing.result()


def test_work_whose_page_is_gone_goes_on_for_a_while_and_is_found_again(studio: Studio) -> None:
    gate = Gate()
    job = studio.submit(ANNA, "restyle", gate)
    following = job.follow(every_s=0, patience_s=60)
    next(following)
    following.close()
    gate.begun.wait(5)
    assert not job.should_stop()
    assert studio.under_way(BERT, "restyle") is None and studio.under_way(ANNA_RELOADED, "learn") is None
    assert studio.under_way(ANNA_RELOADED, "restyle") is job
    assert not studio.stop(BERT, "restyle") and studio.stop(ANNA_RELOADED, "restyle")
    with pytest.raises(Cancelled):
        job.wait()
    assert studio.under_way(ANNA, "restyle") is None


def test_work_that_nobody_comes_back_to_ends() -> None:
    gate = Gate()
    job = Lane("here").submit(gate)
    following = job.follow(every_s=0, patience_s=0.05)
    next(following)
    following.close()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        job.wait()
    assert time.monotonic() - began < 5


def test_one_page_that_is_closed_does_not_stop_what_another_follows() -> None:
    gate = Gate()
    job = Lane("here").submit(gate)
    first, second = job.follow(every_s=0), job.follow(every_s=0)
    next(first)
    next(second)
    first.close()
    assert not job.should_stop()
    gate.go.set()
    assert job.wait() == "result"
