"""How fast a backlog goes out: never so fast that it crowds out what is new."""

from __future__ import annotations


class Pace:
    """Every new message may be followed by one from the queue, and `rate` more each second."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._burst = max(1.0, rate / 10)
        self._credit = self._burst
        self._at = 0.0

    def begin(self, now: float) -> None:
        self._credit, self._at = self._burst, now

    def earn(self) -> None:
        """Something new joins the queue."""
        self._credit += 1

    def pause(self, now: float) -> float:
        """Seconds until another message may go; 0 where it may now."""
        earned, self._at = (now - self._at) * self._rate, now
        # What new messages have earned is never taken away.
        self._credit = max(self._credit, min(self._credit + earned, self._burst))
        return 0.0 if self._credit >= 1 else (1 - self._credit) / self._rate

    def spend(self) -> None:
        self._credit -= 1
