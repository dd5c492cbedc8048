// Outlines of carried structures, as NiiVue's drawing layer: one byte a voxel, of which only the rim is shown.
const FAINT = 0.002;  // of the inside; NiiVue draws no rim around what is wholly transparent
const outlines = [];
let drawn = "";

function buildContours() {
  $("carried").hidden = !STUDY.carried.length;
  STUDY.carried.forEach(({ name, labels }, i) => {
    const box = make("input", { type: "checkbox", checked: state.contours.has(i), onchange: event => {
      state.contours[event.target.checked ? "add" : "delete"](i);
      drawContours();
      rememberLink();
    } });
    const marks = labels.map(({ text, color: [r, g, b] }) => {
      const mark = make("i");
      mark.style.background = `rgb(${r},${g},${b})`;
      return make("span", {}, mark, text);
    });
    const alone = marks.length === 1 ? marks : [];
    $("contours").append(make("label", { className: "contour" }, box, ...alone, name), ...(alone.length ? [] : [make("div", { className: "legend" }, ...marks)]));
  });
}
function toggleContours() {
  const on = state.contours.size === 0;
  state.contours = new Set(on ? STUDY.carried.map((_, i) => i) : []);
  $("contours").querySelectorAll("input").forEach(input => { input.checked = on; });
  drawContours();
  rememberLink();
}
async function loadContours() {
  for (let i = 0; i < STUDY.carried.length; i++)
    outlines[i] = await niivue.NVImage.new(await bytes(`carried-${i}`), `carried-${i}.nii`, "gray", 1, null, 0, 255);
}
// Where two files overlap, the later one is outlined.
function drawContours() {
  if (!outlines.length || drawn === [...state.contours].sort().join()) return;
  drawn = [...state.contours].sort().join();
  const merged = Object.assign(Object.create(Object.getPrototypeOf(outlines[0])), outlines[0], { img: new Uint8Array(outlines[0].img.length) });
  for (const i of [...state.contours].sort((p, q) => p - q)) outlines[i].img.forEach((value, voxel) => { if (value) merged.img[voxel] = value; });
  const lut = { R: [0], G: [0], B: [0], A: [0], I: [0], labels: [""] };
  for (const { labels } of STUDY.carried) for (const { index, color, text } of labels) {
    ["R", "G", "B"].forEach((letter, c) => { lut[letter][index] = color[c]; });
    [lut.A[index], lut.I[index], lut.labels[index]] = [255, index, text];
  }
  for (const { view } of Object.values(panels)) {
    view.drawOpacity = FAINT;
    view.drawRimOpacity = 1;
    view.setDrawColormap(lut);
    view.loadDrawing(merged);
  }
}
