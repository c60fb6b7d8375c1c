"""A causal transformer over patches of bars."""

import torch
from torch import Tensor, nn

from trendtrain.errors import InputError, check_at_least
from trendtrain.models.layers import Head, Patches


class TransformerNet(nn.Module):
    """Map windows to class logits, (B, T, F) -> (B, C), with causal attention between patches of bars.

    A patch of neighbouring bars is one token (Nie et al. 2023, arXiv 2211.14730), so that the window is short and a
    CPU is enough. Blocks are pre-norm (Xiong et al. 2020, arXiv 2002.04745). The last token goes to the head,
    with the last bar's channels and the side inputs. Dropout acts in the head alone.

    The defaults fit the inputs that `PivotDataModule` gives by default.

    Args:
        n_features: F, channels of a window.
        window: T, bars of a window.
        n_classes: C.
        n_side: S, side inputs of the last bar; 0 for none: the net then takes windows alone.
        patch: Bars a token; it divides the window.
        width: Channels of a token; the heads divide it.
        n_heads: Attention heads.
        n_layers: Blocks.
        dropout: Share of hidden units dropped in the head.

    Raises:
        InputError: If a number lies outside its range, or does not divide what it should.

    Example:
        >>> TransformerNet()(torch.zeros(5, 96, 8), torch.zeros(5, 24)).shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        n_features: int = 8,
        window: int = 96,
        n_classes: int = 2,
        n_side: int = 24,
        patch: int = 8,
        width: int = 32,
        n_heads: int = 4,
        n_layers: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.head = Head(width, n_features, n_side, n_classes, width, dropout)
        _check_divides("patch", patch, "window", window)
        _check_divides("n_heads", n_heads, "width", width)
        check_at_least("n_layers", n_layers, 1)
        self.embed = Patches(n_features, width, patch)
        self.position = nn.Parameter(0.02 * torch.randn(window // patch, width))
        self.blocks = nn.Sequential(*(_Block(width, n_heads) for _ in range(n_layers)))
        self.norm = nn.LayerNorm(width)

    def forward(self, window: Tensor, side: Tensor | None = None) -> Tensor:
        """Return the logits at each window's last bar, (B, T, F) and (B, S) -> (B, C)."""
        logits: Tensor = self.head(self.body(window)[:, -1], window, side)
        return logits

    def body(self, window: Tensor) -> Tensor:
        """Return the hidden units of each patch, from it and earlier ones, (B, T, F) -> (B, T / patch, H)."""
        hidden: Tensor = self.norm(self.blocks(self.embed(window) + self.position))
        return hidden


class _Block(nn.Module):
    """Add causal self-attention, then a feed-forward layer, to each token, (B, N, H) -> (B, N, H)."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm_before, self.norm_after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.mix(self._attend(self.norm_before(tokens)))
        change: Tensor = self.feed_forward(self.norm_after(tokens))
        return tokens + change

    def _attend(self, tokens: Tensor) -> Tensor:
        batch, n, width = tokens.shape
        parts = self.query_key_value(tokens).view(batch, n, 3, self.n_heads, width // self.n_heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # (B, heads, N, H / heads) each
        attended = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return attended.transpose(1, 2).reshape(batch, n, width)


def _check_divides(name: str, value: int, whole_name: str, whole: int) -> None:
    check_at_least(name, value, 1)
    if whole % value:
        raise InputError(f"`{name}` must divide `{whole_name}` ({whole}), got {value}.")
