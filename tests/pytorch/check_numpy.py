"""Derives the golden losses again without PyTorch: NumPy in float64, with the backward pass and optimizers written out.

It proves that golden/golden.json holds what the formulas say, so that a mistake in make_golden.py cannot hide: for every
run the losses of all 100 steps agree within 1e-5 relative. (Three steps would not tell a cosine from a constant.)
Needs numpy and the repository's data/mnist.

    python tests/pytorch/check_numpy.py [--steps 3]
"""

import argparse
import json
import os
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy loads; its threads spin for 20 s on a busy machine

import numpy as np  # noqa: E402

from files import GOLDEN, raw_idx, read_idx, read_safetensors, sha256, unit  # noqa: E402

TOLERANCE = 1e-5
BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
WEIGHTS = ("1.weight", "3.weight")  # penalties are on these, never on biases

Params = dict[str, np.ndarray]


def forward_backward(p: Params, activation: str, x: np.ndarray, y: np.ndarray) -> tuple[float, Params]:
    """Mean cross entropy of a batch and its gradient: logits = W3 act(W1 x + b1) + b3."""
    z = x @ p["1.weight"].T + p["1.bias"]
    match activation:
        case "relu":
            h, slope = np.maximum(z, 0), (z > 0).astype(z.dtype)
        case "tanh":
            h, slope = np.tanh(z), 1 - np.tanh(z) ** 2
        case "sigmoid":
            h = 1 / (1 + np.exp(-z))
            slope = h * (1 - h)
        case _:
            raise ValueError(activation)
    logits = h @ p["3.weight"].T + p["3.bias"]
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rows = np.arange(len(y))
    loss = -log_probs[rows, y].mean()

    d_logits = np.exp(log_probs)
    d_logits[rows, y] -= 1
    d_logits /= len(y)
    d_z = d_logits @ p["3.weight"] * slope
    grad = {"1.weight": d_z.T @ x, "1.bias": d_z.sum(0), "3.weight": d_logits.T @ h, "3.bias": d_logits.sum(0)}
    return float(loss), grad


def update(s: dict, lr: float, t: int, w: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray) -> None:
    """Update `t` (from 1) of one tensor, in place."""
    mu, decay = s["momentum"], s["weight_decay"]
    if s["optimizer"] == "adamw":
        w *= 1 - lr * decay  # apart from the gradient
    else:
        g = g + decay * w  # inside it, biases too
    match s["optimizer"]:
        case "sgd":
            w -= lr * g
        case "momentum":
            v[:] = mu * v + g
            w -= lr * v
        case "ema":
            v[:] = mu * v + (1 - mu) * g
            w -= lr * v
        case "nesterov":
            v[:] = mu * v + g
            w -= lr * (g + mu * v)
        case "adam" | "adamw":
            m[:] = BETA1 * m + (1 - BETA1) * g
            v[:] = BETA2 * v + (1 - BETA2) * g * g
            w -= lr * (m / (1 - BETA1**t)) / (np.sqrt(v / (1 - BETA2**t)) + EPS)
        case other:
            raise ValueError(other)


def losses(s: dict, initial: Params, batches: list[tuple[np.ndarray, np.ndarray]], total: int) -> list[float]:
    """The loss of each batch, the network being trained by the run's settings on the way."""
    p = {name: w.astype(np.float64) for name, w in initial.items()}
    m, v = ({name: np.zeros_like(w) for name, w in p.items()} for _ in range(2))
    out = []
    for t, (x, y) in enumerate(batches):
        loss, grad = forward_backward(p, s["activation"], x, y)
        out.append(loss)
        lr = s["lr"] * (min(1, (t + 1) / s["warmup"]) if s["warmup"] else 1)
        lr *= (1 + np.cos(np.pi * t / total)) / 2 if s["schedule"] == "cosine" else 1
        for name, w in p.items():
            g = grad[name] * (len(y) if s["reduction"] == "sum" else 1)
            if name in WEIGHTS:
                g = g + s["l1"] * np.sign(w) + 2 * s["l2"] * w
            update(s, lr, t + 1, w, g, m[name], v[name])
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100, help="how many steps to compare (default 100)")
    steps = parser.parse_args().steps
    if not 1 <= steps <= 100:
        parser.error(f"--steps: expected 1 to 100, found {steps}")

    golden = json.loads((GOLDEN / "golden.json").read_text())
    print(f"numpy {np.__version__}; golden files from {golden['versions']}")
    for name, expected in golden["sha256"].items():
        found = sha256(raw_idx(name))
        if found != expected:
            sys.exit(f"{name}: SHA-256 {found}, but the golden files were made from {expected}")

    batch = golden["batch"]
    x = unit(read_idx("train-images-idx3-ubyte")[: steps * batch], np.float64).reshape(-1, 784)
    y = read_idx("train-labels-idx1-ubyte")[: steps * batch]
    batches = [(x[i : i + batch], y[i : i + batch]) for i in range(0, len(x), batch)]
    initial, _ = read_safetensors(GOLDEN / "initial.safetensors")

    failed = 0
    for run in golden["runs"]:
        want = run["losses"]
        got = losses(run["settings"], initial, batches, len(want))
        worst = max(abs(a - b) / b for a, b in zip(got, want[:steps], strict=True))
        failed += not worst <= TOLERANCE  # NaN fails
        print(f"{run['name']:22} worst relative difference of {len(got)} losses {worst:.1e}")
    print(f"{len(golden['runs'])} runs, {failed} beyond {TOLERANCE:g}")
    return 1 if failed or not golden["runs"] else 0


if __name__ == "__main__":
    sys.exit(main())
