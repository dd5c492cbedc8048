// The order in which the page comes up: pictures of the middle slices, then the volumes that are shown, then the rest.
const OLD = "This browser shows no 3-D images here: it has no WebGL 2 or is too old. "
  + "Switch hardware acceleration on or open the page in a current Chrome, Edge, Firefox or Safari.";
const frame = () => new Promise(requestAnimationFrame);
const parsed = () => new Promise(done => document.readyState === "loading" ? addEventListener("DOMContentLoaded", done) : done());

function buildPanels() {
  for (const figure of document.querySelectorAll("[data-panel]")) {
    const key = figure.dataset.panel, ariaLabel = `${label[key]}: arrow and page keys move the crosshair`;
    const canvas = make("canvas", { tabIndex: 0, role: "img", ariaLabel });
    figure.querySelector("figcaption").textContent = label[key];
    panels[key] = { canvas, figure };
  }
}
async function showPreviews() {
  await Promise.all([...document.querySelectorAll(".preview")].map(image => image.decode()));
  await frame();
  await frame();
  performance.mark("first picture");
}
function place({ canvas, figure }) {
  figure.querySelector(".frame").append(canvas);
}
function link(key, panel) {
  panel.view.broadcastTo(Object.values(panels).filter(other => other !== panel).map(other => other.view));
  panel.canvas.addEventListener("mousemove", event => {
    const name = contents(key)[0].replace("_unregistered", ""), [image] = panel.view.volumes;
    if (event.buttons === 2 && state.windows[name]) setWindow(name, [image.cal_min, image.cal_max]);
  });
}

async function start() {
  buildReport();
  buildPanels();
  const at = readLink();
  buildWindows();
  buildContours();
  buildHelp();
  showControls();
  await showPreviews();
  if (!window.WebGL2RenderingContext || !window.DecompressionStream) throw new Error(OLD);
  for (const key of Object.keys(panels)) {
    place(panels[key]);
    await attach(key).catch(() => { throw new Error(OLD); });
  }
  const { view } = panels.fused, size = view.gl.getParameter(view.gl.MAX_3D_TEXTURE_SIZE);
  if (Math.max(...STUDY.shape) > size) throw new Error(`The study is larger than the ${size} voxels along an axis that this graphics card can show.`);
  await parsed();
  await Promise.all(Object.keys(panels).flatMap(contents).map(load));
  view.onLocationChange = place => { state.mm = [...place.mm].slice(0, 3); drawCursor(); rememberLink(); };
  for (const [key, panel] of Object.entries(panels)) {
    fill(key);
    link(key, panel);
  }
  goTo(at ?? crosshairPlace(view));
  buildChoices();
  listen();
  drawAll();
  document.querySelectorAll(".preview").forEach(image => image.remove());
  performance.mark("usable");
  await frame();
  await loadContours();
  drawContours();
  for (const name of STUDY.volumes) await load(name);
  drawCursor();
  window.viewReady = true;
}
start().catch(error => { $("message").textContent = error.message; });
