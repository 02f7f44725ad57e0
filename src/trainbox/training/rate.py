"""How fast a run goes: images a second, and how much of the time it waited for them."""

from dataclasses import dataclass


@dataclass
class Rate:
    """Images a second while training, validation and the compiling first step left out."""

    images: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self._last: float | None = None
        self._compiled = False
        self._epoch = (0, 0.0)

    def begin(self, now: float) -> None:
        """Begin an epoch."""
        self._last = now
        self._epoch = (self.images, self.seconds)

    def count(self, images: int, now: float) -> None:
        """Count the images of a step that is finished."""
        if self._compiled and self._last is not None:
            self.images += images
            self.seconds += now - self._last
        self._compiled = True
        self._last = now

    def of_epoch(self) -> float:
        """Return the rate of the epoch under way, 0 before its second step."""
        images, seconds = self.images - self._epoch[0], self.seconds - self._epoch[1]
        return images / seconds if seconds else 0.0

    def of_all(self) -> float:
        """Return the rate of all epochs."""
        return self.images / self.seconds if self.seconds else 0.0


@dataclass
class Waiting:
    """Seconds in which the step before was finished and the next batch was not there yet.

    Batches are read while a step computes, so what reading takes is not what training waits.
    """

    seconds: float = 0.0
    elapsed: float = 0.0
    all_seconds: float = 0.0
    all_elapsed: float = 0.0

    def __post_init__(self) -> None:
        self._last = 0.0

    def begin(self, now: float) -> None:
        """Begin an epoch."""
        self.seconds = self.elapsed = 0.0
        self._last = now

    def count(self, handed_over: float, now: float) -> None:
        """Count a step that is finished ``now``, whose batch was there at ``handed_over``."""
        waited, took = max(0.0, handed_over - self._last), now - self._last
        self.seconds += waited
        self.elapsed += took
        self.all_seconds += waited
        self.all_elapsed += took
        self._last = now

    def share(self) -> float:
        """Return the share of the epoch under way, 0 to 1."""
        return self.seconds / self.elapsed if self.elapsed else 0.0

    def share_of_all(self) -> float:
        """Return the share of all epochs."""
        return self.all_seconds / self.all_elapsed if self.all_elapsed else 0.0
