// The part of the address after "#" holds arrangement, plane, crosshair, windows and sliders, so that a link shows this view again.
const SLIDERS = ["over", "opacity", "blend", "tile", "sweep"];
let remembering = 0, following = false;
const pair = text => (text ?? "").split(",").map(Number);
const all = (values, count) => values.length === count && values.every(Number.isFinite);

function linkHash() {
  const told = { mode: state.mode, plane: state.plane, at: state.mm.map(v => v.toFixed(2)).join(), color: +state.color, detail: +state.detail,
                 loss: state.loss ?? "off", contours: [...state.contours].join("+") || "off", left: state.left, right: state.right, before: +state.before };
  for (const id of SLIDERS) told[id] = $(id).value;
  for (const [name, ends] of Object.entries(state.windows)) told[name] = ends.map(v => Number(v.toPrecision(6))).join();
  return `#${new URLSearchParams(told)}`;
}
// Browsers allow some hundred changes of the address a minute, a drag makes more.
function rememberLink() {
  if (!state.mm || following) return;
  clearTimeout(remembering);
  remembering = setTimeout(() => history.replaceState(null, "", linkHash()), 250);
}
// Whatever the address holds that does not fit this study is passed over.
function readLink() {
  const told = new URLSearchParams(location.hash.slice(1)), at = pair(told.get("at"));
  if (MODES.includes(told.get("mode"))) state.mode = told.get("mode");
  if (Object.hasOwn(PLANES, told.get("plane") ?? "")) state.plane = told.get("plane");
  if (told.has("color")) state.color = told.get("color") === "1" && has("fused_color");
  if (told.has("detail")) state.detail = told.get("detail") === "1";
  if (told.has("loss")) state.loss = LOSSES.includes(told.get("loss")) ? told.get("loss") : null;
  if (told.has("contours")) state.contours = new Set(told.get("contours").split(/[ +]/).map(Number).filter(i => STUDY.carried[i]));
  for (const side of ["left", "right"]) if (Object.hasOwn(label, told.get(side) ?? "")) state[side] = told.get(side);
  if (told.has("before")) state.before = told.get("before") === "1";
  for (const id of SLIDERS) {
    const value = Number(told.get(id) || NaN), { min, max } = $(id);
    if (value >= Number(min) && value <= Number(max)) $(id).value = value;
  }
  for (const name of Object.keys(WINDOWS)) {
    const ends = pair(told.get(name));
    if (all(ends, 2) && ends[0] < ends[1]) state.windows[name] = ends;
  }
  return all(at, 3) ? at : null;
}
// In an oblique volume NiiVue means the world by millimeters only where its last argument says so.
const crosshairPlace = view => [...view.frac2mm(view.scene.crosshairPos, 0, true)].slice(0, 3);
function goTo(mm) {
  for (const { view } of Object.values(panels)) {
    const shares = view.mm2frac(mm, 0, true).map(share => Math.min(1, Math.max(0, share)));
    view.scene.crosshairPos = view.vox2frac(view.frac2vox(shares));
    view.drawScene();
  }
  state.mm = crosshairPlace(panels.fused.view);
}
function followLink() {
  clearTimeout(remembering);
  following = true;
  const at = readLink();
  if (at) goTo(at);
  buildChoices();
  for (const side of ["left", "right"]) $(side).value = state[side];
  setOpacities();
  panels.fused.view.updateGLVolume();
  for (const [name, ends] of Object.entries(state.windows)) applyWindow(name, ends);
  $("contours").querySelectorAll("input").forEach((input, i) => { input.checked = state.contours.has(i); });
  drawContours();
  drawAll();
  following = false;
}
async function copyLink() {
  clearTimeout(remembering);
  history.replaceState(null, "", linkHash());
  $("link").value = location.href;
  const copied = await navigator.clipboard?.writeText(location.href).then(() => true, () => false);
  $("copied").textContent = copied ? "Copied." : "Copy it from here.";
  $("linked").showModal();
  $("link").select();
}
