// A needle that points where the wheels are told to go, and a bar as high as the throttle.
const FULL_LOCK = Math.PI / 4;

export function draw(context, width, height, answer) {
  const turn = Math.max(-1, Math.min(1, answer.angle)) * FULL_LOCK;
  const foot = [width / 2, height - 2], length = 0.45 * height, line = Math.max(1.5, width / 80);
  const tip = [foot[0] + length * Math.sin(turn), foot[1] - length * Math.cos(turn)];
  context.lineCap = "round";
  for (const [colour, wide] of [["#ffffff", 2 * line], ["#e8650a", line]]) {
    context.strokeStyle = colour;
    context.lineWidth = wide;
    context.beginPath();
    context.moveTo(...foot);
    context.lineTo(...tip);
    context.stroke();
  }
  const tall = 0.4 * height * Math.max(0, Math.min(1, answer.throttle)), wide = Math.max(3, width / 40);
  context.fillStyle = "#ffffff";
  context.fillRect(width - 2 * wide - 1, height - 0.4 * height - 3, wide + 2, 0.4 * height + 2);
  context.fillStyle = "#009e73";
  context.fillRect(width - 2 * wide, height - tall - 2, wide, tall);
}

export function say(answer) {
  const way = Math.abs(answer.angle) < 0.05 ? "straight" : answer.angle < 0 ? "left" : "right";
  return [
    { text: `angle ${answer.angle.toFixed(3)} (${way})`, colour: "#e8650a" },
    { text: `throttle ${answer.throttle.toFixed(3)}`, colour: "#009e73" },
  ];
}
