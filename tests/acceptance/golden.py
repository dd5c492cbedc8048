"""Images that must stay what they are, whatever computes them: what ``test_golden.py`` compares with golden.json.

``make golden`` (``python -m tests.acceptance.golden``) writes golden.json anew, after new weights or a change of the
images that is wanted; the tolerances stay as they are. Look at what differs, and say it in CHANGELOG.md.

The network's values are those of double precision. An image is kept as the mean of each of 6 x 6 fields, so that every
pixel counts, and as single pixels, so that none may move.
"""

from __future__ import annotations

import importlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel
import numpy as np
import torch
from mmif_amin.scripts.data.datalist import fusion_datalist
from mmif_amin.scripts.inferers.contract import SHIPPED
from mmif_amin.scripts.transforms.pairs import LoadSourced
from mmif_amin.scripts.utils.enums import Keep, Runtime
from mmif_amin.scripts.utils.files import sha256_of
from mmif_amin.scripts.utils.perceptual import SHAPES, color_table
from PIL import Image

from mmif_amin.cli import main
from mmif_amin.fuser import load_torch_network
from tests.conftest import BUNDLE, make_pair, write_gray
from tests.model.dicom.dicom_phantoms import SUV_TAGS, suv_dose, write_series

__all__ = ["FILE", "digest", "fused_pictures", "fused_volumes", "largest_difference", "pairs"]

FILE = Path(__file__).with_suffix(".json")
FIELDS = 6  # along each side
SHAPE = (32, 28, 10)  # of the made-up study
PACKAGES = ("torch", "monai", "numpy", "onnxruntime", "pydicom", "nibabel", "PIL")


def digest(image: np.ndarray) -> dict[str, list[float]]:
    """What is kept of an image or volume: the means of its fields and, last, its root mean square; and single pixels.

    Args:
        image: (H, W) or (H, W, N), of any type.
    """
    values = image.astype(np.float64)
    rows, columns = (np.array_split(np.arange(side), FIELDS) for side in values.shape[:2])
    fields = [values[r[0] : r[-1] + 1, c[0] : c[-1] + 1].mean() for r, c in itertools.product(rows, columns)]
    spots = values[tuple(slice(side // 7, None, max(1, side // 5)) for side in values.shape)].ravel()
    numbers = {"means": [*fields, np.sqrt((values**2).mean())], "spots": spots.tolist()}
    return {name: [round(float(number), 7) for number in kept] for name, kept in numbers.items()}


def largest_difference(image: np.ndarray, golden: dict[str, list[float]]) -> dict[str, float]:
    """By how much an image differs from what was kept, at most, for each kind of numbers."""
    found = digest(image)
    return {name: float(np.abs(np.subtract(found[name], golden[name])).max()) for name in golden}


def pairs() -> dict[str, torch.Tensor]:
    """Sources of the network, (1, 2, H, W) in [0, 1]: a made-up pair, the same near black, and two sample slices."""
    found = {"made up": make_pair((61, 83), seed=5), "near black": make_pair((40, 48), seed=6) * 0.004}
    items = {item["name"]: item for item in fusion_datalist(BUNDLE / "sample_data", "validation")}
    for name in ("ct_044", "pet_044"):
        pair = LoadSourced()(items[name])
        found[name] = torch.cat([torch.as_tensor(pair[key]) for key in ("source_a", "source_b")])[None].float()
    return found


def _fuse(*words: str | Path) -> None:
    assert main(["fuse", *map(str, words)]) == 0


def fused_pictures(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """What ``fuse`` writes for pictures: gray, with PET's own colors, and with a color map.

    Args:
        folder: gets the pictures.

    Yields:
        A name and the pixels, (H, W) or (H, W, 3) uint8.
    """
    mri, other = make_pair((72, 64), seed=2)[0].numpy()
    sources = [write_gray(folder / "mri.png", mri), write_gray(folder / "ct.png", other), folder / "pet.png"]
    color = np.stack([other, other**2, 0.6 * other * (1 - other)], axis=-1)
    Image.fromarray(np.rint(color * 255).astype(np.uint8)).save(sources[2])
    cases = {
        "gray": (sources[1], ()),
        "lesions": (sources[1], ("--keep", "lesions")),
        "color": (sources[2], ()),
        "bfloat16": (sources[1], ("--precision", "bfloat16")),
    }
    for name, (source, options) in cases.items():
        _fuse(sources[0], source, "-o", folder / f"{name}.png", *options)
        yield name, np.asarray(Image.open(folder / f"{name}.png"))


def fused_volumes(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """What ``fuse`` writes for a made-up study in DICOM: MR, and PET in Bq/ml on a coarser grid beside it.

    Args:
        folder: gets the study and its output.

    Yields:
        A name and the values: the fused volume, its colors, and source B on the grid of A, in SUV.
    """
    x, y, z = (axis / side * 2 - 1 for axis, side in zip(np.mgrid[tuple(map(slice, SHAPE))], SHAPE, strict=True))
    head = x**2 + y**2 + (0.5 * z) ** 2 < 0.7
    mr = np.where(head, 500 + 200 * np.sin(9 * x) * np.cos(7 * y + z), 0).round().astype(np.int16)
    activity = np.where(head, 1500 + 1200 * np.cos(5 * x * y + z), 0).round().astype(np.int16)[2:-2, 2:-2, 1:-1]
    write_series(folder / "study", SHAPE, "MR", mr, spacing=(1.5, 1.5, 4.0), origin=(-20.0, 11.0, 6.5))
    tags = SUV_TAGS | {"RadiopharmaceuticalInformationSequence": suv_dose(), "SeriesNumber": 7}
    grid = {"spacing": (1.7, 1.7, 4.5), "origin": (-19.0, 12.0, 8.0), "prefix": "pet"}
    write_series(folder / "study", activity.shape, "PT", activity, **grid, **tags)
    _fuse(folder / "study", folder / "study", "-o", folder / "out", "--register", "none")
    volumes = {name: nibabel.load(folder / "out" / f"{name}.nii.gz") for name in ("fused", "fused_color", "source_b")}
    yield "fused", volumes["fused"].get_fdata()
    colors = np.asanyarray(volumes["fused_color"].dataobj)
    yield "color", np.concatenate([colors[channel] for channel in "RGB"], axis=2)
    yield "suv", volumes["source_b"].get_fdata()


def write() -> None:
    """Compute all values and write golden.json; what it says of tolerances stays."""
    before = json.loads(FILE.read_text())
    network, networks = load_torch_network().double(), {}
    with torch.inference_mode():
        for (name, pair), keep in itertools.product(pairs().items(), Keep):
            fused = network(pair.double(), torch.tensor([keep.condition], dtype=torch.float64))
            networks[f"{name}, {keep}"] = digest(fused[0, 0].numpy())
    with TemporaryDirectory() as pictures, TemporaryDirectory() as study:
        values = {
            "network": networks,
            "colors": {str(name): digest(color_table(name)) for name in SHAPES},
            "pictures": {name: digest(image) for name, image in fused_pictures(Path(pictures))},
            "volumes": {name: digest(image) for name, image in fused_volumes(Path(study))},
        }
    made_with = {name: importlib.import_module(name).__version__ for name in PACKAGES}
    made_with["weights"] = sha256_of(SHIPPED[Runtime.TORCH])
    FILE.write_text(_as_text({"tolerance": before["tolerance"], "made_with": made_with} | values))


def _as_text(tree: dict, depth: int = 0) -> str:
    """JSON with one line for each list of numbers, and for the tolerances of each case."""
    if depth > 1 and not any(isinstance(value, dict | list) for value in tree.values()):
        return json.dumps(tree)
    space = "  " * (depth + 1)
    lines = [
        f"{space}{json.dumps(key)}: {_as_text(value, depth + 1) if isinstance(value, dict) else json.dumps(value)}"
        for key, value in tree.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n" + "  " * depth + "}" + ("\n" if depth == 0 else "")


if __name__ == "__main__":
    write()
