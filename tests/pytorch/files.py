"""Reads the files that the checks in this folder share, with NumPy alone: IDX, safetensors, and their SHA-256."""

import gzip
import hashlib
import json
import struct
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
GOLDEN = HERE / "golden"
MNIST = HERE.parents[1] / "data" / "mnist"


def sha256(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def raw_idx(name: str, folder: Path = MNIST) -> bytes:
    """The bytes of an IDX file that is stored as gzip."""
    return gzip.decompress((folder / f"{name}.gz").read_bytes())


def read_idx(name: str, folder: Path = MNIST) -> np.ndarray:
    """An IDX file of unsigned bytes: magic 0 0 8 rank, then one big-endian u32 per dimension, then the values."""
    raw = raw_idx(name, folder)
    if raw[:3] != b"\0\0\x08":
        raise ValueError(f"{name}: magic {raw[:4].hex()}, expected 000008 and the rank")
    dims = struct.unpack_from(f">{raw[3]}I", raw, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(dims)


def unit(images: np.ndarray, dtype: type = np.float32) -> np.ndarray:
    """Normalisation `unit`: pixels in [0, 1]."""
    return images.astype(dtype) / dtype(255)


def read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors (F32 only) and metadata: eight bytes of length, that much JSON, then the data."""
    raw = path.read_bytes()
    (length,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    data = raw[8 + length :]
    tensors = {}
    for name, entry in header.items():
        if entry["dtype"] != "F32":
            raise ValueError(f"{path}: {name} is {entry['dtype']}, expected F32")
        begin, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(data[begin:end], "<f4").reshape(entry["shape"])
    return tensors, metadata
