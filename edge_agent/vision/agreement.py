"""Settle on one text from what several readers saw, and say whether they agree.

Each reader proposes its likeliest texts; those that follow the grammar of plates compete under the
readers' joint likelihood. A reader that is sure of something wrong must not overrule the others, so
no symbol counts for less than a floor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from edge_agent.model.plates import PROVINCES, kind_of, normalise
from edge_agent.vision.decoding import (
    LogProbabilities,
    likelihoods,
    normalise_columns,
    search,
)

JOINT_FLOOR: Final = 1e-3
"""Least probability of a symbol in the joint likelihood; measured between 1e-7 and 1e-2."""

OFFICE_O_PENALTY: Final = 2.0
"""What a text with O for its office loses, in nats: such plates are rare, and Q looks like O."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A text that follows the grammar. `confidence` and `clarity` are between 0 and 1.

    `confidence` is the share of the joint likelihood that this text has among all proposed, times
    `clarity`: how well the readers, on average, recognise it symbol by symbol. `agreed` says that
    every reader on its own would have said the same.
    """

    text: str
    confidence: float
    clarity: float
    agreed: bool


def settle(views: Sequence[LogProbabilities]) -> Settled | None:
    """Return the text that the readers' columns speak for; None when none follows the grammar."""
    proposals = [[_as_plate(text) for text, _ in search(columns)] for columns in views]
    texts = sorted({text for texts in proposals for text in texts if kind_of(text)})
    if not texts:
        return None
    joint = np.sum([likelihoods(_floored(columns), texts) for columns in views], axis=0)
    joint -= [OFFICE_O_PENALTY if text[1] == "O" else 0.0 for text in texts]
    best = int(np.argmax(joint))
    text = texts[best]
    share = 1.0 / float(np.exp(joint - joint[best]).sum())
    own = [likelihoods(columns, [text])[0] for columns in views]
    clarity = sum(math.exp(min(0.0, value) / len(text)) for value in own) / len(own)
    agreed = all(texts_of[0] == text for texts_of in proposals)
    return Settled(text, share * clarity, clarity, agreed)


def _as_plate(text: str) -> str:
    """Return a text as it stands on a plate: an office's letter may be O, which readers call 0."""
    if text[:1] in PROVINCES and text[1:2] == "0":
        text = f"{text[0]}O{text[2:]}"
    return normalise(text)


def _floored(columns: LogProbabilities) -> LogProbabilities:
    return normalise_columns(np.exp(columns), JOINT_FLOOR)
