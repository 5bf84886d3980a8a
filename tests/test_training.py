"""The one training loop, its optimiser, its schedule and its feed, against plain references."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import python
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from benchmark.augment import Pictures
from benchmark.errors import BadInput
from benchmark.feed import Feed, ImageFeed
from benchmark.recipe import Recipe, resolved_precision
from benchmark.seeds import derive, forked, generator_for
from benchmark.training import SGD
from benchmark.types import Split
from benchmark.victim import Victim
from benchmark.victims.image_classifier import ImageClassifier
from benchmark.victims.small_cnn import SmallCNN

CPU = torch.device("cpu")
RECIPE = Recipe("test", epochs=2, batch_size=16, learning_rate=0.05, schedule="constant")


def rows(count: int = 50, classes: int = 3, side: int = 8) -> Split:
    draw = generator_for(0, "rows")
    images = torch.randint(0, 256, (count, 1, side, side), generator=draw, dtype=torch.uint8)
    return Split(inputs=images, targets=torch.arange(count) % classes, classes=classes)


def victim(split: Split, recipe: Recipe = RECIPE) -> ImageClassifier:
    def network(channels: int, classes: int) -> SmallCNN:
        return SmallCNN(channels, classes, width=4)

    return ImageClassifier(network, split, recipe, CPU, generator_for(0, "initial weights"))


# ---- SGD


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])  # torch knows no fourth
@pytest.mark.parametrize("weight_decay", [0.0, 5e-2])
def test_sgd_equals_torchs_step_for_step(momentum: float, nesterov: bool, weight_decay: float) -> None:
    torch.manual_seed(0)
    ours, theirs = (nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    start = ours[0].weight.detach().clone()
    recipe = RECIPE.replace(momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)
    mine = SGD(list(ours.parameters()), recipe)
    reference = torch.optim.SGD(
        theirs.parameters(), lr=0.1, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay
    )
    for step in range(8):
        inputs, targets, rate = torch.randn(16, 5), torch.randint(3, (16,)), 0.1 / (step + 1)
        for net in (ours, theirs):
            cross_entropy(net(inputs), targets).backward()
        mine.step(rate)
        reference.param_groups[0]["lr"] = rate
        reference.step()
        reference.zero_grad()
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)
            assert one.grad is None
    assert float((ours[0].weight.detach() - start).abs().max()) > 0.01


def test_sgd_leaves_alone_what_has_no_gradient() -> None:
    """As torch's: neither decay nor momentum moves a parameter that took no part in a step."""
    ours, theirs = ([torch.ones(3, requires_grad=True), torch.ones(2, requires_grad=True)] for _ in range(2))
    mine, reference = SGD(ours, RECIPE), torch.optim.SGD(theirs, lr=0.1, momentum=0.9, weight_decay=5e-4)
    for step in range(4):
        for net in (ours, theirs):
            (net[0].square().sum() + (net[1].sum() if step % 2 else 0)).backward()
        mine.step(0.1)
        reference.step()
        reference.zero_grad()
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


# ---- schedules


def test_a_constant_rate() -> None:
    assert [RECIPE.rate_at(step, 5) for step in range(5)] == [0.05] * 5


def test_a_cosine_falls_from_the_peak_to_zero() -> None:
    recipe = RECIPE.replace(schedule="cosine", learning_rate=1.0)
    assert recipe.rate_at(0, 8) == 1.0 and recipe.rate_at(4, 8) == pytest.approx(0.5)
    assert recipe.rate_at(2, 8) == pytest.approx(0.5 + math.sqrt(0.5) / 2)
    assert recipe.rate_at(8, 8) == pytest.approx(0.0)
    rates = [recipe.rate_at(step, 100) for step in range(100)]
    assert rates == sorted(rates, reverse=True)


def test_one_cycle_climbs_a_quarter_and_falls_in_straight_lines() -> None:
    recipe = RECIPE.replace(schedule="one_cycle", learning_rate=1.0)
    assert [recipe.rate_at(step, 8) for step in range(8)] == pytest.approx(
        [1 / 2, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]
    )
    rates = [recipe.rate_at(step, 100) for step in range(100)]
    assert max(rates) == 1.0 and rates.index(1.0) == 24 and 0 < rates[-1] < 0.02 and rates[0] == 1 / 25


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
def test_every_rate_is_positive_and_at_most_the_peak(schedule: str, steps: int) -> None:
    recipe = RECIPE.replace(schedule=schedule)
    assert all(0 < recipe.rate_at(step, steps) <= recipe.learning_rate for step in range(steps))


def test_auto_precision() -> None:
    assert [resolved_precision("auto", kind) for kind in ("cpu", "cuda", "mps")] == ["fp32", "bf16", "fp32"]
    assert resolved_precision("bf16", "cpu") == "bf16" and resolved_precision("fp32", "cuda") == "fp32"


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0}, {"epochs": 1.5}, {"batch_size": 1}, {"learning_rate": 0}, {"crop": 0.6}, {"crop": -0.1},
        {"momentum": 1.0}, {"schedule": "linear"}, {"precision": "fp16"},
    ],
)  # fmt: skip
def test_a_recipe_refuses_what_makes_no_sense(wrong: dict[str, object]) -> None:
    (name,) = wrong
    with pytest.raises(BadInput, match=f"recipe.{name}={wrong[name]}: must be .*; set recipe.{name}"):
        RECIPE.replace(**wrong)


# ---- feeds


def by_hand(split: Split, recipe: Recipe, generator: Generator) -> list[tuple[Tensor, Tensor]]:
    """An epoch, image by image: the same draws, then padding, cutting and mirroring."""
    count, (_, height, width) = len(split), split.inputs.shape[1:]
    margin = round(recipe.crop * width)
    order = torch.randperm(count, generator=generator)
    shift = torch.randint(0, 2 * margin + 1, (2, count), generator=generator)
    chance = torch.rand(count, generator=generator)
    batches, steps = [], math.ceil(count / recipe.batch_size)
    for at in torch.arange(count).tensor_split(steps):
        images = []
        for place in at.tolist():
            framed = torch.zeros(split.inputs.shape[1], height + 2 * margin, width + 2 * margin, dtype=torch.uint8)
            framed[:, margin : margin + height, margin : margin + width] = split.inputs[order[place]]
            top, left = (int(part) for part in shift[:, place])
            image = framed[:, top : top + height, left : left + width]
            images.append(image.flip(-1) if recipe.flip and chance[place] < 0.5 else image)
        batches.append((torch.stack(images), split.targets[order[at]]))
    return batches


@pytest.mark.parametrize(("crop", "flip"), [(0.0, False), (0.125, False), (0.0, True), (0.25, True)])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 12)])
def test_the_image_feed_equals_a_loop_over_images(crop: float, flip: bool, shape: tuple[int, ...]) -> None:
    images = torch.randint(1, 256, (37, *shape), generator=generator_for(1, "images"), dtype=torch.uint8)
    split, recipe = Split(inputs=images, targets=torch.arange(37), classes=37), RECIPE.replace(crop=crop, flip=flip)
    batches = list(ImageFeed(split, recipe, CPU).epoch(0, generator_for(2, "epoch")))
    expected = by_hand(split, recipe, generator_for(2, "epoch"))
    assert len(batches) == len(expected) == 3
    for batch, (pixels, targets) in zip(batches, expected, strict=True):
        assert torch.equal(batch.inputs, pixels) and torch.equal(batch.targets, targets)
        assert batch.inputs.dtype == torch.uint8


@pytest.mark.parametrize("kind", [Feed, ImageFeed])
@pytest.mark.parametrize("count", [2, 15, 16, 17, 50])
def test_an_epoch_holds_every_row_once_in_even_batches(kind: type[Feed], count: int) -> None:
    split = rows(count)
    numbered = Split(inputs=split.inputs, targets=torch.arange(count), classes=count)
    feed = kind(numbered, RECIPE, CPU)
    first, second = (list(feed.epoch(number, generator_for(0, "epoch", number))) for number in (0, 1))
    for batches in (first, second):
        sizes = [len(batch) for batch in batches]
        assert len(batches) == feed.steps and max(sizes) <= 16 and max(sizes) - min(sizes) <= 1
        assert torch.cat([batch.targets for batch in batches]).sort().values.tolist() == list(range(count))
    again = list(feed.epoch(0, generator_for(0, "epoch", 0)))
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(first, again, strict=True))
    orders = [torch.cat([batch.targets for batch in batches]).tolist() for batches in (first, second)]
    assert orders[0] != orders[1] or count == 2


def test_a_feed_leaves_the_rows_and_keeps_their_groups_beside_them() -> None:
    split = rows()
    grouped = Split(inputs=split.inputs, targets=split.targets, group=torch.arange(50) * 2, classes=3)
    before = split.inputs.clone()
    for batch in ImageFeed(grouped, RECIPE.replace(crop=0.2, flip=True), CPU).epoch(0, generator_for(0, "epoch")):
        assert torch.equal(batch.targets, grouped.targets[batch.group // 2])
        batch.inputs.zero_()
    assert torch.equal(split.inputs, before)


def test_what_exceeds_the_limit_is_streamed_in_chunks_and_equal() -> None:
    split = rows(50)
    recipe = RECIPE.replace(crop=0.2, flip=True, batch_size=4)
    limit = split.inputs.nbytes // 3
    whole, streamed = ImageFeed(split, recipe, CPU), ImageFeed(split, recipe, CPU, limit=limit)
    assert whole.chunk_bytes is None and streamed.chunk_bytes == limit // 2
    pairs = zip(whole.epoch(1, generator_for(0, "e")), streamed.epoch(1, generator_for(0, "e")), strict=True)
    assert all(torch.equal(a.inputs, b.inputs) and torch.equal(a.targets, b.targets) for a, b in pairs)
    assert 1 < len(list(streamed._chunks([(at, at + 4) for at in range(0, 48, 4)], streamed.full))) < 13


@pytest.mark.parametrize("limit", [None, 1000])
def test_an_epoch_continues_where_it_was_left(limit: int | None) -> None:
    feed = ImageFeed(rows(50), RECIPE.replace(crop=0.2, flip=True, batch_size=8), CPU, limit)
    whole, rest = (list(feed.epoch(0, generator_for(0, "epoch"), start)) for start in (0, 3))
    assert len(rest) == len(whole) - 3
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(whole[3:], rest, strict=True))


def test_a_turn_by_a_quarter_is_a_rotation() -> None:
    images = torch.randint(1, 256, (4, 3, 9, 9), generator=generator_for(1, "images"), dtype=torch.uint8)
    pictures = Pictures(images, RECIPE.replace(rotation=90.0))
    draws = replace(pictures.draw(generator_for(0, "epoch")), turn=torch.full((4,), math.pi / 2))
    turned = pictures.gather(pictures.padded, torch.arange(4), draws)
    assert torch.equal(turned, images.rot90(1, (2, 3))) or torch.equal(turned, images.rot90(-1, (2, 3)))


def test_cutout_clears_a_square_of_its_side_or_what_of_it_lies_inside() -> None:
    images = torch.full((64, 1, 16, 16), 9, dtype=torch.uint8)
    pictures = Pictures(images, RECIPE.replace(cutout=0.25))
    cut = pictures.gather(pictures.padded, torch.arange(64), pictures.draw(generator_for(0, "epoch")))
    cleared = (cut == 0).flatten(1).sum(1)
    assert cleared.max() == 16 and cleared.min() >= 4 and len(cut.flatten(1).unique(dim=0)) > 20


def test_the_first_epochs_see_smaller_images() -> None:
    feed = ImageFeed(rows(20), RECIPE.replace(small_epochs=2, small_scale=0.5), CPU)
    sides = [next(iter(feed.epoch(number, generator_for(0, "epoch")))).inputs.shape[-1] for number in range(3)]
    assert sides == [4, 4, 8]


# ---- fit


def test_fit_equals_a_loop_written_out() -> None:
    split, generator = rows(), generator_for(5, "victim")
    trained, reference = victim(split).fit(split, generator), victim(split)
    optimiser = torch.optim.SGD(reference.module.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    reference.module.train()
    for epoch in range(2):
        for batch in reference.feed(split, RECIPE).epoch(epoch, derive(generator, "epoch", epoch)):
            loss = cross_entropy(reference.logits(reference.encode(batch.inputs)), batch.targets)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    for name, tensor in trained.state().items():
        torch.testing.assert_close(tensor, reference.state()[name], rtol=1e-4, atol=1e-6)


def test_fit_is_deterministic_in_its_generators_purpose_alone() -> None:
    split = rows()
    torch.manual_seed(1)
    used = generator_for(5, "victim")
    torch.rand(3, generator=used)  # a moved generator names the same purpose
    one, other = victim(split).fit(split, generator_for(5, "victim")), victim(split).fit(split, used)
    third = victim(split).fit(split, generator_for(6, "victim"))
    assert all(torch.equal(tensor, other.state()[name]) for name, tensor in one.state().items())
    assert not all(torch.equal(tensor, third.state()[name]) for name, tensor in one.state().items())


def test_frozen_parameters_do_not_move() -> None:
    split = rows()
    held = victim(split)
    before = held.state()
    held.network.stages[0].requires_grad_(False)
    held.fit(split, generator_for(0, "victim"))
    moved = {name for name, _ in held.module.named_parameters() if not torch.equal(held.state()[name], before[name])}
    frozen = {name for name, parameter in held.module.named_parameters() if not parameter.requires_grad}
    assert frozen and moved == {name for name, _ in held.module.named_parameters()} - frozen


def test_watch_hears_the_mean_loss_of_every_epoch() -> None:
    split, heard = rows(), []
    watched = victim(split)
    watched.watch = lambda done, epochs, loss: heard.append((done, epochs, loss))
    losses: list[float] = []

    def objective(held: Victim, batch: Split, generator: Generator) -> Tensor:
        loss = held.loss(batch.inputs, batch.targets).mean()
        losses.append(float(loss.detach()))
        return loss

    watched.fit(split, generator_for(0, "victim"), objective, RECIPE.replace(epochs=3))
    assert [entry[:2] for entry in heard] == [(1, 3), (2, 3), (3, 3)] and len(losses) == 12
    for epoch, (_, _, mean) in enumerate(heard):
        assert mean == pytest.approx(sum(losses[4 * epoch : 4 * epoch + 4]) / 4, rel=1e-5)


def test_an_objective_draws_from_a_generator_of_its_step() -> None:
    split, drawn = rows(), []

    def objective(held: Victim, batch: Split, generator: Generator) -> Tensor:
        drawn.append(float(torch.rand((), generator=generator)))
        return held.loss(batch.inputs, batch.targets).mean()

    for _ in range(2):
        victim(split).fit(split, generator_for(0, "victim"), objective)
    assert len(set(drawn[:8])) == 8 and drawn[:8] == drawn[8:]


def test_fit_ends_in_evaluation_mode_and_trains_in_training_mode() -> None:
    split, modes = rows(), []

    def objective(held: Victim, batch: Split, generator: Generator) -> Tensor:
        modes.append(held.module.training)
        return held.loss(batch.inputs, batch.targets).mean()

    trained = victim(split).fit(split, generator_for(0, "victim"), objective)
    assert modes == [True] * 8 and not any(part.training for part in trained.module.modules())


def test_a_loss_that_is_not_finite_raises() -> None:
    split = rows()
    with pytest.raises(FloatingPointError, match=r"the loss is (nan|inf) in epoch 0: lower recipe.learning_rate"):
        victim(split).fit(split, generator_for(0, "victim"), lambda held, batch, _: held.loss(*_of(batch)).mean() / 0)


def _of(batch: Split) -> tuple[Tensor, Tensor]:
    return batch.inputs, batch.targets


def test_nothing_to_learn_raises() -> None:
    split = rows()
    with pytest.raises(ValueError, match="no rows"):
        victim(split).fit(split.take(torch.zeros(50, dtype=torch.bool)), generator_for(0, "victim"))
    frozen = victim(split)
    frozen.module.requires_grad_(False)
    with pytest.raises(ValueError, match="no parameter"):
        frozen.fit(split, generator_for(0, "victim"))


def test_the_global_generators_are_as_before() -> None:
    split = rows()
    torch.manual_seed(3)
    before, python_state = torch.random.get_rng_state(), torch.initial_seed()
    victim(split).fit(split, generator_for(0, "victim"), lambda held, b, _: held.loss(*_of(b)).mean() * torch.rand(()))
    assert torch.equal(torch.random.get_rng_state(), before) and torch.initial_seed() == python_state


def test_code_that_takes_no_generator_is_seeded_too() -> None:
    """Dropout draws from the global generator: two fits of one purpose must still agree."""
    split = rows()

    def noisy(held: Victim, batch: Split, generator: Generator) -> Tensor:
        return (held.loss(batch.inputs, batch.targets) * torch.rand(len(batch))).mean()

    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        states.append(victim(split).fit(split, generator_for(0, "victim"), noisy).state())
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


# ---- seeds


def test_generators_depend_on_seed_and_purpose_alone() -> None:
    def first(*purpose: str | int, seed: int = 0) -> int:
        return int(torch.randint(2**60, (), generator=generator_for(seed, *purpose)))

    purposes = [("a",), ("b",), ("a", 1), ("a", "1"), ("a", 2), ()]
    assert len({first(*purpose) for purpose in purposes} | {first("a", seed=1)}) == len(purposes) + 1
    assert first("a") == first("a")


def test_deriving_moves_nothing() -> None:
    parent = generator_for(0, "victim")
    before = parent.get_state()
    child = derive(parent, "epoch", 3)
    torch.rand(5, generator=parent)
    assert torch.equal(generator_for(0, "victim").get_state(), before)
    assert (
        derive(parent, "epoch", 3).initial_seed() == child.initial_seed() != derive(parent, "epoch", 4).initial_seed()
    )


def test_forked_seeds_inside_and_restores_outside() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    with forked(generator_for(0, "x"), CPU):
        inside = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with forked(generator_for(0, "x"), CPU):
        assert torch.equal(torch.rand(3), inside)


# ---- what training imports


def test_a_run_imports_nothing_slow(store: Path) -> None:
    """torch._dynamo (by torch.optim's constructors) and torchvision cost 2 to 6 s each, before the first step."""
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "import benchmark\n"
        "from conftest import config\n"
        f"benchmark.run(config('defense=fine_tuning', 'defense.epochs=1', store={str(store)!r}))\n"
        "slow = ('torch._dynamo', 'torch._inductor', 'torchvision', 'datasets', 'wandb', 'pandas', 'matplotlib')\n"
        "print([name for name in slow if name in sys.modules])"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
