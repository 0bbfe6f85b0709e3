"""A floor under what is read on real photos. Aggregates only: no text of a photo is shown."""

import csv
from collections import defaultdict
from pathlib import Path

import pytest

from edge_agent.vision.reader import PlateReader, read_images

PHOTOS = Path(__file__).resolve().parents[3] / "shared" / "plates"
SCENES = 24
CROPS = 24

pytestmark = pytest.mark.plates


def labelled(form: str, count: int) -> dict[Path, list[str]]:
    """Return an even sample of the labelled photos of a form, with all texts on each."""
    if not (PHOTOS / "labels.csv").is_file():
        pytest.skip("the real photos of ../shared/plates are not here")
    texts = defaultdict(list)
    with (PHOTOS / "labels.csv").open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if row["form"] == form:
                texts[PHOTOS / row["file"]].append(row["text"])
    files = sorted(texts)
    return {file: texts[file] for file in files[:: max(1, len(files) // count)][:count]}


@pytest.mark.parametrize(
    ("form", "count", "floor"), [("scene", SCENES, 0.9), ("crop", CROPS, 0.94)]
)
def test_most_photos_are_read(reader: PlateReader, form: str, count: int, floor: float) -> None:
    wanted = labelled(form, count)
    exact = confirmed = confirmed_right = 0
    for file, line in zip(wanted, read_images(wanted, reader), strict=True):
        exact += wanted[file][0] in [plate.text for plate in line.plates]
        sure = [plate.text for plate in line.plates if plate.confirmed]
        confirmed += len(sure)
        confirmed_right += sum(text in wanted[file] for text in sure)
    print(f"{form}: {exact}/{len(wanted)} exact, {confirmed_right}/{confirmed} confirmed right")
    reached = exact / len(wanted)
    assert reached >= floor
    assert confirmed >= 0.75 * len(wanted)
    wrong = confirmed - confirmed_right
    assert wrong <= 1
