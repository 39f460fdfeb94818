"""Compares a .pt file, read by torch.load, with a .safetensors file, read here: keys, order, dtypes, values.

torch.load reads it twice: as it is, and with weights_only=True, the default since torch 2.6.

Exit status: 0 equal, 1 different, 77 no torch.
"""
import json
import struct
import sys

try:
    import torch
except ImportError:
    sys.exit(77)

DTYPES = {
    torch.float32: "F32", torch.float64: "F64", torch.bool: "BOOL", torch.uint8: "U8",
    torch.int8: "I8", torch.int16: "I16", torch.int32: "I32", torch.int64: "I64",
}

with open(sys.argv[2], "rb") as file:
    (header_size,) = struct.unpack("<Q", file.read(8))
    header = json.loads(file.read(header_size))
    data = file.read()
header.pop("__metadata__", None)

expected = sorted(header, key=lambda key: header[key]["data_offsets"])
for weights_only in (False, True):
    state = torch.load(sys.argv[1], weights_only=weights_only)
    if list(state) != expected:
        sys.exit(f"keys differ: {list(state)} and {expected}")
    for key, entry in header.items():
        tensor = state[key]
        begin, end = entry["data_offsets"]
        found = (DTYPES.get(tensor.dtype), list(tensor.shape), tensor.numpy().tobytes())
        if found != (entry["dtype"], entry["shape"], data[begin:end]):
            sys.exit(f"{key} differs: {found[:2]} and {entry['dtype']}, {entry['shape']}")
        if not tensor.is_contiguous() or tensor.requires_grad:
            sys.exit(f"{key} is not contiguous or wants a gradient")
