"""Evaluates a state dict as QSPARSE does in eval mode, in PyTorch, and compares every quantize node.

Arguments: graph.json, a state that torch.load reads, the input as codes (.npy, batch in front), and a folder with
NODE.npy for each quantize node: its values (float32) or its codes (int32). A difference in one bit is a failure.

Shares nothing with Lockstep but the file formats. Prints the number of compared values.
Exit status: 0 equal, 1 different, 77 no torch.
"""
import json
import pathlib
import sys

import numpy

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    sys.exit(77)


def along(values, axis, rank):
    """One value, or one per index of `axis`, in a shape that broadcasts to `rank` axes."""
    if values.numel() == 1:
        return values.reshape([1] * rank)
    return values.reshape([-1 if i == axis else 1 for i in range(rank)])


def quantized(x, state, key, axis):
    """The product in float32, truncated toward zero, clamped: QSPARSE's, not the published floor."""
    if not state[f"{key}._quantized"]:
        return x
    decimal = along(state[f"{key}.decimal"], axis, x.dim())
    bits = int(state[f"{key}.bits"])
    codes = (x * 2.0**decimal).to(torch.int32).clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return codes.to(torch.float32) * 2.0**-decimal


def wrapped(node, state):
    """The effective weight and bias: the wraps in their order, on the stored full-precision values."""
    name = node["name"]
    weight, bias = state[f"{name}.weight"], state.get(f"{name}.bias")
    for wrap in node.get("wrap", []):
        if wrap["type"] == "prune":
            weight = weight * state[f"{name}.prune.mask"]
            continue
        weight = quantized(weight, state, f"{name}.quantize", wrap.get("channelwise", 1))
        if wrap.get("bias_bits", -1) != -1 and bias is not None:
            bias = quantized(bias, state, f"{name}.quantize_bias", 0)
    return weight, bias


def run(node, inputs, state):
    op, name, attrs = node["op"], node["name"], node.get("attrs", {})
    x = inputs[0]
    if op == "conv2d":
        weight, bias = wrapped(node, state)
        return F.conv2d(x, weight, bias, attrs.get("stride", 1), attrs.get("padding", 0), 1, attrs.get("groups", 1))
    if op == "linear":
        return F.linear(x, *wrapped(node, state))
    if op == "quantize":
        return quantized(x, state, name, attrs.get("channelwise", 1))
    if op == "prune":
        return x * state[f"{name}.mask"]
    if op in ("max_pool2d", "avg_pool2d"):
        return getattr(F, op)(x, attrs["kernel_size"])
    if op == "add":
        return inputs[0] + inputs[1]
    if op == "relu":
        return F.relu(x)
    if op == "flatten":
        return x.flatten(1)
    if op == "dropout":
        return x
    sys.exit(f"{name}: no operator {op} here")


def difference(node, state, value, found):
    """How many of the values that were found for a quantize node differ."""
    if tuple(found.shape) != tuple(value.shape):
        sys.exit(f"{node['name']}: shape {found.shape}, expected {tuple(value.shape)}")
    if found.dtype == numpy.int32:
        axis = node["attrs"].get("channelwise", 1)
        decimal = along(state[f"{node['name']}.decimal"], axis, value.dim())
        found = found.astype(numpy.float32) * (2.0**-decimal).numpy()
    elif found.dtype != numpy.float32:
        sys.exit(f"{node['name']}: dtype {found.dtype}")
    # As integers, so that each bit counts; a code 0 has no sign, so neither may its value.
    return int((found.view(numpy.int32) != value.numpy().view(numpy.int32)).sum())


graph_file, state_file, input_file, folder = sys.argv[1:]
graph = json.loads(pathlib.Path(graph_file).read_text(encoding="utf-8"))
state = torch.load(state_file, weights_only=True)
codes = torch.from_numpy(numpy.load(input_file))
(source,) = graph["inputs"]
values = {source["name"]: codes.to(torch.float32) * 2.0 ** -source["decimal"]}
compared = 0
for node in graph["nodes"]:
    value = run(node, [values[name] for name in node["inputs"]], state)
    values[node["name"]] = value
    if node["op"] != "quantize":
        continue
    if not state[f"{node['name']}._quantized"]:
        sys.exit(f"{node['name']}: not quantized")
    differing = difference(node, state, value, numpy.load(pathlib.Path(folder) / f"{node['name']}.npy"))
    if differing:
        sys.exit(f"{node['name']}: {differing} of {value.numel()} values differ")
    if not value.any():
        sys.exit(f"{node['name']}: all values are 0, which proves nothing")
    compared += value.numel()
if not compared:
    sys.exit("no quantize node to compare")
print(f"{compared} values are equal")
