"""Records what PyTorch computes for convolutional networks, as make_golden.py does for perceptrons.

Two networks take 50 steps of Adam over the first 1,600 MNIST training images in order, 32 at a time: `residual`, the layers of
residual.toml (batch norms, groups, strides, residual sums, both poolings), and `cnn`, a narrow one of two convolutions wide enough
for Winograd's transforms. `golden/` then holds

  cnn.json                     versions, SHA-256 of the inputs, losses of every step, log-probabilities after the last
  residual_initial.safetensors the weights that `residual` starts from, with the statistics of its batch norms
  residual_final.safetensors   those after the last step
  cnn_initial.safetensors      the weights that `cnn` starts from

Needs torch, numpy and safetensors:  python tests/pytorch/make_golden_cnn.py
"""

import json
import platform

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from files import GOLDEN, raw_idx, read_idx, sha256, unit

SEED = 1
BATCH = 32
STEPS = 50
LR = 2e-3
TEST_IMAGES = 20


class Residual(nn.Module):
    """The layers of residual.toml; modules are named as its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.ModuleDict({"conv": nn.Conv2d(1, 6, 3, padding=1, bias=False), "norm": nn.BatchNorm2d(6)})
        self.down = nn.ModuleDict(
            {
                "conv": nn.Conv2d(6, 12, 3, stride=2, padding=1, groups=2, bias=False),
                "norm": nn.BatchNorm2d(12),
                "short": nn.Conv2d(6, 12, 2, stride=2, bias=False),
            }
        )
        self.same = nn.ModuleDict({"conv": nn.Conv2d(12, 12, 3, padding=1, bias=False), "norm": nn.BatchNorm2d(12)})
        self.wide = nn.Linear(12 * 3 * 3, 20)
        self.wide.norm = nn.BatchNorm1d(20)
        self.last = nn.Linear(20, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        f = nn.functional
        x = f.max_pool2d(f.relu(self.stem["norm"](self.stem["conv"](x))), 2)
        x = f.relu(self.down["norm"](self.down["conv"](x)) + self.down["short"](x))
        x = torch.tanh(self.same["norm"](self.same["conv"](x)) + x)
        x = f.avg_pool2d(x, 3, stride=2).flatten(1)
        return f.log_softmax(self.last(self.wide.norm(torch.tanh(self.wide(x)))), dim=1)


def cnn() -> nn.Sequential:
    """Winograd's transforms begin at 16 channels."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 49, 10),
        nn.LogSoftmax(dim=1),
    )


def main() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    names = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte"]
    hashes = {name: sha256(raw_idx(name)) for name in names}
    images = unit(read_idx(names[0])[: STEPS * BATCH]).reshape(-1, 1, 28, 28)
    labels = torch.from_numpy(read_idx(names[1])[: STEPS * BATCH].astype(np.int64))
    tests = unit(read_idx(names[2])[:TEST_IMAGES]).reshape(-1, 1, 28, 28)
    images, tests = torch.as_tensor(images), torch.as_tensor(tests)
    runs = {}
    for name, build in {"residual": Residual, "cnn": cnn}.items():
        torch.manual_seed(SEED)
        net = build()
        save_file(net.state_dict(), GOLDEN / f"{name}_initial.safetensors")
        opt = torch.optim.Adam(net.parameters(), lr=LR)
        losses = []
        for x, y in zip(images.split(BATCH), labels.split(BATCH), strict=True):
            loss = nn.functional.nll_loss(net(x), y)
            opt.zero_grad()
            loss.backward()
            opt.step()
            losses.append(loss.item())
        if name == "residual":
            save_file(net.state_dict(), GOLDEN / f"{name}_final.safetensors")
        net.eval()
        with torch.no_grad():
            runs[name] = {"losses": losses, "log_probabilities": net(tests).flatten().tolist()}
        print(name, losses[0], losses[-1])
    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    golden = {"versions": versions, "sha256": hashes, "batch": BATCH, "lr": LR, "test_images": TEST_IMAGES, "runs": runs}
    (GOLDEN / "cnn.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
