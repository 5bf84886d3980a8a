"""Every network that conf/architecture offers: it learns, can be cut, masked, resized and copied, and reads images."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.error import URLError

import pytest
import torch
from conftest import ROOT, python, tree
from hydra.utils import get_object
from torch import Tensor, nn

from benchmark.config import construct
from benchmark.errors import BadInput
from benchmark.recipe import Recipe
from benchmark.seeds import generator_for
from benchmark.types import Split
from benchmark.victims.image_classifier import ImageClassifier
from benchmark.victims.torchvision_base import SMALL, TorchvisionNetwork

NAMES = sorted(path.stem for path in (ROOT / "conf" / "architecture").glob("*.yaml"))
CLASSES = 10
CPU = torch.device("cpu")
RECIPE = Recipe("test", epochs=2, batch_size=2, learning_rate=0.01, schedule="constant", weight_decay=0.0)
# At 32 pixels, 3 channels and 10 classes. torchvision's figures for 1,000 classes, less 990 rows of the last layer and
# the larger stem; preactresnet18 is the field's 11,171,146 and the 1,024 of its last batch norm.
PARAMETERS = {
    "small_cnn": 131_754,
    "resnet8": 78_042,
    "preactresnet18": 11_171_146 + 2 * 512,
    "resnet18": 11_689_512 - 990 * 513 - 64 * 3 * (49 - 9),
    "vgg19_bn": 143_678_248 - 990 * 4_097 - 4_096 * 512 * 48,
    "mobilenet_v3_large": 5_483_032 - 990 * 1_281,
    "efficientnet_b3": 12_233_232 - 990 * 1_537,
    "densenet161": 28_681_000 - 990 * 2_209 - 96 * 3 * (49 - 9),
    "convnext_tiny": 28_589_128 - 990 * 769 - 96 * 3 * (16 - 4),
    "vit_b_16": 86_567_656 - 990 * 769 - 768 * 3 * (256 - 16) - 768 * (196 - 64),
}


def section(name: str) -> dict[str, Any]:
    """The yaml, as a run's configuration holds it."""
    chosen: Any = tree(f"architecture={name}", store="unused")["architecture"]
    return dict(chosen)


def rows(count: int = 2, channels: int = 3, side: int = 32, width: int | None = None, classes: int = CLASSES) -> Split:
    shape = (count, channels, side, width or side)
    images = torch.randint(0, 256, shape, generator=generator_for(0, "rows"), dtype=torch.uint8)
    return Split(inputs=images, targets=torch.arange(count) % classes, classes=classes)


def built(name: str, sample: Split, mean: object = 0.5, std: object = 0.25, **options: object) -> ImageClassifier:
    """The victim that a run would make, with other options of its network."""
    call = section(name)
    call |= {"mean": mean, "std": std, "network": call["network"] | options}
    architecture = construct({"architecture": call}, "architecture")
    victim = architecture(sample=sample, recipe=RECIPE, device=CPU, generator=generator_for(0, "initial weights"))
    assert isinstance(victim, ImageClassifier)
    return victim


def pixels(sample: Split) -> Tensor:
    assert isinstance(sample.inputs, Tensor)
    return sample.inputs


@pytest.fixture
def blank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of zero, for tests of shapes: drawing 140 million of them takes 5 s."""

    def zero(tensor: Tensor, *arguments: object, **options: object) -> Tensor:
        return tensor.detach().zero_()

    for initialiser in ("kaiming_uniform_", "kaiming_normal_", "normal_", "trunc_normal_"):
        monkeypatch.setattr(nn.init, initialiser, zero)


# ---- every network, after two steps of training


@dataclass(frozen=True)
class Taught:
    """A victim after two steps, its state before them, the losses, and torchvision's own whole network around it."""

    name: str
    victim: ImageClassifier
    before: dict[str, Tensor]
    losses: list[float]
    whole: nn.Module | None


@pytest.fixture(scope="module", params=NAMES)
def taught(request: pytest.FixtureRequest) -> Iterator[Taught]:
    network = get_object(section(request.param)["network"]["_target_"])
    kept: list[nn.Module] = []
    losses: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.init, "trunc_normal_", nn.init.normal_)  # 4 s less
        if issubclass(network, TorchvisionNetwork):
            parts: Callable[[object, nn.Module], object] = network.parts
            patch.setattr(network, "parts", lambda self, net: (kept.append(net), parts(self, net))[1])
        victim = built(request.param, rows())
    victim.watch = lambda done, epochs, loss: losses.append(loss)
    before = dict(victim.state())
    victim.fit(rows(), generator_for(0, "victim"))
    yield Taught(request.param, victim, before, losses, kept[0] if kept else None)


@torch.no_grad()
def logits(victim: ImageClassifier, sample: Split) -> Tensor:
    return victim.logits(victim.encode(sample.inputs))


def test_a_short_training_moves_it(taught: Taught) -> None:
    assert len(taught.losses) == 2 and all(map(math.isfinite, taught.losses))
    after, module = taught.victim.state(), taught.victim.module
    first, *_, last = (name for name, parameter in module.named_parameters() if parameter.dim() > 1)
    for name in (first, last):
        assert not torch.equal(after[name], taught.before[name]), name
    assert all(tensor.isfinite().all() for tensor in after.values())


def test_it_is_as_large_as_its_paper_says(taught: Taught) -> None:
    count = sum(parameter.numel() for parameter in taught.victim.module.parameters())
    assert PARAMETERS.get(taught.name, count) == count


@torch.no_grad()
def test_its_stages_and_head_are_the_whole(taught: Taught) -> None:
    victim = taught.victim
    x = victim.encode(rows(2).inputs)
    whole, activations = victim.logits(x), victim.activations(x)
    assert torch.equal(whole, victim.head_logits(activations)) and whole.shape == (2, CLASSES)
    assert victim.features(x).shape == (2, victim.channels())
    if taught.whole is not None:  # torchvision's own forward, over the same layers
        expected = taught.whole.eval()((x - victim.mean) / victim.std)
        assert torch.allclose(whole, expected, rtol=1e-4, atol=1e-5)
        assert expected.std() > 1e-4


@torch.no_grad()
def test_its_stages_hold_channels_first_and_can_be_masked(taught: Taught) -> None:
    victim = taught.victim
    x = victim.encode(rows(1).inputs)
    for stage in range(len(victim.network.stages)):
        whole = victim.activations(x, stage)
        channels = victim.channels(stage)
        assert whole.shape[:2] == (1, channels) and whole.dim() > 2
        strong = int(whole.flatten(2).abs().sum(2).argmax())
        keep = torch.ones(channels)
        keep[strong] = 0
        victim.mask(keep, stage)
        masked = victim.activations(x, stage)
        victim.mask(torch.ones(channels), stage)
        assert whole[:, strong].any() and not masked[:, strong].any()
        others = keep.bool()
        assert torch.equal(masked[:, others], whole[:, others])


def test_its_state_is_all_of_it(taught: Taught) -> None:
    sample = rows(2)
    expected, state = logits(taught.victim, sample), taught.victim.state()
    assert all(tensor.is_contiguous() and tensor.device == CPU for tensor in state.values())
    twin = taught.victim.copy()
    assert torch.equal(logits(twin, sample), expected)
    with torch.no_grad():
        for tensor in twin.module.state_dict().values():
            tensor.add_(1)
    assert torch.equal(logits(taught.victim, sample), expected), "an independent twin"
    assert torch.equal(logits(twin.load(state), sample), expected)


def test_one_class_more_and_one_less(taught: Taught) -> None:
    sample = rows(2)
    expected, twin = logits(taught.victim, sample), taught.victim.copy()
    twin.resize(CLASSES + 1, generator_for(0, "resize"))
    larger = logits(twin, sample)
    assert larger.shape == (2, CLASSES + 1) and torch.allclose(larger[:, :CLASSES], expected, atol=1e-5)
    twin.resize(CLASSES - 1, generator_for(0, "resize"))
    assert torch.allclose(logits(twin, sample), expected[:, : CLASSES - 1], atol=1e-5)


# ---- what images it reads


@pytest.mark.usefixtures("blank")
@pytest.mark.parametrize("name", NAMES)
def test_it_reads_its_smallest_grey_images_and_refuses_smaller_ones(name: str) -> None:
    smallest = get_object(section(name)["network"]["_target_"]).smallest
    sample = rows(2, channels=1, side=smallest, classes=3)
    assert logits(built(name, sample), sample).shape == (2, 3)
    with pytest.raises(BadInput, match=rf"^images of {smallest - 1} pixels: \w+ needs {smallest}; choose"):
        built(name, rows(1, channels=1, side=smallest - 1))


@pytest.mark.usefixtures("blank")
@pytest.mark.parametrize("name", [name for name in NAMES if name != "vit_b_16"])
def test_it_reads_larger_images_that_are_not_square(name: str) -> None:
    sample = rows(1, side=SMALL, width=SMALL + 32)
    assert logits(built(name, sample), sample).shape == (1, CLASSES)


@pytest.mark.usefixtures("blank")
@pytest.mark.parametrize(
    ("name", "side", "positions"),
    [("resnet18", 32, 4), ("resnet18", 64, 2), ("densenet161", 32, 4), ("efficientnet_b3", 32, 2), ("vgg19_bn", 64, 2)],
)
def test_small_images_keep_their_detail(name: str, side: int, positions: int) -> None:
    """torchvision's own stems would leave a 32-pixel image one position, and a 63-pixel one two."""
    victim = built(name, rows(1, side=side))
    assert victim.activations(victim.encode(rows(1, side=side).inputs)).shape[2:] == (positions, positions)


@pytest.mark.usefixtures("blank")
@pytest.mark.parametrize(("side", "patches"), [(28, 49), (32, 64), (33, 81), (64, 64), (224, 196)])
def test_the_vision_transformers_patches_cover_the_image(side: int, patches: int) -> None:
    victim = built("vit_b_16", rows(1, side=side))
    assert victim.activations(victim.encode(rows(1, side=side).inputs), 0).shape == (1, 768, patches + 1)
    with torch.no_grad():
        victim.network.stages[0].projection.weight.fill_(1)
    corner = torch.zeros(1, 3, side, side)
    corner[..., -1, -1] = 1
    changed = victim.activations(corner, 0) != victim.activations(torch.zeros_like(corner), 0)
    assert changed.any(1).nonzero()[:, 1].tolist() == [patches], "the last pixel lies in the last patch alone"


@pytest.mark.usefixtures("blank")
def test_the_vision_transformer_refuses_images_that_are_not_square() -> None:
    with pytest.raises(BadInput, match=r"images of 32x40 pixels: .*set dataset\.size"):
        built("vit_b_16", rows(1, side=32, width=40))


def test_normalisation_may_differ_by_channel() -> None:
    plain, sample = built("resnet8", rows()), rows(3)
    assert torch.equal(logits(built("resnet8", rows(), mean=[0.5] * 3, std=[0.25] * 3), sample), logits(plain, sample))
    victim = built("resnet8", rows(), mean=[0.1, 0.2, 0.3], std=[1, 2, 4])
    seen: list[Tensor] = []
    victim.network.stages[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    logits(victim, sample)
    by_hand = [
        (pixels(sample)[:, c] / 255 - mean) / std for c, (mean, std) in enumerate([(0.1, 1), (0.2, 2), (0.3, 4)])
    ]
    assert torch.allclose(seen[0], torch.stack(by_hand, 1), atol=1e-6)
    with pytest.raises(BadInput, match=r"architecture.std=\[1, 2\]: 2 numbers for images of 3 channels"):
        built("resnet8", rows(), std=[1, 2])


# ---- ImageNet weights


def published(name: str) -> dict[str, Tensor]:
    """What a download would bring: torchvision's network for 1,000 classes, with weights of another seed."""
    from torchvision.models import get_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        state: dict[str, Tensor] = get_model(name, weights=None).state_dict()
    if name == "densenet161":  # names as in the published file
        old = {key: key.replace("norm1", "norm.1").replace("norm2", "norm.2") for key in state}
        old = {key: new.replace("conv1", "conv.1").replace("conv2", "conv.2") for key, new in old.items()}
        state = {old[key]: tensor for key, tensor in state.items()}
    return state


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_large", "densenet161", "vit_b_16"])
def test_pretrained_networks_are_torchvisions_own(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import get_model

    monkeypatch.setattr(nn.init, "trunc_normal_", nn.init.normal_)  # seconds less
    state, asked = published(name), {}

    def download(url: str, **options: object) -> dict[str, Tensor]:
        asked.update(url=url, **options)
        sys.stdout.write("Downloading\n")
        return dict(state)

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", download)
    sample = rows(1, side=8)
    victim = built(name, sample, pretrained=True)
    assert name in str(asked["url"])
    assert asked["weights_only"] is True and asked["check_hash"] is True, "nothing is unpickled, nothing unverified"
    whole = get_model(name, weights=None).eval()
    whole.load_state_dict(dict(zip(whole.state_dict(), state.values(), strict=True)))
    x = (victim.encode(sample.inputs) - victim.mean) / victim.std
    enlarged = nn.functional.interpolate(x, (224, 224), mode="bilinear", antialias=True)
    last = victim.network.head[-1]
    assert isinstance(last, nn.Linear) and last.out_features == CLASSES
    victim.network.head[-1] = [module for module in whole.modules() if isinstance(module, nn.Linear)][-1]
    with torch.no_grad():
        assert torch.allclose(logits(victim, sample), whole(enlarged), rtol=1e-3, atol=1e-4)
    assert victim.batch_rows() == 16, "by the size it computes at, not the images'"


def test_a_download_leaves_stdout_to_results(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def download(url: str, **options: object) -> dict[str, Tensor]:
        sys.stdout.write("Downloading\n")
        return state

    state = published("resnet18")
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", download)
    built("resnet18", rows(1), pretrained=True)
    captured = capsys.readouterr()
    assert captured.out == "" and "Downloading" in captured.err


@pytest.mark.parametrize("error", [URLError("no route"), RuntimeError("invalid hash value"), EOFError()])
def test_no_network_is_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    with pytest.raises(BadInput) as caught:
        built("mobilenet_v3_large", rows(1), pretrained=True)
    message = str(caught.value)
    assert "\n" not in message
    for part in ("mobilenet_v3_large-5c1a4163.pth", "connect to the network", "architecture.network.pretrained=false"):
        assert part in message


def test_a_damaged_file_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    place = tmp_path / "hub" / "checkpoints" / "mobilenet_v3_large-5c1a4163.pth"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"not weights")
    with pytest.raises(BadInput, match=f"{place}.*put the published file at that place"):
        built("mobilenet_v3_large", rows(1), pretrained=True)


def test_pretrained_weights_read_colours() -> None:
    with pytest.raises(BadInput, match="read 3 channels, these images have 1; set"):
        built("resnet18", rows(1, channels=1), pretrained=True)


# ---- who pays for torchvision


def test_torchvision_is_imported_by_building_one_alone() -> None:
    """So that an own network, and a list of what there is, do not pay for it."""
    code = "import sys, benchmark.victims.torchvision_networks; sys.exit('torchvision' in sys.modules)"
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
