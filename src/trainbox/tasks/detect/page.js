// Boxes on a picture, each in the colour of its class: the colours of draw.py.
// The server puts `about` before this file: how to ask, and the labels in order.
const COLOURS = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"];
const BRIGHT = new Set(["#e69f00", "#56b4e9", "#f0e442", "#cc79a7", "#009e73", "#d55e00"]);

function colourOf(label) {
  return COLOURS[Math.max(0, about.labels.indexOf(label)) % COLOURS.length];
}

export function draw(context, width, height, answer) {
  const line = Math.max(2, Math.round(Math.max(width, height) / 250));
  const type = Math.max(12, Math.round(Math.max(width, height) / 55));
  context.lineWidth = line;
  context.font = `600 ${type}px system-ui, sans-serif`;
  context.textBaseline = "top";
  for (const { label, score, box } of [...answer.detections].reverse()) {
    const colour = colourOf(label), caption = `${label} ${score.toFixed(2)}`;
    context.strokeStyle = colour;
    context.strokeRect(box.left, box.top, box.right - box.left, box.bottom - box.top);
    const wide = context.measureText(caption).width + 8, high = type + 6;
    const left = Math.max(0, Math.min(box.left, width - wide)), top = box.top >= high ? box.top - high : box.top;
    context.fillStyle = colour;
    context.fillRect(left, top, wide, high);
    context.fillStyle = BRIGHT.has(colour) ? "#141414" : "#ffffff";
    context.fillText(caption, left + 4, top + 3);
  }
}

export function say(answer) {
  if (!answer.detections.length) return [{ text: "nothing found" }];
  return answer.detections.map(({ label, score }) => ({ text: `${label} ${score.toFixed(2)}`, colour: colourOf(label) }));
}
