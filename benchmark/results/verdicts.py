"""A comparison of defenses in words: what is said is what `Judgement.called` says, with its reasons and its gaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmark.results.comparison import Comparison, Judgement
from benchmark.results.intervals import Interval
from benchmark.results.statistics import LEAST_ATTACKS
from benchmark.words import counted, rounded


def verdict(one: Comparison, comparisons: int = 1) -> str:
    """One sentence: who removes more of the attack, how sure that is, and what it costs.

    Args:
        one: the comparison.
        comparisons: how many there are with the same reference, for Holm's correction.
    """
    judgement = one.judgement
    if judgement is None:
        both = f"{one.reference} and {one.other}"
        return f"{both} cannot be compared: there is no attack on one board for which both are ranked."
    forward = judgement.mean >= 0
    more, less = (one.other, one.reference) if forward else (one.reference, one.other)
    bounds = _interval(judgement.interval, forward)
    what = f"{_points(abs(judgement.mean))} points more of the attack"
    test, price, units = _test(judgement, comparisons), _prices(one, forward), _units(one)
    if judgement.called:
        return f"{more} removes {what} than {less}{bounds} over {units}, {price}; {test}."
    if judgement.p is None:
        few = counted(judgement.attacks, "attack")
        seen = f"{more} removed {what} than {less}{bounds} over {units}, {price}"
        return f"{seen}: {few} cannot show a difference, {LEAST_ATTACKS} are needed."
    why = "" if judgement.interval is None or judgement.interval.holds(0) else ", though the interval leaves out 0"
    seen = f"{more} removes {what}{bounds} over {units}, {price}"
    return f"No difference was found between {one.reference} and {one.other}{why}: {seen}; {test}."


def remarks(one: Comparison) -> list[str]:
    """Sentences behind the verdict: boards, the worst attack of each, what was left out, and what to be careful of."""
    found = [*_boards(one), *_worst(one), *_left_out(one), *one.notes]
    if one.missing:
        runs = sum(len(missing.seeds) for missing in one.missing)
        found.append(f"Missing for a fair pairing: {counted(runs, 'run')}.")
    return found


def board(place: Sequence[str]) -> str:
    """A board in words, without what is `none`."""
    return ", ".join(name for name in place if name != "none")


def _boards(one: Comparison) -> Iterator[str]:
    if one.boards:
        many = len(one.boards) > 1
        yield f"Board{'s' * many}: {'; '.join(map(board, one.boards))}."


def _worst(one: Comparison) -> Iterator[str]:
    told = []
    for defense in (one.reference, one.other):
        if worst := one.worst(defense):
            pair, share = worst
            where = f" on {pair.board[0]}" if len(one.boards) > 1 else ""
            told.append(f"{defense} {100 * share:.1f} % of {pair.attack}{where}")
    if told:
        yield f"Worst attack: {', '.join(told)} removed."


def _left_out(one: Comparison) -> Iterator[str]:
    if one.left_out:
        counts = ", ".join(f"{count} {reason}" for reason, count in sorted(one.left_out.items()))
        total = sum(one.left_out.values())
        yield f"Left out of mean, interval and test: {total} of {len(one.pairs)} ({counts})."


def _units(one: Comparison) -> str:
    seeds = sorted({len(pair.seeds) for pair in one.used})
    span = counted(seeds[0], "seed") if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"
    boards = f" on {len(one.boards)} boards" if len(one.boards) > 1 else ""
    return f"{counted(len(one.used), 'attack')}{boards} x {span}"


def _prices(one: Comparison, forward: bool) -> str:
    places = (("backdoored", "defended", "on the victim"), ("sham", "control", "on a model without a backdoor"))
    told = []
    for before, after, where in places:
        cost = (one.cost(before, after) or 0.0) * (1 if forward else -1)
        points = _points(abs(cost))
        told.append(
            f"{'as much' if points == '0.0' else f'{points} points ' + ('more' if cost > 0 else 'less')} {where}"
        )
    return f"costs clean accuracy: {told[0]}, {told[1]}"


def _test(judgement: Judgement, comparisons: int) -> str:
    p = judgement.adjusted
    if p is None:
        return "no test"
    told = f"Wilcoxon p {'< 0.001' if p < 0.001 else f'= {p:.2g}'}"
    return f"{told} (Holm, {comparisons} comparisons)" if comparisons > 1 else told


def _interval(interval: Interval | None, forward: bool) -> str:
    if interval is None:
        return ""
    low, high = interval if forward else (-interval.high, -interval.low)
    return f" [{_points(low)}, {_points(high)}]"


def _points(share: float) -> str:
    return rounded(100 * share, 1)
