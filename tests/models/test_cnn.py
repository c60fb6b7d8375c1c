import torch
from torch import nn

from trendtrain.models import CnnNet


def test_it_is_a_stack_of_dilated_convolutions_read_at_the_last_bar() -> None:
    torch.manual_seed(0)
    net = CnnNet(n_features=3, window=24, width=8, kernels=(2, 3, 4), dropout=0.0, n_side=0).eval()
    window = torch.randn(5, 24, 3)
    hidden, dilation = window.transpose(1, 2), 1
    for layer, kernel in zip(net.body, (2, 3, 4), strict=True):
        weight = layer[0].linear.weight.view(8, kernel, -1).transpose(1, 2)  # (D, k C) -> (D, C, k)
        convolved = nn.functional.conv1d(hidden, weight, layer[0].linear.bias, dilation=dilation)
        hidden, dilation = nn.functional.gelu(convolved), dilation * kernel
    torch.testing.assert_close(net(window), net.head(hidden[:, :, -1], window, None), rtol=1e-5, atol=1e-6)
