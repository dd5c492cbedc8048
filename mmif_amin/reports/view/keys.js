// Keys, their help, and the other controls.
const STEPS = { ArrowLeft: [1, 0, 0], ArrowRight: [-1, 0, 0], ArrowUp: [0, 1, 0], ArrowDown: [0, -1, 0], PageUp: [0, 0, 1], PageDown: [0, 0, -1] };
const press = (id, text) => [...$(id).children].find(button => button.textContent === text)?.click();
const pressNext = id => {
  const buttons = [...$(id).children];
  buttons[(buttons.findIndex(button => button.ariaPressed === "true") + 1) % buttons.length]?.click();
};
const slide = by => {
  $("over").value = Number($("over").value) + by;
  $("over").dispatchEvent(new Event("input"));
};
const KEYS = [  // key, what it does, how
  ...MODES.map((mode, i) => [String(i + 1), mode, () => press("modes", mode)]),
  ["m", "all planes", () => press("planes", "all planes")],
  ["a", "axial", () => press("planes", "axial")],
  ["c", "coronal", () => press("planes", "coronal")],
  ["s", "sagittal", () => press("planes", "sagittal")],
  ...(has("fused_color") ? [["g", "fused image gray or in color", () => pressNext("colors")]] : []),
  ["d", "fused detail on or off", () => pressNext("details")],
  ["[", "B less opaque in the overlay", () => slide(-10)],
  ["]", "B more opaque in the overlay", () => slide(10)],
  ...(LOSSES.length ? [["l", "next loss map, or none", () => pressNext("loss")]] : []),
  ...(STUDY.carried.length ? [["o", "contours on or off", toggleContours]] : []),
  ["r", "windows of the fusion", () => $("reset").click()],
  ["k", "copy the link to this view", copyLink],
];

function buildHelp() {
  const rows = [["← → ↑ ↓", "previous and next voxel across and along"], ["Page ↑ Page ↓", "previous and next axial slice"],
    ...KEYS.map(([key, text]) => [key, text]), ["?", "this help"], ["Esc", "close"]];
  $("shortcuts").replaceChildren(...rows.map(([key, textContent]) => make("tr", {}, make("th", { scope: "row" }, make("kbd", { textContent: key })), make("td", { textContent }))));
}
function step(event) {
  event.preventDefault();
  const every = Object.values(panels), focused = every.find(panel => panel.canvas === document.activeElement);
  const { canvas, view } = focused ?? every.find(panel => panel.figure.style.visibility === "visible");
  canvas.focus();
  view.moveCrosshairInVox(...STEPS[event.key]);
}
function keyDown(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches("select, input:not([type=range], [type=checkbox])")) return;
  if (STEPS[event.key]) {
    if (!event.target.matches("input")) step(event);
  } else if (event.key === "?") $("help").showModal();
  else if ($("letters").checked) KEYS.find(([key]) => key === event.key)?.[2]();
}

function listen() {
  for (const id of ["blend", "tile", "sweep"]) $(id).oninput = () => { drawStack(); rememberLink(); };
  for (const side of ["left", "right"]) {
    $(side).replaceChildren(...Object.entries(label).map(([value, textContent]) => make("option", { value, textContent })));
    $(side).value = state[side];
    $(side).onchange = event => { state[side] = event.target.value; drawStack(); rememberLink(); };
  }
  $("reset").onclick = () => { for (const [name, ends] of Object.entries(WINDOWS)) applyWindow(name, ends); };
  $("opacity").onchange = () => {
    setOpacities();
    panels.fused.view.updateGLVolume();
    rememberLink();
  };
  $("over").oninput = () => {
    setOpacities();
    if (state.mode === "overlay") panels.a.view.updateGLVolume();
    rememberLink();
  };
  $("copy").onclick = copyLink;
  $("keys").onclick = () => $("help").showModal();
  addEventListener("keydown", keyDown, true);
  for (const kind of ["keydown", "keyup"]) $("stage").addEventListener(kind, event => event.stopPropagation(), true);  // NiiVue's own keys
  addEventListener("resize", () => setTimeout(() => {
    for (const { view } of Object.values(panels)) thickenCrosshair(view);
    drawStack();
  }));
  addEventListener("hashchange", followLink);
}
