// How the panels are arranged: side by side, B over A beside the fused image, curtain, blend, checkerboard.
const ORDERS = { "side by side": ["a", "b", "fused"], overlay: ["a", "fused"] };
const stacked = () => !ORDERS[state.mode];

function choose(id, options, current, pick) {
  const buttons = options.map(([value, text]) => make("button", { textContent: text, onclick: () => {
    pick(value);
    press(value);
    drawAll();
  } }));
  const press = value => buttons.forEach((button, i) => button.setAttribute("aria-pressed", options[i][0] === value));
  press(current);
  $(id).replaceChildren(...buttons);
}
const words = (...texts) => texts.map(text => [text, text]);
function buildChoices() {
  choose("modes", words(...MODES), state.mode, v => { state.mode = v; });
  choose("planes", words(...Object.keys(PLANES)), state.plane, v => { state.plane = v; });
  if (has("fused_color")) choose("colors", [[false, "gray"], [true, "color"]], state.color, v => { state.color = v; });
  choose("details", [[true, "fused detail"], [false, "only A"]], state.detail, v => { state.detail = v; });
  choose("before", [[true, "before"], [false, "after"]], state.before, v => { state.before = v; });
  const maps = LOSSES.map(name => [name, `lost of ${name.at(-1).toUpperCase()}`]);
  choose("loss", [[null, "off"], ...maps], state.loss, v => { state.loss = v; });
}

function showControls() {
  for (const element of document.querySelectorAll("[data-mode]")) element.hidden = element.dataset.mode !== state.mode;
}
function drawAll() {
  showControls();
  for (const input of document.querySelectorAll("[data-window=fused] input")) input.disabled = state.color;
  $("stage").classList.toggle("stacked", stacked());
  for (const [key, { figure, view }] of Object.entries(panels)) {
    figure.classList.toggle("away", !stacked() && !ORDERS[state.mode].includes(key));
    view.opts.sliceType = PLANES[state.plane];
    fill(key);
    view.resizeListener();
    thickenCrosshair(view);
  }
  panels.a.figure.querySelector("figcaption").textContent = state.mode === "overlay" ? `${label.b} over ${label.a}` : label.a;
  panels.fused.figure.querySelector("figcaption").textContent = state.detail ? "Fused" : `Fused detail off: ${label.a}`;
  drawStack();
  drawScales();
  drawCursor();
  rememberLink();
}
function drawStack() {
  const blend = $("blend").value / 100;
  const order = { curtain: [state.left, state.right], blend: ["fused", blend < 0 ? "a" : "b"], checkerboard: ["a", "b"] }[state.mode] ?? [];
  const tile = `${2 * $("tile").value}px`;
  document.querySelectorAll(".edge").forEach(edge => edge.remove());
  for (const [key, { figure }] of Object.entries(panels)) {
    const place = order.lastIndexOf(key), top = place === 1;
    figure.style.visibility = (stacked() ? place >= 0 : ORDERS[state.mode].includes(key)) ? "visible" : "hidden";
    figure.style.zIndex = Math.max(place, 0);
    figure.style.opacity = top && state.mode === "blend" ? Math.abs(blend) : 1;
    figure.style.mask = top && state.mode === "checkerboard" ? `repeating-conic-gradient(#000 0 25%, #0000 0 50%) 0 0 / ${tile} ${tile}` : "";
    figure.style.clipPath = top && state.mode === "curtain" && state.left !== state.right ? curtain(panels[key].view) : "";
  }
}
function curtain(view) {
  const share = $("sweep").value / 100, ratio = view.uiData.dpr;
  const parts = view.screenSlices.map(slice => {
    const [x, y, width, height] = slice.leftTopWidthHeight.map(v => v / ratio), edge = x + share * width;
    const line = make("div", { className: "edge" });
    Object.assign(line.style, { left: `${edge - 1}px`, top: `${y}px`, height: `${height}px` });
    $("stage").append(line);
    return `M${edge} ${y}H${x + width}V${y + height}H${edge}Z`;
  });
  return `path("${parts.join("")}")`;
}
