import pytest
import torch
from torch import Tensor

from trendtrain.errors import InputError
from trendtrain.features import bar_features, skill_features
from trendtrain.market import random_walk
from trendtrain.models import MlpNet, PerTimeframe
from trendtrain.stream.inputs import InputTracker

NAMES = ["1m", "5m", "1h"]


def net_of(names: list[str] = NAMES) -> PerTimeframe:
    torch.manual_seed(0)
    net = PerTimeframe(MlpNet(4, n_side=24), names)
    for copy in net.nets:  # trained apart, they differ
        torch.nn.init.normal_(copy.layers[0].weight)
    return net.eval()


def side_of(name: str, n: int) -> Tensor:
    bars = random_walk(40, seed=0, timeframe=name)
    return torch.from_numpy(InputTracker(bar_features, skill_features, None).update(bars).side[-n:])


def test_rows_go_to_the_net_of_their_timeframe() -> None:
    net, window = net_of(), torch.randn(9, 12, 4)
    sides = [side_of(name, 3) for name in NAMES]
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    mixed = net(window[order], torch.cat(sides)[order])
    alone = torch.cat([net.nets[i](window[3 * i : 3 * i + 3], side) for i, side in enumerate(sides)])
    torch.testing.assert_close(mixed, alone[order])
    assert not torch.allclose(net.nets[0](window[3:6], sides[1]), alone[3:6])


def test_only_the_nets_of_the_rows_learn() -> None:
    net = net_of()
    net(torch.randn(3, 12, 4), side_of("5m", 3)).sum().backward()
    assert [copy.layers[0].weight.grad is not None for copy in net.nets] == [False, True, False]


def test_no_rows_get_no_answers() -> None:
    assert net_of()(torch.zeros(0, 12, 4), torch.zeros(0, 24)).shape == (0, 2)


def test_a_timeframe_without_a_net_is_refused() -> None:
    with pytest.raises(InputError, match="`timeframes` must name each timeframe of the data, got bars of 15 minutes"):
        net_of()(torch.zeros(3, 12, 4), side_of("15m", 3))


@pytest.mark.parametrize("names", [[], ["1m", "5m", "1m"]])
def test_timeframes_are_named_once_each(names: list[str]) -> None:
    with pytest.raises(InputError, match="`timeframes` must name each timeframe once, got"):
        PerTimeframe(MlpNet(4, n_side=0), names)
