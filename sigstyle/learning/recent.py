"""What was found lately, so that the same question is not worked out twice."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """The answers to the last few questions; for whatever always has the same answer. Threads may share it."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._found: OrderedDict[str, T] = OrderedDict()

    def get(self, question: str, find: Callable[[], T]) -> T:
        """The answer as it was found before, or as `find` finds it now."""
        with self._lock:
            if question in self._found:
                self._found.move_to_end(question)
                return self._found[question]
        answer = find()
        with self._lock:
            self._found[question] = answer
            while len(self._found) > self._most:
                self._found.popitem(last=False)
        return answer
