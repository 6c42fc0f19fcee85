"""How far a run is, in UNet evaluations, and whether it is to stop."""

from collections.abc import Callable
from dataclasses import dataclass, field

OnEvaluation = Callable[[int, int], None]  # (done, total)


def unwatched(done: int, total: int) -> None:
    """The `on_evaluation` of a run that nobody watches."""


def never() -> bool:
    """The `should_stop` of work that nobody stops."""
    return False


@dataclass
class Evaluations:
    """Counts UNet evaluations, announces each, and asks after each whether to stop: once it is yes, it stays yes."""

    total: int
    on_evaluation: OnEvaluation = unwatched
    should_stop: Callable[[], bool] = never
    done: int = field(default=0, init=False)
    _stopped: bool = field(default=False, init=False)

    def count(self) -> None:
        """One more is done."""
        self.done += 1
        self.on_evaluation(self.done, self.total)

    def stopped(self) -> bool:
        """Whether the run is to stop."""
        self._stopped = self._stopped or self.should_stop()
        return self._stopped
