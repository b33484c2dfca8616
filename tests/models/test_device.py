"""What lies on a device stays there, and what does not is brought: on a device that is not there.

It computes on the CPU, and refuses to mix what lies on it with what does not. It goes by the name of PyTorch's "meta",
so that code that asks for a tensor's device, or makes one there, meets it.
"""

from __future__ import annotations

import contextlib
from typing import Any, Self

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

import epiattn as attn
from epiattn.models._loader import TARGET, RegulatoryDataset

FAR = torch.device("meta")
_COPIES = {torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default}


class FarTensor(torch.Tensor):
    """A tensor that lies there."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Self:
        return torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=FAR,
            requires_grad=inner.requires_grad,
        )

    def __init__(self, inner: torch.Tensor) -> None:
        self.inner = inner

    def tolist(self) -> list:
        """PyTorch's own knows no subclasses."""
        return self.inner.tolist()

    def new_tensor(self, values: Any) -> FarTensor:
        """PyTorch's own does not ask where to make it."""
        return FarTensor(self.inner.new_tensor(values))

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _call(function, args, kwargs or {})


class FarDevice(TorchDispatchMode):
    """While it is entered, the device is there."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _call(function, args, kwargs or {})


def _call(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, torch.Tensor)]
    far = {id(each.inner): each for each in tensors if isinstance(each, FarTensor)}
    near = [each for each in tensors if not isinstance(each, FarTensor) and each.ndim]
    if far and near and function not in _COPIES:
        msg = f"{function}: Expected all tensors to be on the same device."
        raise RuntimeError(msg)
    there = bool(far)
    if kwargs.get("device") is not None:
        there = torch.device(kwargs["device"]).type == FAR.type
        kwargs = {**kwargs, "device": torch.device("cpu")}
    args, kwargs = tree_map(lambda each: each.inner if isinstance(each, FarTensor) else each, (args, kwargs))
    result = function(*args, **kwargs)

    def place(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or function == torch.ops.aten.copy_.default and not far:
            return value
        return far.get(id(value), FarTensor(value)) if there else value

    return tree_map(place, result)


@pytest.fixture(autouse=True)
def _autocast(monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # knows real devices only


@pytest.fixture(params=["Kang2020", "MultiAttention"])
def model(request, mdata):
    attn.pp.split(mdata)
    model_class = getattr(attn.models, request.param)
    model_class.setup_mudata(mdata)
    model = model_class(mdata)
    model.is_trained_ = True
    return model


def run(model):
    """Predictions and attention; a pretended device knows no inference mode."""
    with torch.no_grad():
        outputs = type(model).run.__wrapped__(model)
    return [outputs.prediction, outputs.latent, *outputs.attention.values()]


def test_the_device_refuses_to_mix():
    with FarDevice():
        there = torch.ones(2).to(FAR)
        assert isinstance(there, FarTensor)
        assert (there + torch.ones(2, device=FAR)).cpu().tolist() == [2, 2]
        with pytest.raises(RuntimeError, match="to be on the same device"):
            there + torch.ones(2)


@pytest.mark.parametrize("loaded", [True, False])
def test_the_same_is_predicted_there(model, monkeypatch, loaded):
    load_on = RegulatoryDataset.load_on
    expected = run(model)
    monkeypatch.setattr(RegulatoryDataset, "load_on", lambda self, device: load_on(self, device, load=loaded))
    with FarDevice():
        model.module.to(FAR)
        found = run(model)
    for ours, other in zip(found, expected, strict=True):
        ours, other = (each.toarray() if hasattr(each, "toarray") else each for each in (ours, other))
        np.testing.assert_allclose(ours, other, atol=1e-6)


def test_losses_and_gradients_are_the_same_there(model):
    dataset = model._dataset(model.adata, target=model.get_target())

    def step(module):
        torch.manual_seed(0)
        module.zero_grad()
        loss = module.train()(dataset[np.arange(60)])[2].loss
        loss.backward()
        return loss.detach().cpu(), [p.grad.cpu() for p in module.parameters() if p.grad is not None]

    expected = step(model.module)
    with FarDevice():
        model.module.to(FAR)
        dataset.load_on(FAR, load=True)
        batch = dataset[np.arange(60)]
        assert {each.device for name in batch if name != TARGET for each in batch[name] if each is not None} == {FAR}
        found = step(model.module)
    torch.testing.assert_close(found, expected)
