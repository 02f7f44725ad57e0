// The page to try a model at. It asks the server it came from, and nobody else. What an answer looks like is the task's:
// task.js brings draw(context, width, height, answer) and say(answer).
import { about, draw, say } from "./task.js";

const part = (id) => document.getElementById(id);
const canvas = part("picture"), stage = part("stage"), video = part("video"), status = part("status");
const CAMERA_WIDTH = 640, JPEG_QUALITY = 0.85, LEAST_WIDTH_DRAWN = 700;
let shown = null; // {blob, bitmap} of the picture that is shown
let threshold = null; // null: as trained
let asking = 0; // number of the question asked last: an older answer is thrown away
let camera = null; // the stream, while the camera is on
let starts = 0; // number of the last wish for a camera

async function ask(blob) {
  const query = threshold === null ? "" : `?threshold=${threshold}`;
  const began = performance.now();
  const response = await fetch(`invocations${query}`, {
    method: "POST",
    headers: { "Content-Type": "application/x-image", Accept: about.accept },
    body: blob,
  });
  const body = await response.json();
  if (!response.ok) throw new Error(body.error || `The server answered ${response.status}.`);
  return { answer: body, milliseconds: performance.now() - began };
}

function tell(text, bad = false) {
  status.textContent = text;
  status.classList.toggle("bad", bad);
}

function list(answer) {
  const lines = say(answer).map(({ text, colour }) => {
    const line = document.createElement("li");
    if (colour) {
      const swatch = document.createElement("span");
      swatch.className = "swatch";
      swatch.style.background = colour;
      line.append(swatch);
    }
    line.append(text);
    return line;
  });
  part("answer").replaceChildren(...lines);
}

function paint(bitmap, answer) {
  // A small picture is enlarged, so that what is drawn on it is not made of its few pixels.
  const scale = Math.max(1, Math.ceil(LEAST_WIDTH_DRAWN / bitmap.width));
  canvas.width = scale * bitmap.width;
  canvas.height = scale * bitmap.height;
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  context.drawImage(bitmap, 0, 0);
  if (answer) draw(context, bitmap.width, bitmap.height, answer);
  canvas.hidden = false;
  part("invitation").hidden = true;
}

async function answerTo(blob, bitmap, quiet = false) {
  const number = ++asking;
  if (!quiet) {
    tell("Asking…");
    paint(bitmap, null);
  }
  try {
    const { answer, milliseconds } = await ask(blob);
    if (number !== asking) return;
    paint(bitmap, answer);
    list(answer);
    tell(`Answered in ${Math.round(milliseconds)} ms.`);
  } catch (error) {
    if (number !== asking) return;
    part("answer").replaceChildren();
    tell(error.message, true);
  }
}

async function show(blob) {
  stopCamera();
  starts += 1;
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    tell("This browser cannot show that file. Is it a picture?", true);
    return;
  }
  shown = { blob, bitmap };
  await answerTo(blob, bitmap);
}

async function startCamera() {
  if (!navigator.mediaDevices) {
    tell("The camera is only for pages of this machine (localhost) or over https.", true);
    return;
  }
  const number = ++starts;
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width: CAMERA_WIDTH, facingMode: "environment" } });
    if (camera || number !== starts) return stream.getTracks().forEach((track) => track.stop()); // asked for twice
    camera = stream;
    video.srcObject = stream;
    part("camera").setAttribute("aria-pressed", "true");
    await video.play();
    await watch(stream);
  } catch (error) {
    if (number !== starts) return;
    stopCamera();
    tell(`No camera: ${error.message}`, true);
  }
}

async function watch(stream) {
  const frame = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  while (camera === stream) {
    frame.getContext("2d").drawImage(video, 0, 0);
    const blob = await frame.convertToBlob({ type: "image/jpeg", quality: JPEG_QUALITY });
    const bitmap = await createImageBitmap(blob);
    // Another picture may have been chosen meanwhile: it is not painted over.
    if (camera === stream) await answerTo(blob, bitmap, true);
    bitmap.close();
    await new Promise(requestAnimationFrame);
  }
}

function stopCamera() {
  if (!camera) return;
  camera.getTracks().forEach((track) => track.stop());
  camera = null;
  asking += 1;
  part("camera").setAttribute("aria-pressed", "false");
}

function setThreshold(value) {
  threshold = value;
  part("threshold-value").textContent = value === null ? "as trained" : Number(value).toFixed(2);
  part("as-trained").hidden = value === null;
  if (shown && !camera) answerTo(shown.blob, shown.bitmap, true);
}

function describe(card) {
  part("summary").textContent = `${card.task}: ${card.summary}`;
  document.title = `Trainbox: ${card.task}`;
  const rows = [
    ["file", `${card.file}, ${(card.bytes / 1e6).toFixed(1)} MB`],
    ["trained", card.created ? new Date(card.created).toLocaleString() : null],
    ["labels", card.labels.join(", ")],
    ["scores", card.scores],
    ["sha256", card.sha256],
    ["Trainbox", card.versions.trainbox],
  ].filter(([, value]) => value && value.length);
  const entries = rows.flatMap(([name, value]) => {
    const term = document.createElement("dt"), text = document.createElement("dd");
    term.textContent = name;
    if (Array.isArray(value)) {
      const lines = document.createElement("ul");
      lines.append(...value.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
      text.append(lines);
    } else text.textContent = value;
    return [term, text];
  });
  document.querySelector("#card dl").replaceChildren(...entries);
  part("threshold-row").hidden = !card.takes_threshold;
  part("threshold").disabled = !card.takes_threshold;
}

stage.addEventListener("dragover", (event) => {
  event.preventDefault();
  stage.classList.add("over");
});
stage.addEventListener("dragleave", () => stage.classList.remove("over"));
stage.addEventListener("drop", (event) => {
  event.preventDefault();
  stage.classList.remove("over");
  if (event.dataTransfer.files.length) show(event.dataTransfer.files[0]);
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) show(event.clipboardData.files[0]);
});
part("file").addEventListener("change", (event) => {
  if (event.target.files.length) show(event.target.files[0]);
  event.target.value = "";
});
part("camera").addEventListener("click", () => (camera ? stopCamera() : startCamera()));
part("threshold").addEventListener("input", (event) => setThreshold(event.target.value));
part("as-trained").addEventListener("click", () => setThreshold(null));

const response = await fetch("card");
if (response.ok) describe(await response.json());
else tell("The model is not loaded yet. Load this page again in a moment.", true);
