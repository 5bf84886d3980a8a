"""SSBA (Li, Li, Wu, Li, He, Lyu, 2021): a network hides one code in each image, in each by a change of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from baselines.attacks.codec import Codec, trained
from benchmark.attack import Attack
from benchmark.errors import BadInput
from benchmark.images import WHITE, to_uint8
from benchmark.lab import Lab
from benchmark.types import Inputs, Split, State
from benchmark.victim import Victim

ROWS = 128  # images encoded at a time


class SSBA(Attack):
    """Encodes a share of the training images with the attacker's code and relabels them.

    Departs from it: an encoder and a decoder of a few convolutions in place of the paper's larger networks, trained for
    hundreds of steps on the run's own training rows; a few bits in place of 100; the change of a pixel is bounded, and
    its mean square is the only image loss, without a perceptual one; poisoned rows replace their originals. So small an
    encoder changes all images partly alike: most of its change is one pattern that they share.

    Args:
        rate: share of the training rows that are encoded.
        target: the class wanted; "all" sends class y to (y + 1) mod K.
        sources: only rows of these classes obey the code; None for all but the target.
        strength: largest change of a pixel, in grey levels, above 0 and at most 255.
        bits: of the code, at least 1.
        steps: of the training of encoder and decoder on clean rows, at least 1.

    Source: Y. Li, Y. Li, B. Wu, L. Li, R. He, S. Lyu, arXiv:2012.03816 (ICCV 2021).
    """

    modality = "image"

    def __init__(
        self,
        rate: float,
        target: int | Literal["all"],
        sources: Sequence[int] | None = None,
        strength: float = 32,
        bits: int = 8,
        steps: int = 400,
    ) -> None:
        super().__init__(rate, target, sources)
        self.strength = strength
        self.bits = bits
        self.steps = steps

    def check(self, train: Split) -> None:
        """Compare the options with the training rows, before any training.

        Raises:
            BadInput: also an option of the encoder out of range.
        """
        super().check(train)
        if not 0 < self.strength <= WHITE:
            raise BadInput(f"attack.strength={self.strength}: must be above 0 and at most 255; set attack.strength")
        for name, count in (("bits", self.bits), ("steps", self.steps)):
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise BadInput(f"attack.{name}={count}: must be an integer of at least 1; set attack.{name}")

    def surrogates(self, lab: Lab) -> None:
        """Train encoder and decoder."""
        self._codec(lab)

    def prepare(self, clean_victim: Victim | None, train: Split | None, lab: Lab) -> State:
        """The code, float (bits,) of 0 and 1, and the weights of encoder and decoder."""
        code = torch.randint(0, 2, (self.bits,), generator=lab.generator("code")).float()
        return {**self._codec(lab), "code": code}

    def trigger(self, inputs: Inputs, secret: State) -> Inputs:
        """uint8 (N, C, H, W) with the code hidden in each image."""
        assert isinstance(inputs, Tensor)
        codec = Codec(inputs.shape[1], self.bits, self.strength)
        codec.load_state_dict({name: tensor for name, tensor in secret.items() if name != "code"})
        # In double precision no pixel's rounding depends on the images beside it.
        codec.to(inputs.device).double().eval()
        code = secret["code"].to(inputs.device).double()
        parts = [inputs[:0]]
        with torch.no_grad():
            for images in inputs.split(ROWS):
                hidden = codec.hide(images.double() / WHITE, code.expand(len(images), -1))
                parts.append(to_uint8(WHITE * hidden))
        return torch.cat(parts)

    def _codec(self, lab: Lab) -> State:
        def make(rows: Split) -> State:
            assert isinstance(rows.inputs, Tensor)
            codec = trained(rows.inputs, self.bits, self.strength, self.steps, lab.generator("codec"), lab.device)
            return {name: tensor.cpu().contiguous() for name, tensor in codec.state_dict().items()}

        return lab.once("codec", make, uses={"bits": self.bits, "strength": self.strength, "steps": self.steps})
