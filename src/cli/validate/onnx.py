"""Runs an ONNX file over raw pixels: onnx.py FILE.onnx PIXELS LOGITS precise|default"""

import sys

try:
    import numpy as np
    import onnxruntime as ort
except ImportError as error:
    sys.exit(f"missing: {error}")

file, pixels, logits, mode = sys.argv[1:]
options = ort.SessionOptions()
options.log_severity_level = 3
if mode == "precise":  # pairs of products are not added in 16 bits, in which they may saturate
    options.add_session_config_entry("session.x64quantprecision", "1")
session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
shape = session.get_inputs()[0].shape
images = np.fromfile(pixels, np.uint8).reshape(-1, *shape[1:]).astype(np.float32)
(found,) = session.run(["logits"], {"pixels": images})
found.reshape(len(images), -1).astype("<f4").tofile(logits)
