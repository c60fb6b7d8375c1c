"""Nets leave torch with a free batch size: `torch.export`, `torch.jit.trace`, and ONNX where it is installed."""

from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from trendtrain.models import CnnNet, DuelingQNet, MlpNet, PerTimeframe, TransformerNet, TrendModule, TwoHeads
from trendtrain.models.dqn import QModule

T, F, S = 96, 8, 24
NETS = {
    "mlp": lambda: MlpNet(F, n_side=S),
    "cnn": lambda: CnnNet(F, T, n_side=S),
    "transformer": lambda: TransformerNet(F, T, n_side=S),
    "dqn": lambda: DuelingQNet(F, T, n_side=S),
    "two heads": lambda: TwoHeads(partial(CnnNet, n_features=F, window=T, n_side=S)),
    "per timeframe": lambda: PerTimeframe(MlpNet(F, n_side=S), ["1m", "2m"]),
    "module": lambda: TrendModule(CnnNet(F, T, n_side=S), use_side=True),
    "module of Q-values": lambda: QModule(DuelingQNet(F, T, n_side=S), use_side=True),
}


def inputs(n: int) -> tuple[Tensor, Tensor]:
    """Windows and side inputs, the last of which says 1m or 2m."""
    random = torch.Generator().manual_seed(n)
    side = torch.randn(n, S, generator=random)
    side[:, -1] = torch.randint(2, (n,), generator=random) / 10.0
    return torch.randn(n, T, F, generator=random), side


def make(name: str) -> nn.Module:
    torch.manual_seed(0)
    net = NETS[name]().eval()
    for i, copy in enumerate(net.nets if isinstance(net, PerTimeframe) else ()):
        nn.init.constant_(copy.layers[-1].bias, float(i))  # copies start alike
    return net


def check(net: nn.Module, exported: nn.Module) -> None:
    for n in (1, 2, 5, 64):
        torch.testing.assert_close(exported(*inputs(n)), net(*inputs(n)), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", NETS)
def test_an_exported_net_takes_any_number_of_rows(name: str) -> None:
    net, rows = make(name), torch.export.Dim("rows", min=1)
    check(net, torch.export.export(net, inputs(4), dynamic_shapes=({0: rows}, {0: rows})).module())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("name", [name for name in NETS if "module" not in name])
def test_a_traced_net_takes_any_number_of_rows(name: str) -> None:
    net = make(name)
    check(net, torch.jit.trace(net, inputs(4), check_trace=False))


MODULES = ("onnx", "onnxruntime", "onnxscript")
IN_ONNX = ("transformer", "per timeframe", "module of Q-values")


@pytest.mark.skipif(not all(map(find_spec, MODULES)), reason=f"needs {', '.join(MODULES)}")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", [*IN_ONNX, *(pytest.param(name, marks=pytest.mark.full) for name in NETS if name not in IN_ONNX)]
)
def test_a_net_in_onnx_takes_any_number_of_rows(name: str, tmp_path: Path) -> None:
    import onnxruntime  # type: ignore[import-not-found]

    net, rows, names = make(name), torch.export.Dim("rows", min=1), ["window", "side"]
    shapes = ({0: rows}, {0: rows})
    torch.onnx.export(net, inputs(4), tmp_path / "net.onnx", dynamo=True, input_names=names, dynamic_shapes=shapes)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    for n in (1, 5, 64):
        given = dict(zip(names, (part.numpy() for part in inputs(n)), strict=True))
        (found,) = session.run(None, given)
        torch.testing.assert_close(torch.from_numpy(found), net(*inputs(n)), atol=1e-5, rtol=1e-4)
