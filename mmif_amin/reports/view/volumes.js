// Unpacking the embedded volumes, and the NiiVue view of each panel.
const LINE = 1.5;  // pixels of the crosshair
const loading = {};
const load = name => loading[name] ??= name === "overlay" ? layOver() : unpack(name);

async function bytes(id) {
  const text = $(id).textContent;
  const packed = Uint8Array.fromBase64?.(text) ?? Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  $(id).remove();
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}
async function unpack(name) {
  const file = await bytes(name), key = name.replace("_unregistered", "");
  const map = key === "source_b" ? "functional" : key.startsWith("loss") ? "loss" : "gray";
  const opacity = map === "loss" ? $("opacity").value / 100 : 1;
  images[name] = await niivue.NVImage.new(file, name + ".nii", map, opacity, null, ...(state.windows[key] ?? [0, 1]));
}
// Source B once more, to be laid over A: the same voxels in other colors.
async function layOver() {
  await load("source_b");
  const image = Object.assign(Object.create(Object.getPrototypeOf(images.source_b)), images.source_b);
  Object.assign(image, { id: "overlay", _colormap: "overlay", opacity: $("over").value / 100 });  // the setter would look for a window
  [image.cal_min, image.cal_max] = state.windows.source_b;
  images.overlay = image;
}

function setOpacities() {
  for (const name of LOSSES) if (images[name]) images[name].opacity = $("opacity").value / 100;
  if (images.overlay) images.overlay.opacity = $("over").value / 100;
}
// NiiVue draws the crosshair as rods with a thickness in mm; thinner than a pixel, they would vanish in a small panel.
function thickenCrosshair(view) {
  const [tile] = view.screenSlices, width = tile && LINE * Math.abs(tile.fovMM[0]) / tile.leftTopWidthHeight[2];
  if (width && Math.abs(view.opts.crosshairWidth - width) > 0.01 * width) view.setCrosshairWidth(width);
}

async function attach(key) {
  const { canvas } = panels[key];
  const view = new niivue.Niivue({
    crosshairColor: [0.2, 0.9, 0.9, 0.8], crosshairGap: 8, crosshairWidth: 1, crosshairWidthUnit: "mm",
    fontColor: [0.75, 0.8, 0.86, 1], isCornerOrientationText: true, isRadiologicalConvention: true, sagittalNoseLeft: true,
    isForceMouseClickToVoxelCenters: true, dragMode: niivue.DRAG_MODE.windowing,
    multiplanarShowRender: niivue.SHOW_RENDER.NEVER, multiplanarPadPixels: 4, dragAndDropEnabled: false, loadingText: "", logLevel: "error",
  });
  const levels = [...Array(256).keys()];
  view.addColormap("functional", { ...STUDY.colormaps.functional, A: Array(256).fill(255), I: levels });
  view.addColormap("overlay", { ...STUDY.colormaps.overlay, A: levels.map(level => Math.min(255, 16 * level)), I: levels });
  view.addColormap("loss", { ...STUDY.colormaps.loss, A: levels, I: levels });
  // NiiVue also readies meshes and the light of a 3-D rendering, seconds of software WebGL for what no plane shows:
  // no shader is compiled for the one, a single pixel a slice is kept for the other.
  view.meshShaders = [];
  await view.attachToCanvas(canvas);
  const { gl, rgbaTex } = view, light = [gl.TEXTURE6, gl.TEXTURE8];
  view.rgbaTex = (texture, place, dims, ...rest) => rgbaTex.call(view, texture, place, light.includes(place) ? [3, 1, 1, dims[3]] : dims, ...rest);
  panels[key].view = view;
}

function contents(key) {
  if (key === "a") return state.mode === "overlay" ? ["source_a", "overlay"] : ["source_a"];
  if (key === "b") return [state.mode === "checkerboard" && state.before ? "source_b_unregistered" : "source_b"];
  const main = !state.detail ? "source_a" : state.color ? "fused_color" : "fused";
  return [main, ...(state.loss ? [state.loss] : [])];
}
function fill(key) {
  const { view } = panels[key], names = contents(key);
  if (names.some(name => !images[name])) return void Promise.all(names.map(load)).then(drawAll);
  const wanted = names.map(name => images[name]);
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
