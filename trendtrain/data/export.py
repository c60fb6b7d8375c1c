"""Write a trained net for other runtimes: ONNX, or a program of torch.export."""

import io
import logging
import warnings
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from trendtrain.data.predict import Predictor
from trendtrain.errors import InputError
from trendtrain.storage.whole_file import whole_file

_ENDINGS: Final = (".onnx", ".pt2")
_N_ROWS: Final = 4  # of the example that is followed: more than one, so that the number stays free


class _Calibrated(nn.Module):
    """Give the calibrated logits of a run's module, (B, T, F) and (B, S) -> (B, C)."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, window: Tensor, side: Tensor | None = None) -> Tensor:
        batch = {"window": window} if side is None else {"window": window, "side": side}
        logits: Tensor = self.module.validation_step(batch, 0)["logits"]  # type: ignore[operator]
        return logits


def export_net(predictor: Predictor, path: Path) -> dict[str, tuple[int | str, ...]]:
    """Write the net with its temperature to a file; any number of windows goes in.

    Softmax of the logits that come out gives the chances of DOWN, UP and, of three classes, FLAT.

    Args:
        predictor: A net as a run left it.
        path: Ends in `.onnx`, or in `.pt2` for `torch.export.load`.

    Returns:
        The shape of each input and of the output, by name; B is free.

    Raises:
        InputError: If the ending is another, the file cannot be written, or ONNX is not installed.
    """
    if path.suffix not in _ENDINGS:
        raise InputError(f"`--out` must end in {' or '.join(_ENDINGS)}, got {path}.")
    data, n_classes = predictor.config.data, predictor.config.n_classes
    sizes = {"window": (data.window, data.n_features)} | ({"side": (data.n_side,)} if data.n_side else {})
    example = tuple(torch.zeros(_N_ROWS, *size) for size in sizes.values())
    rows = torch.export.Dim("rows", min=1)
    net = _Calibrated(predictor.module).eval()
    with whole_file(path, "--out") as file:
        content = _to_onnx if path.suffix == ".onnx" else _to_program
        file.write(content(net, example, list(sizes), [{0: rows} for _ in sizes]))
    return {**{name: ("B", *size) for name, size in sizes.items()}, "logits": ("B", n_classes)}


def _to_program(
    net: nn.Module, example: tuple[Tensor, ...], names: list[str], shapes: list[dict[int, object]]
) -> bytes:
    program, buffer = torch.export.export(net, example, dynamic_shapes=tuple(shapes)), io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


def _to_onnx(net: nn.Module, example: tuple[Tensor, ...], names: list[str], shapes: Any) -> bytes:
    for name in ("onnxscript", "torch.onnx"):
        logging.getLogger(name).setLevel(logging.ERROR)  # about other packages
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about torch's own names
            program = torch.onnx.export(
                net,
                example,
                dynamo=True,
                verbose=False,
                input_names=names,
                output_names=["logits"],
                dynamic_shapes=tuple(shapes),
            )
    except ModuleNotFoundError as error:
        raise InputError("`--out` must find ONNX for a file.onnx, got none: pip install trendtrain[export].") from error
    assert program is not None
    content: bytes = program.model_proto.SerializeToString()
    return content
