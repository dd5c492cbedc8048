// The part of the address after "#" holds arrangement, plane, crosshair and windows, so that a link shows this view again.
let remembering = 0, following = false;
const pair = text => (text ?? "").split(",").map(Number);
const all = (values, count) => values.length === count && values.every(Number.isFinite);

function linkHash() {
  const told = { mode: state.mode, plane: state.plane, at: state.mm.map(v => v.toFixed(2)).join(), color: +state.color, detail: +state.detail,
                 loss: state.loss ?? "off", over: $("over").value, contours: [...state.contours].join("+") || "off" };
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
  const told = new URLSearchParams(location.hash.slice(1)), at = pair(told.get("at")), over = Number(told.get("over") ?? NaN);
  if (MODES.includes(told.get("mode"))) state.mode = told.get("mode");
  if (Object.hasOwn(PLANES, told.get("plane") ?? "")) state.plane = told.get("plane");
  if (told.has("color")) state.color = told.get("color") === "1" && has("fused_color");
  if (told.has("detail")) state.detail = told.get("detail") === "1";
  if (told.has("loss")) state.loss = LOSSES.includes(told.get("loss")) ? told.get("loss") : null;
  if (told.has("contours")) state.contours = new Set(told.get("contours").split(/[ +]/).map(Number).filter(i => STUDY.carried[i]));
  if (over >= 0 && over <= 100) $("over").value = over;
  for (const name of Object.keys(WINDOWS)) {
    const ends = pair(told.get(name));
    if (all(ends, 2) && ends[0] < ends[1]) state.windows[name] = ends;
  }
  return all(at, 3) ? at : null;
}
function goTo(mm) {
  for (const { view } of Object.values(panels)) {
    view.scene.crosshairPos = view.mm2frac(mm).map(share => Math.min(1, Math.max(0, share)));
    view.drawScene();
  }
  state.mm = [...panels.fused.view.frac2mm(panels.fused.view.scene.crosshairPos)].slice(0, 3);
}
function followLink() {
  following = true;
  const at = readLink();
  if (at) goTo(at);
  buildChoices();
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
