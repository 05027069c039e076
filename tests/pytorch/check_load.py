"""Loads a model that `inkstone train` wrote into the equal `nn.Sequential` and compares the logits of both.

It proves that names and layouts are PyTorch's: `load_state_dict` takes the file as it is, and on the MNIST test set every
logit agrees with `inkstone eval --logits` within 1e-4. Needs torch, numpy, safetensors and a built `inkstone`.

    python tests/pytorch/check_load.py runs/mlp-512-s1/model.safetensors [--inkstone target/release/inkstone]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from files import MNIST, read_idx, read_safetensors, unit

TOLERANCE = 1e-4
PLAIN = {"flatten": nn.Flatten, "relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


def network(graph: dict) -> nn.Sequential:
    """The graph in the file's metadata as `nn.Sequential`; nodes are named by their index in it."""
    layers = []
    for index, node in enumerate(graph["nodes"]):
        if node["name"] != str(index):
            raise ValueError(f"node {index} is named {node['name']}: this is no nn.Sequential")
        op = node["op"]
        layers.append(PLAIN[op]() if isinstance(op, str) else nn.Linear(**op["linear"]))
    return nn.Sequential(*layers)


def normalized(images: np.ndarray, rule: str | dict) -> np.ndarray:
    """Float images under the normalisation that the file names, computed in float64."""
    x = unit(images, np.float64)
    match rule:
        case "unit":
            pass
        case "image":  # per image: mean 0, population standard deviation 1
            mean, sd = x.mean((1, 2), keepdims=True), x.std((1, 2), keepdims=True)
            x = np.divide(x - mean, sd, out=np.zeros_like(x), where=sd > 0)
        case {"mean-std": {"mean": mean, "std": sd}}:
            x = (x - mean) / sd
        case _:
            raise ValueError(f"unknown normalisation {rule}")
    return x.astype(np.float32)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="model.safetensors of a run")
    parser.add_argument("--inkstone", type=Path, default=MNIST.parents[1] / "target/release/inkstone", help="the binary")
    args = parser.parse_args()
    print(f"torch {torch.__version__}, numpy {np.__version__}")

    _, metadata = read_safetensors(args.model)
    described = json.loads(metadata["inkstone"])["body"]
    net = network(described["graph"])
    net.load_state_dict(load_file(args.model))
    print(net)
    images = normalized(read_idx("t10k-images-idx3-ubyte"), described["normalize"])
    with torch.no_grad():
        want = net(torch.from_numpy(images)).numpy()

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "logits.safetensors"
        command = [args.inkstone.resolve(), "eval", args.model, "--data", MNIST, "--logits", file]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        got = read_safetensors(file)[0]["logits"]

    if got.shape != want.shape:
        sys.exit(f"logits of shape {got.shape}, PyTorch's are {want.shape}")
    worst = float(np.abs(got - want).max())
    labels = read_idx("t10k-labels-idx1-ubyte")
    for name, logits in (("PyTorch", want), ("Inkstone", got)):
        print(f"{name:8} {(logits.argmax(1) == labels).sum()} of {len(labels)} right")
    print(f"{got.size} logits up to {np.abs(want).max():.1f}, largest difference {worst:.1e}, bound {TOLERANCE:g}")
    return 0 if worst <= TOLERANCE else 1  # NaN fails


if __name__ == "__main__":
    sys.exit(main())
