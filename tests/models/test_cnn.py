from collections.abc import Sequence

import pytest
import torch
from torch import nn

from trendtrain.errors import InputError
from trendtrain.models import CnnNet


def net_of(**options: object) -> CnnNet:
    torch.manual_seed(0)
    return CnnNet(**({"n_features": 8, "window": 96} | options)).eval()


@pytest.mark.parametrize(
    ("n_features", "window", "kernels", "n_classes"),
    [(8, 96, (4, 4, 6), 2), (3, 12, (3, 4), 3), (1, 5, (5,), 2)],
)
def test_windows_become_logits(n_features: int, window: int, kernels: Sequence[int], n_classes: int) -> None:
    net = net_of(n_features=n_features, window=window, kernels=kernels, n_classes=n_classes)
    assert net(torch.zeros(7, window, n_features)).shape == (7, n_classes)


@pytest.mark.parametrize("bar", [0, 1, 50, 94, 95])
def test_the_answer_depends_on_every_bar(bar: int) -> None:
    window = torch.randn(4, 96, 8, generator=torch.Generator().manual_seed(1)).requires_grad_()
    net_of()(window)[:, 1].sum().backward()
    assert (window.grad[:, bar].abs() > 0).all()


def test_the_answer_to_one_window_does_not_depend_on_its_batch() -> None:
    windows = torch.randn(16, 96, 8, generator=torch.Generator().manual_seed(2))
    net = net_of()
    torch.testing.assert_close(net(windows)[3:4], net(windows[3:4]), rtol=1e-5, atol=1e-6)


def test_no_layer_mixes_the_windows_of_a_batch() -> None:
    forbidden = (nn.modules.batchnorm._NormBase, nn.SyncBatchNorm)
    assert not any(isinstance(module, forbidden) for module in net_of().modules())


def test_the_same_seed_gives_the_same_net() -> None:
    windows = torch.ones(1, 96, 8)
    torch.testing.assert_close(net_of()(windows), net_of()(windows), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernels": [4, 4, 4]}, r"`kernels` must multiply to the window \(96\), got \[4, 4, 4\]"),
        ({"window": 97}, r"`kernels` must multiply to the window \(97\), got \[4, 4, 6\]"),
        ({"width": 0}, "`width` must be an integer of at least 1, got 0"),
        ({"dropout": 1.5}, r"`dropout` must be a number from 0\.0 to 1\.0, got 1\.5"),
    ],
)
def test_a_net_that_cannot_be_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        net_of(**options)
