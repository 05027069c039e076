"""Records what PyTorch computes, so that `cargo test` can compare Inkstone with it on machines that have no PyTorch.

Each run starts from the same weights, takes the first 5,000 MNIST training images in order, 50 at a time, and records
the cross entropy (mean over the batch, without penalties) of all 100 steps. `golden/` then holds

  golden.json          versions, SHA-256 of the inputs, and for every run its settings and losses
  initial.safetensors  the weights that every run starts from, in the names of the network's state_dict
  final.safetensors    the weights after the run named in golden.json under "final"
  logits.safetensors   `logits [100, 10]` of these weights for the first 100 test images

Needs torch, numpy and safetensors:  python tests/pytorch/make_golden.py
On the same machine and versions it writes the same bytes again.
"""

import json
import math
import platform

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from files import GOLDEN, raw_idx, read_idx, sha256, unit

SEED = 1  # of the initial weights: nn.Linear's own initialisation
BATCH = 50
STEPS = 100
TEST_IMAGES = 100
FINAL_RUN = "adam"
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}

# What a run does not name: the keys and values are those of Inkstone's config.toml.
DEFAULTS = {
    "activation": "relu",
    "momentum": 0.9,
    "weight_decay": 0.0,
    "schedule": "constant",
    "warmup": 0,
    "reduction": "mean",
    "l1": 0.0,
    "l2": 0.0,
}
RUNS = {
    "sgd": {"optimizer": "sgd", "lr": 0.1},
    "momentum": {"optimizer": "momentum", "lr": 0.02},
    "ema": {"optimizer": "ema", "lr": 0.5},
    "nesterov": {"optimizer": "nesterov", "lr": 0.02},
    "nesterov_weight_decay": {"optimizer": "nesterov", "lr": 0.02, "weight_decay": 0.02},
    "adam": {"optimizer": "adam", "lr": 1e-3},
    "adam_weight_decay": {"optimizer": "adam", "lr": 1e-3, "weight_decay": 0.01},
    "adamw": {"optimizer": "adamw", "lr": 1e-3, "weight_decay": 0.5},
    "l1": {"optimizer": "sgd", "lr": 0.1, "l1": 1e-3},
    "l2": {"optimizer": "sgd", "lr": 0.1, "l2": 0.01},
    "sum": {"optimizer": "sgd", "lr": 0.003, "reduction": "sum"},
    "sum_l2": {"optimizer": "momentum", "lr": 4e-4, "reduction": "sum", "l2": 0.5},
    "cosine": {"optimizer": "adam", "lr": 3e-3, "schedule": "cosine"},
    "cosine_warmup": {"optimizer": "adamw", "lr": 3e-3, "schedule": "cosine", "warmup": 20},
    "tanh": {"optimizer": "sgd", "lr": 0.1, "activation": "tanh"},
    "sigmoid": {"optimizer": "adam", "lr": 1e-3, "activation": "sigmoid"},
}


def network(activation: str) -> nn.Sequential:
    """The network of every run; `mlp:16` in Inkstone's words."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 16), ACTIVATIONS[activation](), nn.Linear(16, 10))


class Ema(torch.optim.Optimizer):
    """v = mu*v + (1-mu)*g from v = 0, w -= lr*v. (SGD with dampening differs: its first step takes v = g.)"""

    def __init__(self, params, lr: float, mu: float) -> None:
        super().__init__(params, {"lr": lr, "mu": mu})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for w in group["params"]:
                v = self.state[w].setdefault("v", torch.zeros_like(w))
                v.mul_(group["mu"]).add_(w.grad, alpha=1 - group["mu"])
                w.sub_(v, alpha=group["lr"])


def optimizer(net: nn.Module, s: dict) -> torch.optim.Optimizer:
    """PyTorch's optimizer of that name; weight decay is on all parameters, as PyTorch does it."""
    params, lr, mu, decay = net.parameters(), s["lr"], s["momentum"], s["weight_decay"]
    match s["optimizer"]:
        case "sgd":
            return torch.optim.SGD(params, lr=lr, weight_decay=decay)
        case "momentum":
            return torch.optim.SGD(params, lr=lr, momentum=mu, weight_decay=decay)
        case "nesterov":
            return torch.optim.SGD(params, lr=lr, momentum=mu, nesterov=True, weight_decay=decay)
        case "ema" if not decay:
            return Ema(params, lr, mu)
        case "adam":
            return torch.optim.Adam(params, lr=lr, weight_decay=decay)
        case "adamw":
            return torch.optim.AdamW(params, lr=lr, weight_decay=decay)
    raise ValueError(s["optimizer"])


def lr_factor(s: dict, t: int) -> float:
    """What the learning rate of update `t` (from 0) is multiplied by."""
    warmup = min(1.0, (t + 1) / s["warmup"]) if s["warmup"] else 1.0
    return warmup * ((1 + math.cos(math.pi * t / STEPS)) / 2 if s["schedule"] == "cosine" else 1.0)


def train(s: dict, initial: dict, images: torch.Tensor, labels: torch.Tensor) -> tuple[list[float], nn.Sequential]:
    """One run: the loss of each step, and the trained network."""
    net = network(s["activation"])
    net.load_state_dict(initial)
    opt = optimizer(net, s)
    schedule = torch.optim.lr_scheduler.LambdaLR(opt, lambda t: lr_factor(s, t))
    losses = []
    for x, y in zip(images.split(BATCH), labels.split(BATCH), strict=True):
        mean = nn.functional.cross_entropy(net(x), y)
        loss = mean if s["reduction"] == "mean" else nn.functional.cross_entropy(net(x), y, reduction="sum")
        for w in (net[1].weight, net[3].weight):  # never biases; once per step, whatever the reduction
            if s["l1"]:
                loss = loss + s["l1"] * w.abs().sum()
            if s["l2"]:
                loss = loss + s["l2"] * w.square().sum()
        opt.zero_grad()
        loss.backward()
        opt.step()
        schedule.step()
        losses.append(mean.item())
    return losses, net


def main() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    names = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte"]
    hashes = {name: sha256(raw_idx(name)) for name in names}
    print(json.dumps({"versions": versions, "sha256": hashes}, indent=2))

    samples = STEPS * BATCH
    images = torch.from_numpy(unit(read_idx(names[0])[:samples]))
    labels = torch.from_numpy(read_idx(names[1])[:samples].astype(np.int64))
    tests = torch.from_numpy(unit(read_idx(names[2])[:TEST_IMAGES]))
    torch.manual_seed(SEED)
    initial = {name: w.clone() for name, w in network("relu").state_dict().items()}

    GOLDEN.mkdir(exist_ok=True)
    save_file(initial, GOLDEN / "initial.safetensors")
    runs = []
    for name, changes in RUNS.items():
        settings = DEFAULTS | changes
        losses, net = train(settings, initial, images, labels)
        print(f"{name:22} {losses[0]:.6f} -> {losses[-1]:.6f}")
        runs.append({"name": name, "settings": settings, "losses": losses})
        if name == FINAL_RUN:
            save_file(net.state_dict(), GOLDEN / "final.safetensors")
            with torch.no_grad():
                save_file({"logits": net(tests)}, GOLDEN / "logits.safetensors")
    golden = {
        "versions": versions,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "sha256": hashes,
        "seed": SEED,
        "batch": BATCH,
        "final": {"run": FINAL_RUN, "test_images": TEST_IMAGES},
        "runs": runs,
    }
    (GOLDEN / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    print(f"{sum(f.stat().st_size for f in GOLDEN.iterdir()):,} bytes in {GOLDEN}")


if __name__ == "__main__":
    main()
