"""Opens the ONNX files that `tests/export_onnx.rs` wrote, in ONNX's checker and in ONNX Runtime, and compares the logits.

Floats agree within 1e-4 of the largest logit; of bytes 99 % within one quantum, and integer operators compute the layers. On processors
without instructions for sums of bytes ONNX Runtime adds pairs of products in 16 bits, which saturate: its logits are then told, but judged
only of a session that is told to be precise. Needs onnx and onnxruntime.

    python tests/onnx/check.py DIR
"""

import argparse
import json
import platform
import sys
from collections import Counter
from pathlib import Path

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
except ImportError as error:
    sys.exit(f"{error}: python3 -m pip install onnx onnxruntime")

TOLERANCE = 1e-4  # of the largest logit
WITHIN = 0.99  # of the logits of bytes lie within one quantum


def exact_by_default() -> bool:
    """Whether sums of bytes do not saturate here."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    try:
        return "vnni" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def run(path: Path, pixels: np.ndarray, precise: bool) -> tuple[np.ndarray, Counter]:
    """Logits by the optimised graph, and how often it has each operator."""
    optimised = path.with_suffix(".optimised")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # that an optimised file is for this machine alone goes without saying
    options.optimized_model_filepath = str(optimised)
    if precise:
        options.add_session_config_entry("session.x64quantprecision", "1")
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"pixels": pixels})
    return logits, Counter(node.op_type for node in onnx.load(optimised).graph.node)


def check(folder: Path, case: dict) -> list[str]:
    """Prints one network's differences; what is wrong with it."""
    path = folder / f"{case['name']}.onnx"
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    classes = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    pixels = np.fromfile(path.with_suffix(".pixels"), np.uint8).reshape(-1, *shape[1:]).astype(np.float32)
    want = np.fromfile(path.with_suffix(".logits"), np.float32).reshape(len(pixels), classes)
    wrong = []
    if (model.producer_name, properties["kind"]) != ("inkstone", case["kind"]):
        wrong.append("the file does not say who wrote it, or of which numbers")
    if properties["classes"].split("\n") != [f"class {i}" for i in range(classes)]:
        wrong.append(f"names of classes {properties['classes']!r}")
    floats = case["kind"] != "int8"
    for precise in (False,) if floats else (False, True):
        got, ops = run(path, pixels, precise)
        same = np.mean(got.argmax(1) == want.argmax(1))
        apart = np.abs(got - want)
        mode = "precise" if precise else "default"
        if floats:
            worst = apart.max() / np.abs(want).max()
            fine = worst <= TOLERANCE
            text = f"{worst:.1e} of the largest logit"
        else:
            quanta = np.rint(apart / case["quantum"])
            within = np.mean(quanta <= 1)
            fine = within >= WITHIN or not (precise or exact_by_default())
            text = f"{np.mean(quanta == 0):.2%} equal, {within:.2%} within one quantum, the worst {quanta.max():.0f}"
            if ops["QLinearConv"] + ops["QGemm"] < case["integer"]:
                wrong.append(f"{mode}: {case['integer']} layers of integers expected: {dict(ops)}")
        if not np.isfinite(got).all() or np.ptp(want) == 0:
            wrong.append(f"{mode}: logits that say nothing")
        if not fine:
            wrong.append(f"{mode}: {text}")
        layers = ", ".join(f"{op} {count}" for op, count in sorted(ops.items()) if "Conv" in op or "Gemm" in op)
        print(f"{case['name']:14} {mode}: {text}; the same class for {same:.1%} of {len(pixels)}; {layers}")
    return [f"{case['name']}: {what}" for what in wrong]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the files and cases.json are")
    folder = parser.parse_args().folder
    print(f"onnx {onnx.__version__}, onnxruntime {ort.__version__}, sums of bytes exact by default: {exact_by_default()}")
    wrong = [what for case in json.loads((folder / "cases.json").read_text()) for what in check(folder, case)]
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
