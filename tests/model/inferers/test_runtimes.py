"""The network in its runtimes: the shipped exports are those of the shipped weights and give the same images."""

from __future__ import annotations

import json
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from scripts.data.tasks import PHOTOGRAPHIC_TASKS
from scripts.inferers import onnx_session
from scripts.inferers.contract import SHIPPED
from scripts.inferers.onnx_session import OnnxSession
from scripts.inferers.runtimes import load_network
from scripts.utils.checks import InputError
from scripts.utils.enums import Runtime
from scripts.utils.files import sha256_of

from mmif_amin.fuser import load
from tests.conftest import BUNDLE, ROOT, make_pair

MODELS = BUNDLE / "models"
MANIFEST = json.loads((MODELS / "manifest.json").read_text())
MANIFESTS = {"model": MANIFEST} | {
    task.weights: json.loads((MODELS / f"{task.weights}_manifest.json").read_text())
    for task in PHOTOGRAPHIC_TASKS.values()
}
EXPORTED = [Runtime.TORCHSCRIPT, Runtime.ONNX]


def test_every_shipped_file_is_known():
    exported = {name for manifest in MANIFESTS.values() for name in manifest["files"]}
    named = exported | {f"{stem}.pt" for stem in MANIFESTS}
    manifests = {"manifest.json"} | {f"{stem}_manifest.json" for stem in MANIFESTS if stem != "model"}
    assert {path.name for path in MODELS.iterdir()} == named | manifests
    assert all((MODELS / name).stat().st_size < 1e6 for name in named)


@pytest.mark.parametrize("stem", MANIFESTS)
def test_shipped_exports_are_of_the_shipped_weights(stem):
    """Renew them with `make export` when this fails."""
    manifest, metadata = MANIFESTS[stem], json.loads((BUNDLE / "configs" / "metadata.json").read_text())
    assert manifest["version"] == metadata["version"]
    assert manifest["weights"]["sha256"] == sha256_of(MODELS / f"{stem}.pt")
    for name, facts in manifest["files"].items():
        assert facts["sha256"] == sha256_of(MODELS / name), name
        assert facts["bytes"] == (MODELS / name).stat().st_size
        assert facts["largest_difference"] <= 1e-4
    contract = metadata["network_data_format"]["inputs"]["image"]
    assert {key: manifest["input"][key] for key in ("dtype", "value_range", "channel_def")} == {
        key: contract[key] for key in ("dtype", "value_range", "channel_def")
    }


@pytest.mark.parametrize("stem", MANIFESTS)
def test_shipped_exports_name_no_folder_of_the_machine_that_wrote_them(stem):
    for name in MANIFESTS[stem]["files"]:
        content = (MODELS / name).read_bytes()
        assert not any(folder in content for folder in (str(ROOT).encode(), b"/home/", b"/root/", b"/Users/", b"/tmp/"))


@pytest.mark.parametrize("runtime", EXPORTED)
@pytest.mark.parametrize("size", [(16, 16), (96, 96), (33, 250)])
def test_runtimes_agree(runtime, size):
    a, b = make_pair(size, seed=3)[0].numpy()
    difference = np.abs(load(runtime=runtime)(a, b) - load(runtime="torch")(a, b)).max()
    assert difference <= 1e-4


@pytest.mark.parametrize("runtime", EXPORTED)
def test_laws_hold_in_every_runtime(runtime):
    """Black stays black, two equal images stay as they are, and a batch is its images."""
    network = load_network(torch.nn.Identity(), runtime=runtime)
    image = torch.cat([make_pair((40, 52), seed) for seed in range(3)])
    with torch.inference_mode():
        assert network(torch.zeros(1, 2, 32, 32)).abs().max() == 0
        same = image[:, :1].expand(-1, 2, -1, -1)
        assert (network(same) - image[:, :1]).abs().max() <= 1e-6
        assert (network(image) - torch.cat([network(image[k : k + 1]) for k in range(3)])).abs().max() <= 1e-5


def test_bfloat16_keeps_the_laws_and_the_image():
    """On 115 real pairs VIF, SSIM, Qabf and VIFlocal moved by at most .00023 (docs/benchmark.md)."""
    exact, fast = load(runtime="torch").network, load(precision="bfloat16").network
    image = torch.cat([make_pair((96, 96), seed) for seed in range(3)])
    image[..., :20] = 0
    same = image[:, :1].expand(-1, 2, -1, -1)
    with torch.inference_mode():
        fused = fast(image)
        assert fused.dtype == torch.float32
        assert torch.equal(fast(same), image[:, :1])
        assert fused[..., :20].abs().max() == 0
        difference = (fused - exact(image)).abs()
    assert 0 < difference.mean() < 0.001
    assert difference.max() < 0.05
    with pytest.raises(InputError, match="is for the runtime torch, got onnx"):
        load(runtime="onnx", precision="bfloat16")


def test_wrong_files_are_refused(tmp_path):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra 'onnx')")
    helper = onnx.helper
    with pytest.raises(InputError, match=r"expected a \.onnx file for the runtime onnx, got one for torch"):
        load(SHIPPED[Runtime.TORCH], runtime="onnx")
    with pytest.raises(InputError, match="Choose that runtime"):
        load(SHIPPED[Runtime.ONNX], runtime="torch")
    for runtime, suffix in ((Runtime.TORCHSCRIPT, ".ts"), (Runtime.ONNX, ".onnx")):
        noise = tmp_path / f"noise{suffix}"
        with pytest.raises(InputError, match="found nothing there"):
            load(noise, runtime=runtime)
        noise.write_bytes(b"noise")
        with pytest.raises(InputError, match="mmif-amin export wrote, got"):
            load(noise, runtime=runtime)
    shape = [1, 2, 16, 16]
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "other", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(InputError, match=r"expected the input 'image' and the output 'pred', got \['x'\]"):
        load(tmp_path / "other.onnx", runtime="onnx")
    for name, other in (("identity", torch.nn.Identity()), ("narrow", torch.nn.Conv2d(1, 1, 1))):
        torch.jit.script(other).save(tmp_path / f"{name}.ts")
        with pytest.raises(InputError, match=f"{name}.ts: expected a network that"):
            load(tmp_path / f"{name}.ts", runtime="torchscript")
    with pytest.raises(ValueError, match="tensorrt"):
        load(runtime="tensorrt")


def test_a_session_runs_on_the_threads_of_torch(monkeypatch):
    """Without torch, on those that OMP_NUM_THREADS names."""
    assert onnx_session._thread_count() == torch.get_num_threads()
    monkeypatch.delitem(sys.modules, "torch")
    for wanted, expected in (("3", 3), ("many", 0), ("", 0)):
        monkeypatch.setenv("OMP_NUM_THREADS", wanted)
        assert onnx_session._thread_count() == expected


def test_auto_is_one_of_the_others():
    image = make_pair((40, 52))
    with torch.inference_mode():
        auto, onnx = (load_network(torch.nn.Identity(), runtime=name)(image) for name in ("auto", "onnx"))
    assert torch.equal(auto, onnx)


def test_the_network_is_made_only_where_it_runs():
    """A function that makes it is called for the runtime torch alone."""
    with pytest.raises(ZeroDivisionError):
        load_network(lambda: 1 / 0, runtime="torch")
    load_network(lambda: 1 / 0, runtime="torchscript")


def test_a_session_without_onnx_runtime_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match="pip install onnxruntime"):
        OnnxSession(SHIPPED[Runtime.ONNX])


def test_cuda_that_onnx_runtime_lacks_is_refused():
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(InputError, match="Install onnxruntime-gpu, or use --device cpu"):
        OnnxSession(SHIPPED[Runtime.ONNX], "cuda")


@pytest.mark.parametrize("runtime", [*Runtime])
def test_a_device_that_is_not_there_is_refused(runtime):
    with pytest.raises(InputError, match="--device tpu: expected cpu, cuda or cuda:N, got"):
        load(device="tpu", runtime=runtime)
