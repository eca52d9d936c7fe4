"""How far the episodes of a tenant are consolidated."""

from bisect import bisect_right
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class Numbered(Protocol):
    """A row of an episode."""

    @property
    def seq(self) -> int: ...


@dataclass(slots=True)
class Progress:
    """Every episode up to a number is consolidated, but for those that were passed over.

    So an episode costs nothing here before it is consolidated, and nothing afterwards.

    Attributes:
        through: that number.
        passed_over: numbers up to `through`, ascending; some of them may have been erased since.
    """

    through: int = 0
    passed_over: dict[int, None] = field(default_factory=dict[int, None])

    def lacks(self, seq: int) -> bool:
        """Whether an episode is not consolidated."""
        return seq > self.through or seq in self.passed_over

    def mark(self, seq: int, rows: Sequence[Numbered]) -> None:
        """Note that an episode is consolidated.

        Args:
            rows: all of the tenant, in order.
        """
        if seq <= self.through:
            self.passed_over.pop(seq, None)
            return
        for row in _beyond(self.through, rows):
            if row.seq >= seq:
                break
            self.passed_over[row.seq] = None
        self.through = seq

    def stale(self, by_seq: Container[int]) -> Sequence[int]:
        """Return what was passed over, and erased since."""
        return [seq for seq in self.passed_over if seq not in by_seq]

    def drop(self, seqs: Iterable[int]) -> None:
        for seq in seqs:
            del self.passed_over[seq]

    def left(self, rows: Sequence[Numbered], by_seq: dict[int, int], *, after: int) -> Iterator[int]:
        """Yield the indices of rows beyond `after` that are not consolidated, in order."""
        for seq in self.passed_over:
            if seq > after and seq in by_seq:
                yield by_seq[seq]
        yield from range(_first_beyond(max(after, self.through), rows), len(rows))


def _beyond(seq: int, rows: Sequence[Numbered]) -> Iterator[Numbered]:
    return (rows[index] for index in range(_first_beyond(seq, rows), len(rows)))


def _first_beyond(seq: int, rows: Sequence[Numbered]) -> int:
    return bisect_right(rows, seq, key=lambda row: row.seq)
