"""Nodal analysis: the voltages at which as much current leaves every node as comes in.

With rising characteristics the state is the minimum of a convex function (Millar's content), so Newton's method with
an exact search along each step finds it from anywhere. The matrix is that of a graph close to a tree and stays sparse.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lab.network.signals.curve import Curve

Edge = tuple[int, int, Curve]
"""From node, to node, what is between them."""

TO_EARTH: Final = 1e-9
"""Siemens from every node to earth, so that a circuit that touches nothing has a potential too."""
_EXACT: Final = 1e-10
"""Amperes left over at a node that count as none."""
_STEPS: Final = 200
_HALVINGS: Final = 60
_ROUNDING: Final = 1e-9


def solve(nodes: int, edges: Sequence[Edge], start: Sequence[float] | None = None) -> list[float]:
    """Volts of each node against earth; `start` is where to begin looking, best the state before a small change."""
    volts = list(start) if start is not None else [0.0] * nodes
    for _ in range(_STEPS):
        excess, rows = _linearise(volts, edges)
        step = _eliminate(rows, [-amperes for amperes in excess])
        share = _search(volts, step, edges)
        volts = [v + share * dv for v, dv in zip(volts, step, strict=True)]
        if max(map(abs, _excess(volts, edges)), default=0.0) <= _tolerance(volts, edges):
            break
    return volts


def _tolerance(volts: Sequence[float], edges: Sequence[Edge]) -> float:
    """What rounding leaves over where large conductances meet."""
    steepest = max((abs(volts[a]) * curve.at(volts[a] - volts[b])[1] for a, b, curve in edges), default=0.0)
    return _EXACT + 1e-14 * steepest


def _excess(volts: Sequence[float], edges: Sequence[Edge]) -> list[float]:
    """Amperes that leave each node."""
    excess = [TO_EARTH * v for v in volts]
    for a, b, curve in edges:
        amperes, _ = curve.at(volts[a] - volts[b])
        excess[a] += amperes
        excess[b] -= amperes
    return excess


def _linearise(volts: Sequence[float], edges: Sequence[Edge]) -> tuple[list[float], list[dict[int, float]]]:
    """The same, and how it changes with the voltages: the matrix of conductances, by rows."""
    excess = [TO_EARTH * v for v in volts]
    rows = [{node: TO_EARTH} for node in range(len(volts))]
    for a, b, curve in edges:
        amperes, siemens = curve.at(volts[a] - volts[b])
        excess[a] += amperes
        excess[b] -= amperes
        rows[a][a] += siemens
        rows[b][b] += siemens
        rows[a][b] = rows[a].get(b, 0.0) - siemens
        rows[b][a] = rows[b].get(a, 0.0) - siemens
    return excess, rows


def _eliminate(rows: list[dict[int, float]], right: list[float]) -> list[float]:
    """Solve a symmetric, positive definite system, the node with the fewest neighbours first."""
    left = set(range(len(rows)))
    order: list[int] = []
    while left:
        pivot = min(left, key=lambda node: (len(rows[node]), node))
        left.discard(pivot)
        order.append(pivot)
        row = rows[pivot]
        diagonal = row[pivot]
        others = [(node, value) for node, value in row.items() if node != pivot]
        for node, value in others:
            factor = value / diagonal
            target = rows[node]
            del target[pivot]
            right[node] -= factor * right[pivot]
            for other, over in others:
                target[other] = target.get(other, 0.0) - factor * over
    solution = [0.0] * len(rows)
    for pivot in reversed(order):
        row = rows[pivot]
        rest = sum(value * solution[node] for node, value in row.items() if node != pivot)
        solution[pivot] = (right[pivot] - rest) / row[pivot]
    return solution


def _search(volts: Sequence[float], step: Sequence[float], edges: Sequence[Edge]) -> float:
    """How far to go along a step: where the content is least, or all of it where that is further."""
    if _slope(volts, step, edges, 1.0) <= _ROUNDING * abs(_slope(volts, step, edges, 0.0)):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _slope(volts, step, edges, middle) > 0:
            high = middle
        else:
            low = middle
    return high


def _slope(volts: Sequence[float], step: Sequence[float], edges: Sequence[Edge], share: float) -> float:
    there = [v + share * dv for v, dv in zip(volts, step, strict=True)]
    return sum(amperes * dv for amperes, dv in zip(_excess(there, edges), step, strict=True))
