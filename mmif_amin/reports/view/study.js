// What the page knows of the study, its state, and small helpers. write_study_view puts the study into the place below.
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
const MODES = ["side by side", "overlay", "curtain", "blend", ...(has("source_b_unregistered") ? ["checkerboard"] : [])];
const PLANES = { "all planes": niivue.SLICE_TYPE.MULTIPLANAR, axial: niivue.SLICE_TYPE.AXIAL, coronal: niivue.SLICE_TYPE.CORONAL,
                 sagittal: niivue.SLICE_TYPE.SAGITTAL };
const LOSSES = ["loss_a", "loss_b"].filter(has);
const state = { mode: "side by side", plane: "all planes", color: has("fused_color"), detail: true, left: "a", right: "b", before: false,
                loss: null, contours: new Set(STUDY.carried.map((_, i) => i)), windows: { ...WINDOWS }, mm: null };
const images = {}, panels = {};
const number = value => Number.isFinite(value) ? String(Number(value.toPrecision(4))) : "–";

function fillTable(id, rows) {
  $(id).replaceChildren(...rows.map(([name, value]) =>
    make("tr", {}, make("th", { scope: "row", textContent: name }), make("td", { textContent: value }))));
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
  $("losses").hidden = !LOSSES.length;
  fillTable("lost", Object.entries(loss ?? {}).map(([side, value]) => [`mean lost of ${side.toUpperCase()}`, number(value)]));
  const notes = ["a", "b"].flatMap(side => source(side).notes.map(note => `${side.toUpperCase()}: ${note}`));
  $("noted").hidden = !notes.length;
  $("notes").replaceChildren(...notes.map(textContent => make("li", { textContent })));
}
