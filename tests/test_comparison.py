"""Comparisons of defenses on planted numbers: what is paired, what is called, what is left out, what is said."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Mapping

import numpy as np
import pytest
from synthetic import synthetic

from benchmark.errors import BadInput
from benchmark.record import Record
from benchmark.results.comparison import Comparison, compare, judged
from benchmark.results.comparison_tables import comma_separated, latex, markdown, terminal
from benchmark.results.leaderboard import cells
from benchmark.results.verdicts import remarks, verdict

ATTACKS = ("BadNets", "Blended", "Sig", "Ssba", "TaCT", "FTrojan", "Narcissus", "LabelConsistent")
GIVEN = {"Second": 0.12, "Third": 0.01}  # share removed beyond First's


def record(attack: str, defense: str, seed: int, removed: float, ca: float = 0.95, **changes: object) -> Record:
    """An attack of gain 1 of which a share is removed."""
    return synthetic(attack, defense, seed, {"defended": {"ca": ca, "asr": 1 - removed}}, **changes)


def planted(attacks: tuple[str, ...] = ATTACKS, seeds: int = 3) -> list[Record]:
    """First removes 40 to 54 %, Second 12 points more and 1 point of accuracy, Third 1 point more or less."""
    found = []
    for at, attack in enumerate(attacks):
        for seed in range(seeds):
            base = 0.4 + 0.02 * at + 0.01 * (seed - 1)
            found.append(record(attack, "First", seed, base))
            found.append(record(attack, "Second", seed, base + 0.12 + 0.004 * at, ca=0.94))
            found.append(record(attack, "Third", seed, base + 0.01 * (-1) ** at + 0.001 * at))
    return found


def one(records: list[Record], *names: str) -> Comparison:
    (made,) = compare(cells(records), names or ("First", "Second"))
    return made


def test_a_difference_is_found_with_its_price_and_its_worst_attack() -> None:
    made = one(planted())
    judgement = made.judgement
    assert judgement is not None and judgement.called and judgement.attacks == 8
    assert judgement.mean == pytest.approx(0.12 + 0.004 * 3.5) and judgement.p == pytest.approx(2 / 2**8)
    assert judgement.interval is not None and 0.12 <= judgement.interval.low < judgement.mean
    assert made.cost("backdoored", "defended") == pytest.approx(0.01) and made.cost("sham", "control") == 0
    worst = made.worst("First")
    assert worst is not None and worst[0].attack.startswith("BadNets") and worst[1] == pytest.approx(0.4)
    assert verdict(made) == (
        "Second removes 13.4 points more of the attack than First"
        f" [{100 * judgement.interval.low:.1f}, {100 * judgement.interval.high:.1f}] over 8 attacks x 3 seeds,"
        " costs clean accuracy: 1.0 points more on the victim, as much on a model without a backdoor;"
        " Wilcoxon p = 0.0078."
    )
    assert made.missing == [] and made.left_out == {}


def test_the_one_that_removes_more_is_the_subject_whoever_is_the_reference() -> None:
    there, back = one(planted(), "First", "Second"), one(planted(), "Second", "First")
    assert there.judgement is not None and back.judgement is not None
    assert there.judgement.mean == pytest.approx(-back.judgement.mean)
    assert verdict(back).startswith("Second removes 13.4 points more of the attack than First [1")
    assert "1.0 points more on the victim" in verdict(back)


def test_no_difference_is_said_to_be_none() -> None:
    made = one(planted(), "First", "Third")
    assert made.judgement is not None and not made.judgement.called
    assert verdict(made).startswith("No difference was found between First and Third: ")


def test_holm_is_over_the_comparisons_with_the_reference() -> None:
    first, second = compare(cells(planted()), ("First", "Second", "Third"))
    assert first.judgement is not None and second.judgement is not None
    assert first.judgement.p == pytest.approx(2 / 2**8) and first.judgement.adjusted == pytest.approx(4 / 2**8)
    assert second.judgement.adjusted == second.judgement.p
    assert "p = 0.016 (Holm, 2 comparisons)" in verdict(first, 2)


def test_the_mean_is_that_of_the_cells_removed_shares() -> None:
    """Also where the gain is not 1, the control is not 0, and what is left is cut at 0."""
    records = []
    for at, attack in enumerate(ATTACKS):
        for seed in range(3):
            for defense, asr in (("First", 0.3 + 0.05 * at), ("Second", 0.02 * at)):
                rates = {
                    "backdoored": {"asr": 0.7 + 0.1 * seed},
                    "defended": {"asr": asr + 0.01 * seed},
                    "control": {"asr": 0.05 * seed},
                    "clean": {"asr": 0.02},
                }
                records.append(synthetic(attack, defense, seed, rates))
    found = cells(records)
    means = {name: np.mean([c.removed for c in found if c.label["defense"] == name]) for name in ("First", "Second")}
    made = one(records)
    assert made.judgement is not None and made.judgement.mean == pytest.approx(means["Second"] - means["First"])
    assert made.judgement.mean == pytest.approx(np.mean([pair.removed for pair in made.used]))


def test_pairs_share_seeds_and_the_rest_is_listed_with_its_command() -> None:
    records = [r for r in planted() if not (r.methods.defense.name == "Second" and r.methods.attack.name == "Sig")]
    records += [record("TaCT", "First", 3, 0.5), record("Ssba", "Second", 5, 0.5)]
    made = one(records)
    assert {(m.defense, m.attack.split()[0], m.seeds) for m in made.missing} == {
        ("Second", "Sig", (0, 1, 2)),
        ("Second", "TaCT", (3,)),
        ("First", "Ssba", (5,)),
    }
    assert len(made.used) == 7 and {pair.seeds for pair in made.used} == {(0, 1, 2)}
    (command,) = [shlex.split(m.command) for m in made.missing if m.attack.startswith("Sig")]
    assert command[:2] == ["python", "scripts/run.py"] and command[-2:] == ["seed=0,1,2", "-m"]
    assert {"dataset=digits", "attack=sig", "defense=second"} <= set(command)
    assert remarks(made)[-1] == "Missing for a fair pairing: 5 runs."


def test_too_few_seeds_ask_for_more_of_both() -> None:
    made = one(planted(("BadNets",), seeds=2))
    assert made.judgement is None and made.left_out == {"preliminary": 1} and "cannot be compared" in verdict(made)
    assert {(m.defense, m.seeds) for m in made.missing} == {("First", (2,)), ("Second", (2,))}


@pytest.mark.parametrize(
    ("rates", "reason"),
    [
        ({"backdoored": {"asr": 0.4}, "defended": {"asr": 0.1}}, "attack failed"),
        ({"defended": {"asr": 0.1, "ca": 0.4}}, "collapsed: Second"),
        ({"defended": {"asr": 0.1, "ca": 0.88}}, "degraded: Second"),
        ({"defended": {"asr": 0.1}, "control": {"ca": 0.88}}, "degraded: Second"),
    ],
)
def test_what_is_not_ranked_is_shown_and_counts_for_nothing(
    rates: Mapping[str, Mapping[str, float]], reason: str
) -> None:
    plain = one(planted())
    worse = {**rates, "defended": {"asr": 0.1}, "control": {}}
    extra = [synthetic("TrojanNN", "First", seed, worse) for seed in range(3)]
    extra += [synthetic("TrojanNN", "Second", seed, rates) for seed in range(3)]
    made = one(planted() + extra)
    assert made.left_out == {reason: 1} and made.judgement == plain.judgement and len(made.pairs) == 9
    assert f"Left out of mean, interval and test: 1 of 9 (1 {reason})." in remarks(made)
    assert f"no: {reason}" in markdown([made])
    assert not [m for m in made.missing if m.attack.startswith("TrojanNN")]


def test_oracles_and_inapplicable_ones_are_left_out() -> None:
    oracle = [record(a, "Second", s, 0.5, config__defense__oracle_target=1) for a in ATTACKS for s in range(3)]
    seeing = one([r for r in planted() if r.methods.defense.name == "First"] + oracle)
    assert seeing.judgement is None and seeing.left_out == {"oracle: Second": 8}
    absent = [record("Shipped", "First", s, 0.5) for s in range(3)]
    silent = [record("Shipped", "Second", s, 0.5, status="not applicable", scores=None) for s in range(3)]
    made = one(planted() + absent + silent)
    assert made.left_out == {"not applicable: Second": 1}
    assert made.judgement is not None and made.judgement.attacks == 8 and made.missing == []
    assert markdown([made]) and comma_separated([made]) and latex([made]) and terminal([made])


def test_what_others_reported_is_left_out_until_it_came_out_again() -> None:
    """One seed of Second on every attack but the first: nothing is called, and no run is asked for."""
    records = planted()
    sent = {r.key: r for r in records if r.methods.defense.name == "Second" and r.seed == 0}
    theirs = [key for key, r in sent.items() if r.methods.attack.name != ATTACKS[0]]
    (made,) = compare(cells(records, dict.fromkeys(theirs, "reported")), ("First", "Second"))
    assert made.left_out == {"reported: Second": 7} and [pair.attack for pair in made.used] == [f"{ATTACKS[0]} 5 %"]
    assert made.judgement is not None and made.judgement.p is None and made.missing == []
    assert any("7 of 8 (7 reported: Second)" in text for text in remarks(made))
    (again,) = compare(cells(records, dict.fromkeys(theirs, "reproduced")), ("First", "Second"))
    assert again.judgement == one(records).judgement


def test_under_six_attacks_nothing_is_called() -> None:
    made = one(planted(ATTACKS[:5]))
    assert made.judgement is not None and made.judgement.p is None and not made.judgement.called
    assert made.judgement.interval is not None and not made.judgement.interval.holds(0)
    assert verdict(made).endswith("5 attacks cannot show a difference, 6 are needed.") and "removed" in verdict(made)
    single = one(planted(ATTACKS[:1]))
    assert single.judgement is not None and single.judgement.interval is None
    assert "over 1 attack x 3 seeds" in verdict(single)


def test_boards_are_never_mixed_within_a_unit() -> None:
    """First only on one board, Second only on the other: no pair, though the attacks are called the same."""
    here = [r for r in planted() if r.methods.defense.name == "First"]
    there = [record(a, "Second", s, 0.9, config__recipe__epochs=99) for a in ATTACKS for s in range(3)]
    assert one(here + there).pairs == []
    both = [record(a, "First", s, 0.5, config__recipe__epochs=99) for a in ATTACKS for s in range(3)]
    made = one(planted() + there + both)
    assert len(made.used) == 16 and len(made.boards) == 2 and "over 16 attacks on 2 boards x 3 seeds" in verdict(made)
    assert any(text.startswith("Boards: Digits") and "epochs=99" in text for text in remarks(made))
    assert any("16 units are 8 different attacks" in note for note in made.notes)


def test_another_family_or_access_is_said() -> None:
    assert one(planted()).notes == []
    filters = [record(a, "Second", s, 0.5, methods__defense__family="filter") for a in ATTACKS for s in range(3)]
    (note,) = one([r for r in planted() if r.methods.defense.name == "First"] + filters).notes
    assert "not ranked together" in note and "Second is filter" in note and "First is " in note


def test_names_of_classes_and_files_in_any_case() -> None:
    found = cells([synthetic("BadNets", name, 0) for name in ("FineTuning", "RandomPruning", "Other")])
    made = compare(found, ("fine_tuning", "RANDOM_pruning", "other"))
    assert [(one.reference, one.other) for one in made] == [("FineTuning", "RandomPruning"), ("FineTuning", "Other")]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            ("First", "Nobody"),
            "Nobody: no record has this defense; give some of these, nearest first: Second, Third, First",
        ),
        (("First", "first"), "are not two or more different defenses"),
        (("First",), "are not two or more different defenses"),
    ],
)
def test_mistakes_are_told(names: tuple[str, ...], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        compare(cells(planted(ATTACKS[:1])), names)


def test_versions_of_one_name_must_be_told_apart() -> None:
    records = [*planted(ATTACKS[:1]), record("BadNets", "Second", 0, 0.5, config__defense__epochs=7)]
    with pytest.raises(BadInput, match="stands for 2 versions; name one of 'Second epochs="):
        compare(cells(records), ("First", "Second"))
    assert one(records, "First", "Second epochs=7").other == "Second epochs=7"


def test_forms_hold_the_same_numbers() -> None:
    made = [one(planted())]
    rows = list(csv.DictReader(io.StringIO(comma_separated(made))))
    assert len(rows) == 8 and float(rows[0]["difference"]) == pytest.approx(made[0].pairs[0].removed)
    assert rows[0]["asr_reference"] == "0.61 0.6 0.59" and rows[0]["seeds"] == "0 1 2"
    text = latex(made)
    assert text.count(r"\toprule") == 2 and r"BadNets 5 \%" in text and "60.0 (61.0 60.0 59.0)" in text
    assert verdict(made[0]) in markdown(made).replace("\\", "") and "| BadNets 5 % | Second | yes |" in markdown(made)


# ---- a simulation: is a true difference found, and is none called where there is none?

DRAWS = 200
EFFECT = 0.15  # SD of what an attack does to both defenses


def share_called(difference: float, own: float, draws: int = DRAWS, attacks: int = 10, seeds: int = 3) -> float:
    """In how many draws a difference is called.

    Args:
        difference: true, of the removed share.
        own: SD of what an attack does to each defense apart; the seed adds 5 points to each.
    """
    chance = np.random.default_rng(0)
    called = 0
    for _ in range(draws):
        attack = chance.normal(0.5, EFFECT, (attacks, 1, 1)) + chance.normal(0, own, (attacks, 1, 2))
        removed = attack + np.array([0, difference]) + chance.normal(0, 0.05, (attacks, seeds, 2))
        left = {str(at): [(1 - first, 1 - second) for first, second in row] for at, row in enumerate(removed)}
        called += judged(left, resamples=1000).called
    return called / draws


@pytest.mark.parametrize(("own", "least"), [(0.0, 0.95), (0.05, 0.8)])
def test_ten_points_are_found_in_most_draws(own: float, least: float) -> None:
    """10 attacks x 3 seeds whose attacks differ by 15 points, alike for both defenses, or by 5 more for each."""
    assert share_called(0.10, own, draws=100) >= least


@pytest.mark.parametrize("own", [0.0, 0.05, EFFECT / 2**0.5])
def test_no_difference_is_called_in_at_most_five_of_a_hundred_draws(own: float) -> None:
    """The last is the hardest: the difference itself varies by 15 points over attacks."""
    assert share_called(0.0, own) <= 0.05


def test_the_simulation_through_records() -> None:
    """One draw of each kind as records, with everything on the way from counts to the verdict."""
    for difference, said in ((0.10, "Second removes "), (0.0, "No difference was found")):
        chance = np.random.default_rng(1)
        records = []
        for attack in (*ATTACKS, "TrojanNN", "WaNet"):
            base = np.clip(chance.normal(0.5, EFFECT), 0.2, 0.8)
            for seed in range(3):
                for at, name in enumerate(("First", "Second")):
                    removed = float(np.clip(base + at * difference + chance.normal(0, 0.05), 0, 1))
                    records.append(record(attack, name, seed, removed))
        made = one(records)
        assert verdict(made).startswith(said) and len(made.used) == 10
