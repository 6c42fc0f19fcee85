import threading
import time

import pytest

from sigstyle.errors import BusyError, Cancelled
from sigstyle.studio.lane import Job, Lane, Update
from sigstyle.studio.words import duration, progress


class Gate:
    """Work that begins, waits until it is let go, and stops when asked."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, job: Job[str]) -> str:
        self.begun.set()
        while not self.go.wait(0.01):
            if job.should_stop():
                raise Cancelled("stopped")
        return "result"


def test_work_is_done_in_the_order_it_came_one_at_a_time() -> None:
    lane, order = Lane("here"), []
    gate = Gate()
    first = lane.submit(gate)
    later = [lane.submit(lambda job, n=n: order.append(n)) for n in range(3)]
    gate.begun.wait(5)
    assert [lane.before(job) for job in (first, *later)] == [0, 1, 2, 3]
    assert order == []
    gate.go.set()
    assert first.wait() == "result"
    later[-1].wait()
    assert order == [0, 1, 2]


def test_a_stopped_job_leaves_the_line_and_the_others_move_up() -> None:
    lane, gate = Lane("here"), Gate()
    lane.submit(gate)
    gate.begun.wait(5)
    dropped, kept = lane.submit(lambda job: "no"), lane.submit(lambda job: "yes")
    dropped.stop()
    assert dropped.latest.state == "stopped" and lane.before(kept) == 1
    with pytest.raises(Cancelled):
        dropped.result()
    gate.go.set()
    assert kept.wait() == "yes"


def test_running_work_is_stopped_and_the_lane_goes_on() -> None:
    lane, gate = Lane("here"), Gate()
    job = lane.submit(gate)
    gate.begun.wait(5)
    job.stop()
    with pytest.raises(Cancelled):
        job.wait()
    assert lane.submit(lambda job: 1).wait() == 1


def test_a_failure_reaches_whoever_asked_and_nobody_else() -> None:
    lane = Lane("here")

    def broken(job: Job[int]) -> int:
        raise ValueError("broken")

    failed, fine = lane.submit(broken), lane.submit(lambda job: 2)
    with pytest.raises(ValueError, match="broken"):
        failed.wait()
    assert fine.wait() == 2 and failed.latest.state == "failed"


def test_a_full_line_says_so() -> None:
    lane, gate = Lane("here", room=1), Gate()
    lane.submit(gate)
    gate.begun.wait(5)
    waiting = lane.submit(lambda job: 1)
    with pytest.raises(BusyError, match=r"1 jobs are waiting.*Try again"):
        lane.submit(lambda job: 2)
    gate.go.set()
    waiting.wait()


def test_following_shows_the_way_and_ends() -> None:
    lane = Lane("here")

    def work(job: Job[str]) -> str:
        for step in range(3):
            job.report(done=step + 1, total=3, note="photo 1 of 1")
            time.sleep(0.02)
        return "made"

    job = lane.submit(work)
    seen = list(job.follow(every_s=0))
    assert seen[-1].state == "done" and seen[-1].done == 3
    assert job.result() == "made"


def test_giving_up_on_following_stops_the_job() -> None:
    lane, gate = Lane("here"), Gate()
    job = lane.submit(gate)
    following = job.follow(every_s=0)
    next(following)
    following.close()
    with pytest.raises(Cancelled):
        job.wait()


def test_the_time_left_follows_from_what_is_done() -> None:
    lane, eta = Lane("here"), []

    def work(job: Job[None]) -> None:
        time.sleep(0.1)
        job.report(done=1, total=4)
        eta.append(job.latest.eta_s)

    lane.submit(work).wait()
    assert 0.25 < eta[0] < 1.5


@pytest.mark.parametrize(
    ("update", "words"),
    [
        (Update("waiting"), "Starting …"),
        (Update("waiting", before=2), "Waiting: 2 before you"),
        (Update("running", done=12, total=40, eta_s=8), "Painting · 12 of 40 · about 8 s left"),
        (Update("running", done=1, total=4, note="photo 2 of 3"), "Painting photo 2 of 3 · 1 of 4"),
        (Update("stopped"), "Stopped."),
    ],
)
def test_progress_in_words(update: Update, words: str) -> None:
    assert progress(update, "Painting") == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "a moment"), (8, "8 s"), (42, "40 s"), (200, "3 min"), (7300, "2 h")]
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
