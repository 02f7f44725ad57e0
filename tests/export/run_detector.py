"""Runs in another Python: what does its runtime find in pictures with a detector's file?

stdin: {"runtime", "file", "pictures": path of a .npy, uint8 (n, height, width, 3)}. stdout: for each picture a list of
[label or number of the class, score, [top, left, bottom, right] in pixels], best first.
"""

import json
import sys

import numpy as np


def with_tflite_runtime(file, pictures):
    from tflite_runtime.interpreter import Interpreter

    interpreter = Interpreter(file)
    interpreter.allocate_tensors()
    [given] = interpreter.get_input_details()
    outputs = [detail["index"] for detail in interpreter.get_output_details()]
    for picture in pictures:
        whole = given["dtype"] is np.uint8
        fed = picture if whole else (picture / 127.5 - 1).astype(np.float32)
        interpreter.set_tensor(given["index"], fed[None])
        interpreter.invoke()
        boxes, classes, scores, count = (interpreter.get_tensor(index)[0] for index in outputs)
        sides = np.tile(picture.shape[:2], 2)
        yield [[int(classes[i]), float(scores[i]), (boxes[i] * sides).tolist()] for i in range(int(count))]


def with_mediapipe(file, pictures):
    import mediapipe
    from mediapipe.tasks.python import BaseOptions
    from mediapipe.tasks.python.vision import ObjectDetector, ObjectDetectorOptions

    options = ObjectDetectorOptions(base_options=BaseOptions(model_asset_path=file), score_threshold=0.0)
    with ObjectDetector.create_from_options(options) as detector:
        for picture in pictures:
            found = detector.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture))
            yield [said_by_mediapipe(detection) for detection in found.detections]


def said_by_mediapipe(detection):
    box, best = detection.bounding_box, detection.categories[0]
    corners = [box.origin_y, box.origin_x, box.origin_y + box.height, box.origin_x + box.width]
    return [best.category_name, best.score, corners]


def main():
    request = json.load(sys.stdin)
    run = {"tflite_runtime": with_tflite_runtime, "mediapipe": with_mediapipe}[request["runtime"]]
    print(json.dumps(list(run(request["file"], np.load(request["pictures"])))))


if __name__ == "__main__":
    main()
