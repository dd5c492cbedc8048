// Windows: numbers, presets, and the scale under each panel.
const shows = (key, name) => contents(key).some(shown => (shown === "overlay" ? "source_b" : shown).replace("_unregistered", "") === name);

function setWindow(name, ends) {
  state.windows[name] = ends;
  const held = name === "source_b" ? [images.source_b, images.source_b_unregistered, images.overlay] : [images[name]];
  for (const image of held) if (image) [image.cal_min, image.cal_max] = ends;
  const group = document.querySelector(`[data-window=${name}]`);
  group.querySelectorAll("input").forEach((input, i) => { input.value = number(ends[i]); });
  const preset = group.querySelector("select"), chosen = STUDY.presets[name]?.findIndex(([, ...range]) => number(range[0]) === number(ends[0]) && number(range[1]) === number(ends[1]));
  if (preset) preset.value = chosen;
  drawScales();
  rememberLink();
}
function applyWindow(name, ends) {
  setWindow(name, ends);
  for (const key of Object.keys(panels)) if (shows(key, name)) panels[key].view?.updateGLVolume();
}
const css = ({ R, G, B }) => `linear-gradient(to right, ${R.map((r, i) => `rgb(${r},${G[i]},${B[i]})`).join()})`;
const GRAY = "linear-gradient(to right, #000, #fff)";

function buildWindows() {
  for (const name of Object.keys(state.windows)) {
    const title = `${label[name.replace("source_", "")]}${unit[name] && `, ${unit[name]}`}`;
    const end = i => make("input", { type: "number", step: "any", ariaLabel: `${title}: ${i ? "white" : "black"}`, onchange: event => {
      const ends = [...state.windows[name]];
      ends[i] = event.target.valueAsNumber;
      applyWindow(name, ends[0] < ends[1] ? ends : state.windows[name]);
    } });
    const bar = make("div", { className: "bar" });
    bar.style.background = name === "source_b" ? css(STUDY.colormaps.functional) : GRAY;
    const group = make("fieldset", { className: "window" }, make("legend", { textContent: title }), end(0), bar, end(1));
    const presets = STUDY.presets[name];
    if (presets) {
      const select = make("select", { onchange: event => applyWindow(name, presets[event.target.value].slice(1)) },
        make("option", { value: -1, textContent: "by hand", hidden: true }), ...presets.map(([textContent], value) => make("option", { value, textContent })));
      group.append(make("label", {}, "preset", select));
    }
    group.dataset.window = name;
    $("windows").append(group);
  }
  for (const [name, ends] of Object.entries(state.windows)) setWindow(name, ends);
}

function ticks(low, high) {
  const rough = (high - low) / 4, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find(factor => factor * power >= rough);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
}
// What the colors of a panel mean: [background, lower value, upper value, words].
function scaleOf(key) {
  const of = (name, colors, ends = state.windows[name], before = "") => [colors, ...ends, `${before}${label[name.replace("source_", "")]}, ${unit[name]}`];
  if (key === "b") return of("source_b", css(STUDY.colormaps.functional));
  if (key === "a") return state.mode === "overlay" ? of("source_b", css(STUDY.colormaps.overlay), undefined, "over A: ") : of("source_a", GRAY);
  if (state.loss) return [css(STUDY.colormaps.loss), 0, 1, `lost of ${state.loss.at(-1).toUpperCase()}: part of the local information`];
  if (!state.detail) return of("source_a", GRAY);
  return state.color ? of("source_b", css(STUDY.colormaps.fused), WINDOWS.source_b, "color: ") : [GRAY, ...state.windows.fused, "fused, no unit"];
}
function drawScales() {
  for (const [key, { figure }] of Object.entries(panels)) {
    const [background, low, high, words] = scaleOf(key), bar = make("div", { className: "bar" });
    bar.style.background = background;
    const marks = high > low ? ticks(low, high).map(value => {
      const mark = make("span", { textContent: number(value) });
      mark.style.left = `${100 * (value - low) / (high - low)}%`;
      return mark;
    }) : [];
    const scale = figure.querySelector(".scale");
    scale.replaceChildren(bar, make("div", { className: "ticks" }, ...marks), make("div", { className: "unit", textContent: words, title: words }));
  }
}
