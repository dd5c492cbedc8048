"""Refinement on the very pair: the laws hold exactly, the loss falls, nothing depends on chance or on the batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scripts.data.datalist import fusion_datalist
from scripts.data.pictures import read_source
from scripts.inferers.refinement import Refinement
from scripts.inferers.runtimes import load_network
from scripts.inferers.slices import SliceFusionInferer
from scripts.inferers.tiles import fuse_in_tiles
from scripts.losses.fixed import FixedFusionLoss
from scripts.metrics.suite import fusion_metrics
from scripts.networks.nets.mmif_amin import MMIFAMIN
from scripts.utils.checks import InputError

from tests.conftest import make_pair

SIZES = [(16, 16), (17, 33), (48, 48), (50, 31), (96, 80)]
LARGEST_RISE = 0.1  # of a step, part of the whole fall


@pytest.fixture(scope="module")
def network():
    return load_network(MMIFAMIN(spatial_dims=2))


@pytest.fixture(scope="module")
def fused(network, image):
    with torch.inference_mode():
        return network(image)


@pytest.fixture(scope="module")
def image():
    return make_pair((64, 72))


class Told(FixedFusionLoss):
    """Remembers all values."""

    def __init__(self):
        super().__init__()
        self.values = []

    def evaluate(self, *args):
        value = super().evaluate(*args)
        self.values.append(value.item())
        return value


@pytest.mark.parametrize("size", SIZES)
def test_the_laws_hold_exactly(network, size):
    image, refinement = make_pair(size), Refinement(8)
    same = image[:, :1].expand(-1, 2, -1, -1)
    with torch.inference_mode():
        refined = refinement(network(image), image)
        assert torch.equal(refinement(network(same), same), network(same))
        assert (refinement(network(same), same) - same[:, :1]).abs().max() <= 1e-6
    assert refined.shape == (1, 1, *size)
    assert 0 <= refined.min() <= refined.max() <= 1
    assert (refined[image.sum(dim=1, keepdim=True) == 0] == 0).all()
    assert not torch.equal(refined, network(image))


def test_where_the_sources_agree_nothing_changes(network):
    """Not only images that are the same as a whole: a region of one is enough, 3 pixels from its border on."""
    image = make_pair((64, 64))
    image[:, 1, :, :40] = image[:, 0, :, :40]
    with torch.inference_mode():
        before = network(image)
        after = Refinement(8)(before, image)
    assert torch.equal(after[..., :37], before[..., :37])
    assert not torch.equal(after[..., 40:], before[..., 40:])


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_constant_images_stay(level):
    image = torch.full((1, 2, 48, 48), level)
    assert torch.equal(Refinement(3)(image[:, :1], image), image[:, :1])


def test_bright_and_dark_places_are_compressed_not_clipped():
    """Pushed by far too long steps, white and black are reached by almost no pixel."""
    image = make_pair((64, 64)) * 0.8 + 0.1
    refined = Refinement(10, learning_rate=0.2)(image.amax(dim=1, keepdim=True), image)
    assert refined.min() >= 0
    assert refined.max() <= 1
    assert ((refined == 0) | (refined == 1)).float().mean() < 0.01


def test_the_same_every_time_and_in_every_batch(network):
    images = torch.cat([make_pair((64, 56), seed) for seed in range(3)])
    with torch.inference_mode():
        fused = network(images)
        once, again = (Refinement(5)(fused, images) for _ in range(2))
        alone = torch.cat([Refinement(5)(fused[k : k + 1], images[k : k + 1]) for k in range(3)])
    with torch.no_grad():
        other_mode = Refinement(5)(fused.clone(), images)
    assert torch.equal(once, again)
    assert torch.equal(once, alone)
    assert torch.equal(once, other_mode)
    assert not once.requires_grad


def test_the_loss_falls_with_each_step_and_with_more_steps(fused, image):
    reached = []
    for steps in (5, 20, 60):
        loss = Told()
        refinement = Refinement(steps, loss)
        refinement(fused, image)
        values, report = np.array(loss.values), refinement.report()
        assert len(values) == steps + 1
        assert (report.steps, report.images) == (steps, 1)
        assert (report.loss_before, report.loss_after) == pytest.approx((values[0], values[-1]), abs=1e-6)
        assert np.diff(values).max() < LARGEST_RISE * (values[0] - values[-1])
        reached.append(values[-1])
    assert values[0] > reached[0] > reached[1] > reached[2]


def grown(network, image, names):
    with torch.inference_mode():
        fused = network(image)
        before, after = (fusion_metrics(x, image[:, :1], image[:, 1:]) for x in (fused, Refinement(20)(fused, image)))
    assert after["background"] == 0
    assert {name: (before[name].item(), after[name].item()) for name in names if after[name] <= before[name]} == {}


def test_what_the_loss_asks_for_has_grown(network, image):
    grown(network, image, ["Qabf", "Qabf_min", "VIFmin", "VIFlocal"])


@pytest.mark.parametrize("task", ["CT-MRI", "PET-MRI", "SPECT-MRI"])
def test_real_pairs_gain_in_the_figures_of_the_field(network, shared_harvard, task):
    item = fusion_datalist(str(shared_harvard), split="validation", tasks=[task])[12]
    planes = [read_source(item[f"source_{letter}"], task.split("-")[letter == "a"]).gray for letter in "ab"]
    grown(network, torch.from_numpy(np.stack(planes, axis=1)).float(), ["Qabf", "Qabf_min", "VIFlocal", "SF"])


def test_an_image_whose_loss_has_not_fallen_stays(fused, image):
    class Rising(FixedFusionLoss):
        calls = 0

        def evaluate(self, *args):
            self.calls += 1
            return super().evaluate(*args) + self.calls

    refinement = Refinement(2, Rising())
    assert torch.equal(refinement(fused, image), fused)
    assert refinement.report().loss_after == refinement.report().loss_before


def test_no_steps_are_today_s_images(network, image):
    with torch.inference_mode():
        fused = network(image)
        assert Refinement(0)(fused, image) is fused
        inferer = SliceFusionInferer(refinement=Refinement(0))
        assert torch.equal(inferer(image, network), SliceFusionInferer()(image, network))
    assert inferer.refinement is None
    assert Refinement(0).report() is None


def test_tiles_come_near_the_whole_without_seams(network):
    """Within .01 of white on average; at the borders of the tiles the difference jumps no more than elsewhere."""
    image, refinement = make_pair((96, 160)), Refinement(20)

    def fuse(part):
        return refinement(network(part.contiguous()), part)

    with torch.inference_mode():
        whole, tiled = fuse(image), fuse_in_tiles(image, fuse, 96)
        pasted = torch.cat([fuse(image[..., :96])[..., :64], fuse(image[..., 64:])], dim=-1)
        same = image[:, :1].expand(-1, 2, -1, -1)
        assert (fuse_in_tiles(same, fuse, 96) - same[:, :1]).abs().max() < 1e-6
    assert (tiled - whole).abs().mean() < 0.01
    assert (tiled[image.sum(dim=1, keepdim=True) == 0] == 0).all()
    jumps, with_a_seam = ((x - whole)[0, 0].diff(dim=1).abs().mean(dim=0) for x in (tiled, pasted))
    assert max(jumps[63], jumps[95]) < 3 * jumps.mean()  # where the second tile begins, and where the first one ends
    assert with_a_seam[63] > 6 * jumps.mean()  # what this test would find


@pytest.fixture(scope="module")
def volume():
    """(1, 2, 40, 32, 6), the first slice black."""
    stack = torch.stack([make_pair((40, 32), seed)[0] for seed in range(6)], dim=-1)[None]
    stack[..., 0] = 0
    return stack


def test_a_volume_is_its_slices(network, volume):
    inferer = SliceFusionInferer(refinement=Refinement(4), smoothing=0)
    with torch.no_grad():
        fused = inferer(MetaTensor(volume, affine=torch.eye(4)), network)
        report = inferer.refinement.report()
        assert report.images == 5
        assert report.loss_after < report.loss_before
        for k in (1, 5):
            assert torch.equal(fused[..., k], inferer(volume[..., k], network))
    assert (fused[..., 0] == 0).all()
    assert inferer.refinement.report().images == 1  # of the last call alone


def test_three_axes_keep_the_laws(network):
    volume = torch.stack([make_pair((24, 20), seed)[0] for seed in range(18)], dim=-1)[None]
    inferer = SliceFusionInferer(axes="all", refinement=Refinement(2))
    with torch.inference_mode():
        fused = inferer(volume, network)
        same = volume[:, :1].expand(-1, 2, -1, -1, -1)
        assert (inferer(same, network) - same[:, :1]).abs().max() < 1e-6
    assert (fused[volume.sum(dim=1, keepdim=True) == 0] == 0).all()
    shown = sum(int((volume.amax(dim=[0, 1, *others]) > 0).sum()) for others in ((3, 4), (2, 4), (2, 3)))
    assert inferer.refinement.report().images == shown


def test_the_cost_is_said_before_a_volume(network, volume, capsys):
    for steps in (0, 3):
        SliceFusionInferer(progress=True, refinement=Refinement(steps))(volume, network)
        printed = capsys.readouterr()
        line = "refining 5 slices with 3 steps each will take about"
        assert (line in printed.err) == (steps > 0)
        assert printed.out == ""
    assert printed.err.index(line) < printed.err.index("fusing:")


def test_the_cost_is_near_the_truth(network):
    image, refinement = make_pair((128, 128)), Refinement(20)
    with torch.no_grad():
        fused = network(image)
        expected = refinement.seconds_per_pixel(fused, image) * 128 * 128
        assert refinement.report() is None  # measuring is no refinement
        refinement(fused, image)
    assert 0.1 < expected / refinement.report().seconds < 10  # on a busy machine too


@pytest.mark.parametrize("steps", [-1, 2.5, "20", True, None, 10_001])
def test_bad_steps_are_refused(steps):
    with pytest.raises(InputError, match="refine: expected a whole number from 0 to 10000, got"):
        Refinement(steps)


@pytest.mark.parametrize("learning_rate", [0, -0.1, float("nan")])
def test_bad_learning_rates_are_refused(learning_rate):
    with pytest.raises(ValueError, match="`learning_rate` must be positive, got"):
        Refinement(1, learning_rate=learning_rate)
