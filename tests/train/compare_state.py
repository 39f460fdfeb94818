"""Compares a .pt file, read by torch.load, with a .safetensors file, read here: keys, order, dtypes, values.

Exit status: 0 equal, 1 different, 77 no torch.
"""
import json
import struct
import sys

try:
    import torch
except ImportError:
    sys.exit(77)

DTYPES = {torch.float32: "F32", torch.int32: "I32", torch.bool: "BOOL"}

state = torch.load(sys.argv[1])
with open(sys.argv[2], "rb") as file:
    (header_size,) = struct.unpack("<Q", file.read(8))
    header = json.loads(file.read(header_size))
    data = file.read()
header.pop("__metadata__", None)

expected = sorted(header, key=lambda key: header[key]["data_offsets"])
if list(state) != expected:
    sys.exit(f"keys differ: {list(state)} and {expected}")
for key, entry in header.items():
    tensor = state[key]
    begin, end = entry["data_offsets"]
    found = (DTYPES.get(tensor.dtype), list(tensor.shape), tensor.numpy().tobytes())
    if found != (entry["dtype"], entry["shape"], data[begin:end]):
        sys.exit(f"{key} differs: {found[:2]} and {entry['dtype']}, {entry['shape']}")
