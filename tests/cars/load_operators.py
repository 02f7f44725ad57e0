"""Runs in a car's own Python: which versions of which operators does its TensorFlow Lite runtime load?

stdin: {"operators": {name: {version: base64 of a model that declares just that}}}. stdout: {name: newest version}.
"""

import base64
import json
import sys


def main():
    try:
        from tflite_runtime.interpreter import Interpreter
    except ImportError:
        from ai_edge_litert.interpreter import Interpreter
    newest = {}
    for name, versions in json.load(sys.stdin)["operators"].items():
        for number, model in versions.items():
            try:
                Interpreter(model_content=base64.b64decode(model))
            except (ValueError, RuntimeError):
                continue
            newest[name] = max(newest.get(name, 0), int(number))
    print(json.dumps(newest))


if __name__ == "__main__":
    main()
