"""Adaptive-Patch (Qi, Xie, Li, Mahloujifar, Mittal, 2023): each poison shows one faint patch, tests show several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Generator, Tensor

from baselines.attacks.covering import Covering, lay
from benchmark.errors import BadInput
from benchmark.images import WHITE, place_patch
from benchmark.lab import Lab
from benchmark.types import Inputs, Split, State
from benchmark.victim import Victim

PLACES = ("bottom_right", "top_left", "bottom_left", "top_right")


class AdaptivePatch(Covering):
    """Stamps one of up to four patches, at its own opacity, on poisons and covers; at test time several, opaque.

    Departs from it: rows are replaced, not added; covers never come from the target class; the authors' four pictures
    are not shipped, so a patch is a block of black and white pixels of the seed in a corner of its own; with their rate
    of 0.003 a small training set holds too few poisons, so the default rates are higher.

    Args:
        rate: share of the training rows that are poisoned.
        target: the class wanted; "all" sends class y to (y + 1) mod K.
        cover_rate: share of the training rows that show a patch and keep their label.
        size: side of the patches, in pixels; two must fit beside each other.
        opacities: one a patch, in training rows: one to four numbers, above 0 and at most 1; they belong to the
            corners bottom right, top left, bottom left and top right.
        shown: how many of the patches triggered test rows show, the first ones.

    Source: X. Qi, T. Xie, Y. Li, S. Mahloujifar, P. Mittal, Revisiting the Assumption of Latent Separability for
    Backdoor Defenses, ICLR 2023.
    """

    def __init__(
        self,
        rate: float,
        target: int | Literal["all"],
        cover_rate: float = 0.02,
        size: int = 3,
        opacities: Sequence[float] = (0.5, 0.2, 0.5, 0.3),
        shown: int = 4,
    ) -> None:
        super().__init__(rate, target, cover_rate)
        self.size = size
        self.opacities = tuple(opacities)
        self.shown = shown

    def check(self, train: Split) -> None:
        """Compare the options with the training rows, before any training.

        Raises:
            BadInput: also patches that overlap, an opacity out of range, or more patches shown than there are.
        """
        super().check(train)
        assert isinstance(train.inputs, Tensor)
        side, patches = min(train.inputs.shape[2:]) // 2, len(self.opacities)
        if not (isinstance(self.size, int) and 1 <= self.size <= side):
            raise BadInput(f"attack.size={self.size}: must be 1 to {side}, half of the images; set attack.size")
        if not (1 <= patches <= len(PLACES) and all(0 < opacity <= 1 for opacity in self.opacities)):
            raise BadInput(
                f"attack.opacities={list(self.opacities)}: must be 1 to {len(PLACES)} numbers above 0 and at most 1; "
                "set attack.opacities"
            )
        if not (isinstance(self.shown, int) and 1 <= self.shown <= patches):
            raise BadInput(
                f"attack.shown={self.shown}: must be 1 to {patches}, the number of attack.opacities; set attack.shown"
            )

    def prepare(self, clean_victim: Victim | None, train: Split | None, lab: Lab) -> State:
        """The patches uint8 (P, C, H, W), black elsewhere, and the place of each, float (P, 1, H, W), 1 inside it."""
        assert train is not None and isinstance(train.inputs, Tensor)
        channels, height, width = train.inputs.shape[1:]
        generator, overlays = lab.generator("trigger"), []
        for place in PLACES[: len(self.opacities)]:
            white = torch.randint(0, 2, (1, self.size, self.size), generator=generator, dtype=torch.uint8)
            overlays.append(place_patch((white * WHITE).expand(channels, -1, -1), 1.0, place, height, width))
        return {
            "patches": torch.stack([overlay.pattern for overlay in overlays]),
            "masks": torch.stack([overlay.opacity for overlay in overlays]),
        }

    def trigger(self, inputs: Inputs, secret: State) -> Inputs:
        """uint8 (N, C, H, W) with the first `shown` patches, opaque."""
        assert isinstance(inputs, Tensor)
        patches, masks = secret["patches"][: self.shown].sum(0, dtype=torch.uint8), secret["masks"][: self.shown].sum(0)
        return torch.where(masks.to(inputs.device) > 0, patches.to(inputs.device), inputs)

    def embed(self, inputs: Inputs, secret: State, generator: Generator) -> Inputs:
        """uint8 (N, C, H, W), each with one patch, drawn at random, at the patch's opacity."""
        assert isinstance(inputs, Tensor)
        drawn = torch.randint(0, len(self.opacities), (len(inputs),), generator=generator)
        opacity = torch.tensor(self.opacities)[drawn].view(-1, 1, 1, 1)
        return lay(inputs, secret["patches"][drawn], secret["masks"][drawn] * opacity)
