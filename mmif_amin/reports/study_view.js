// What the page of a study does; write_study_view puts it into study_view.html, and the study in the place below.
"use strict";
const STUDY = /*STUDY*/null;
const $ = id => document.getElementById(id);
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
const has = name => STUDY.volumes.includes(name);
const source = side => STUDY.sources[side];
const label = { a: `A ${source("a").modality}`, b: `B ${source("b").modality}`, fused: "Fused" };
const unit = { source_a: source("a").unit, source_b: source("b").unit, fused: "" };
const WINDOWS = { source_a: source("a").window, source_b: source("b").window, fused: [0, 1] };
const state = { mode: "side by side", plane: "all planes", color: has("fused_color"), left: "a", right: "b", before: false,
                loss: null, windows: { ...WINDOWS }, mm: [0, 0, 0] };
const images = {}, panels = {};
const number = value => Number.isFinite(value) ? String(Number(value.toPrecision(4))) : "–";

async function load(name) {
  const text = $(name).textContent;
  const packed = Uint8Array.fromBase64?.(text) ?? Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const file = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  $(name).remove();
  const key = name.replace("_unregistered", "");
  const map = key === "source_b" ? "functional" : key.startsWith("loss") ? "loss" : "gray";
  const opacity = map === "loss" ? $("opacity").value / 100 : 1;
  images[name] = await niivue.NVImage.new(file, name + ".nii", map, opacity, null, ...(state.windows[key] ?? [0, 1]));
}
async function attach(key) {
  const { canvas } = panels[key];
  const view = new niivue.Niivue({
    crosshairColor: [0.2, 0.9, 0.9, 0.8], crosshairGap: 8, crosshairWidth: 0.35, crosshairWidthUnit: "percent",
    fontColor: [0.75, 0.8, 0.86, 1], isCornerOrientationText: true, isRadiologicalConvention: true, sagittalNoseLeft: true,
    isForceMouseClickToVoxelCenters: true, dragMode: niivue.DRAG_MODE.windowing,
    multiplanarShowRender: niivue.SHOW_RENDER.NEVER, multiplanarPadPixels: 4, dragAndDropEnabled: false, loadingText: "", logLevel: "error",
  });
  view.addColormap("functional", { ...STUDY.colormaps.functional, A: Array(256).fill(255), I: [...Array(256).keys()] });
  view.addColormap("loss", { ...STUDY.colormaps.loss, A: [...Array(256).keys()], I: [...Array(256).keys()] });
  // NiiVue also readies meshes and the light of a 3-D rendering, seconds of software WebGL for what no plane shows:
  // no shader is compiled for the one, a single pixel a slice is kept for the other.
  view.meshShaders = [];
  await view.attachToCanvas(canvas);
  const { gl, rgbaTex } = view, light = [gl.TEXTURE6, gl.TEXTURE8];
  view.rgbaTex = (texture, place, dims, ...rest) => rgbaTex.call(view, texture, place, light.includes(place) ? [3, 1, 1, dims[3]] : dims, ...rest);
  panels[key].view = view;
}
function contents(key) {
  if (key === "a") return ["source_a"];
  if (key === "b") return [state.mode === "checkerboard" && state.before ? "source_b_unregistered" : "source_b"];
  return [state.color ? "fused_color" : "fused", ...(state.loss ? [state.loss] : [])];
}
function fill(key) {
  const { view } = panels[key], wanted = contents(key).map(name => images[name]);
  if (wanted.every((image, i) => view.volumes[i] === image) && view.volumes.length === wanted.length) return;
  view.volumes = wanted;
  view.back = wanted[0];
  view.overlays = wanted.slice(1);
  view.updateGLVolume();
}

function valueAt(name, [i, j, k]) {
  const [x, y, z] = STUDY.shape, { img, hdr } = images[name];
  if (Math.min(i, j, k) < 0 || i >= x || j >= y || k >= z) return NaN;
  return img[i + x * (j + y * k)] * hdr.scl_slope + hdr.scl_inter;
}
function drawCursor() {
  const voxel = STUDY.toVoxel.slice(0, 3).map(row => Math.round(row[0] * state.mm[0] + row[1] * state.mm[1] + row[2] * state.mm[2] + row[3]));
  const rows = [["position, mm", state.mm.map(v => v.toFixed(1)).join(", ")], ["voxel", voxel.join(", ")]];
  for (const [name, text] of [["source_a", label.a], [contents("b")[0], label.b], ["fused", "Fused"], ["loss_a", "lost of A"], ["loss_b", "lost of B"]])
    if (images[name]) rows.push([text, `${number(valueAt(name, voxel))} ${unit[name.replace("_unregistered", "")] ?? ""}`]);
  fillTable("cursor", rows);
}
function fillTable(id, rows) {
  $(id).replaceChildren(...rows.map(([name, value]) => make("tr", {}, make("td", { textContent: name }), make("td", { textContent: value }))));
}

function setWindow(name, ends) {
  state.windows[name] = ends;
  for (const image of [images[name], name === "source_b" && images.source_b_unregistered])
    if (image) [image.cal_min, image.cal_max] = ends;
  document.querySelectorAll(`[data-window=${name}] input`).forEach((input, i) => { input.value = number(ends[i]); });
}
function applyWindow(name, ends) {
  setWindow(name, ends);
  panels[name.replace("source_", "")].view?.updateGLVolume();
}
function buildWindows() {
  const css = ({ R, G, B }) => `linear-gradient(to right, ${R.map((r, i) => `rgb(${r},${G[i]},${B[i]})`).join()})`;
  for (const name of Object.keys(state.windows)) {
    const end = i => make("input", { type: "number", step: "any", ariaLabel: `${name} ${i ? "white" : "black"}`, onchange: event => {
      const ends = [...state.windows[name]];
      ends[i] = event.target.valueAsNumber;
      applyWindow(name, ends[0] < ends[1] ? ends : state.windows[name]);
    } });
    const bar = make("div", { className: "bar" });
    bar.style.background = name === "source_b" ? css(STUDY.colormaps.functional) : "linear-gradient(to right, #000, #fff)";
    const title = `${label[name.replace("source_", "")]}${unit[name] && `, ${unit[name]}`}`;
    const group = make("div", { className: "window" }, make("span", { textContent: title }), end(0), bar, end(1));
    group.dataset.window = name;
    $("windows").append(group);
    setWindow(name, state.windows[name]);
  }
}

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
const PLANES = { "all planes": niivue.SLICE_TYPE.MULTIPLANAR, axial: niivue.SLICE_TYPE.AXIAL, coronal: niivue.SLICE_TYPE.CORONAL,
                 sagittal: niivue.SLICE_TYPE.SAGITTAL };

function drawAll() {
  for (const element of document.querySelectorAll("[data-mode]")) element.hidden = element.dataset.mode !== state.mode;
  for (const input of document.querySelectorAll("[data-window=fused] input")) input.disabled = state.color;
  $("stage").classList.toggle("stacked", state.mode !== "side by side");
  for (const key of Object.keys(panels)) {
    panels[key].view.opts.sliceType = PLANES[state.plane];
    fill(key);
    panels[key].view.resizeListener();
  }
  drawStack();
  drawCursor();
}
function drawStack() {
  const blend = $("blend").value / 100;
  const order = { "side by side": [], curtain: [state.left, state.right], blend: ["fused", blend < 0 ? "a" : "b"], checkerboard: ["a", "b"] }[state.mode];
  const tile = `${2 * $("tile").value}px`;
  document.querySelectorAll(".edge").forEach(edge => edge.remove());
  for (const [key, { figure }] of Object.entries(panels)) {
    const place = order.lastIndexOf(key), top = place === 1;
    figure.style.visibility = state.mode === "side by side" || place >= 0 ? "visible" : "hidden";
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

const STEPS = { ArrowLeft: [1, 0, 0], ArrowRight: [-1, 0, 0], ArrowUp: [0, 1, 0], ArrowDown: [0, -1, 0], PageUp: [0, 0, 1], PageDown: [0, 0, -1] };
function listen() {
  $("blend").oninput = $("tile").oninput = $("sweep").oninput = drawStack;
  for (const side of ["left", "right"]) {
    $(side).replaceChildren(...Object.entries(label).map(([value, textContent]) => make("option", { value, textContent })));
    $(side).value = state[side];
    $(side).onchange = event => { state[side] = event.target.value; drawStack(); };
  }
  $("reset").onclick = () => { for (const [name, ends] of Object.entries(WINDOWS)) applyWindow(name, ends); };
  $("opacity").onchange = event => {
    for (const name of ["loss_a", "loss_b"]) if (images[name]) images[name].opacity = event.target.value / 100;
    panels.fused.view.updateGLVolume();
  };
  addEventListener("keydown", event => {
    if (!STEPS[event.key] || event.target.matches("input, select")) return;
    event.preventDefault();
    const all = Object.values(panels), focused = all.find(panel => panel.canvas === document.activeElement);
    const { canvas, view } = focused ?? all.find(panel => panel.figure.style.visibility === "visible");
    canvas.focus();
    view.moveCrosshairInVox(...STEPS[event.key]);
  }, true);
  for (const kind of ["keydown", "keyup"]) $("stage").addEventListener(kind, event => event.stopPropagation(), true);  // NiiVue's own keys
  addEventListener("resize", () => setTimeout(drawStack));
}
function buildPanels() {
  for (const key of ["a", "b", "fused"]) {
    const canvas = make("canvas", { tabIndex: 0, ariaLabel: label[key] });
    const figure = make("figure", {}, make("figcaption", { textContent: label[key] }), make("div", { className: "frame" }, canvas));
    panels[key] = { canvas, figure };
    $("stage").append(figure);
  }
}
function buildReport() {
  const { registration: moved, metrics, loss } = STUDY;
  const join = values => values.map(value => value.toFixed(2)).join(", ");
  $("lead").textContent = [STUDY.task, `${STUDY.shape.join(" × ")} voxels`, `${join(STUDY.grid.spacing)} mm`, `version ${STUDY.version}`].join(" · ");
  $("registration").hidden = !moved;
  if (moved) fillTable("moved", [["kind", moved.kind], ["rotation, °", join(moved.rotation_deg)], ["translation, mm", join(moved.translation_mm)],
    [moved.metric, `${number(moved.before)} → ${number(moved.after)}`]]);
  $("measured").hidden = !Object.keys(metrics).length;
  fillTable("metrics", Object.entries(metrics).map(([name, value]) => [name, number(value)]));
  $("losses").hidden = !has("loss_a") && !has("loss_b");
  fillTable("lost", Object.entries(loss ?? {}).map(([side, value]) => [`mean lost of ${side.toUpperCase()}`, number(value)]));
  const notes = ["a", "b"].flatMap(side => source(side).notes.map(note => `${side.toUpperCase()}: ${note}`));
  $("noted").hidden = !notes.length;
  $("notes").replaceChildren(...notes.map(textContent => make("li", { textContent })));
}
function buildChoices() {
  choose("modes", words("side by side", "curtain", "blend", ...(has("source_b_unregistered") ? ["checkerboard"] : [])), state.mode, v => { state.mode = v; });
  choose("planes", words(...Object.keys(PLANES)), state.plane, v => { state.plane = v; });
  if (has("fused_color")) choose("colors", [[false, "gray"], [true, "color"]], state.color, v => { state.color = v; });
  choose("before", [[true, "before"], [false, "after"]], state.before, v => { state.before = v; });
  const maps = ["loss_a", "loss_b"].filter(has).map(name => [name, `lost of ${name.at(-1).toUpperCase()}`]);
  choose("loss", [[null, "off"], ...maps], state.loss, v => { state.loss = v; });
}

const OLD = "This browser shows no 3-D images here: it has no WebGL 2 or is too old. "
  + "Switch hardware acceleration on or open the page in a current Chrome, Edge, Firefox or Safari.";
const frame = () => new Promise(requestAnimationFrame);
const parsed = () => new Promise(done => document.readyState === "loading" ? addEventListener("DOMContentLoaded", done) : done());

async function start() {
  buildReport();
  buildPanels();
  buildWindows();
  if (!window.WebGL2RenderingContext || !window.DecompressionStream) throw new Error(OLD);
  const loading = load("fused");
  await attach("fused").catch(() => { throw new Error(OLD); });
  const { view } = panels.fused, size = view.gl.getParameter(view.gl.MAX_3D_TEXTURE_SIZE);
  if (Math.max(...STUDY.shape) > size) throw new Error(`The study is larger than the ${size} voxels along an axis that this graphics card can show.`);
  await loading;
  view.addVolume(images.fused);
  await frame();
  await frame();
  window.firstPicture = performance.now();
  await parsed();
  for (const name of STUDY.volumes) if (name !== "fused") await load(name);
  await attach("a");
  await attach("b");
  view.onLocationChange = place => { state.mm = [...place.mm].slice(0, 3); drawCursor(); };
  for (const [key, panel] of Object.entries(panels)) {
    fill(key);
    panel.view.broadcastTo(Object.values(panels).filter(other => other !== panel).map(other => other.view));
    panel.canvas.addEventListener("mousemove", event => {
      const name = contents(key)[0].replace("_unregistered", ""), [image] = panel.view.volumes;
      if (event.buttons === 2 && state.windows[name]) setWindow(name, [image.cal_min, image.cal_max]);
    });
  }
  buildChoices();
  listen();
  drawAll();
  view.createOnLocationChange();
  window.viewReady = true;
}
start().catch(error => { $("message").textContent = error.message; });
