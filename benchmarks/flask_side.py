"""The way of old: Flask, a TensorFlow SavedModel, base64 in JSON. Run by gunicorn, see serving.py.

It needs flask, numpy, pillow and tensorflow. The environment names the SavedModel (SAVED_MODEL) and its size (SIZE).
"""

import base64
import io
import json
import os

import numpy as np
import tensorflow as tf
from flask import Flask, Response, request
from PIL import Image

app = Flask(__name__)
model = tf.saved_model.load(os.environ["SAVED_MODEL"])
answer = model.signatures["serving_default"]
height, width = json.loads(os.environ["SIZE"])


@app.get("/ping")
def ping() -> Response:
    """Say that the model is loaded."""
    return Response(status=200)


@app.post("/invocations")
def invocations() -> Response:
    """Answer one picture."""
    asked = json.loads(request.data)
    image = Image.open(io.BytesIO(base64.b64decode(asked["image"]))).convert("RGB").resize((width, height))
    pixels = np.asarray(image, np.float32)[None] / np.float32(127.5) - np.float32(1)
    found = {name: value.numpy() for name, value in answer(image=tf.constant(pixels)).items()}
    rows = [
        [float(label), float(score), float(box[1]), float(box[0]), float(box[3]), float(box[2])]
        for label, score, box in zip(
            found["detection_classes"][0], found["detection_scores"][0], found["detection_boxes"][0], strict=True
        )
        if score >= asked.get("threshold", 0.5)
    ]
    return Response(json.dumps({"prediction": rows}), mimetype="application/json")
