"use strict";
// One card a calculator: its inputs, and its outputs as soon as an input changes. Text is set as text, never as HTML.
const SPEC = JSON.parse(document.getElementById("spec").textContent);

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function problem(input, value) {
  if (!Number.isFinite(value)) return `${input.label}: write a number`;
  if (value < input.low || value > input.high) {
    return `${input.label}: from ${input.low} to ${input.high} ${input.unit}`.trim();
  }
  return input.whole && !Number.isInteger(value) ? `${input.label}: a whole number` : "";
}

function shown(value, digits) {
  if (!Number.isFinite(value)) return "never";
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function card(calculator) {
  const section = element("section", "", { "aria-labelledby": `${calculator.name}-title`, id: calculator.name });
  section.append(element("h2", calculator.title, { id: `${calculator.name}-title` }), element("p", calculator.question));
  const form = element("form");
  const fields = calculator.inputs.map((input) => {
    const id = `${calculator.name}-${input.name}`;
    const row = element("div", "", { class: "row" });
    const field = element("input", "", {
      id, type: "number", value: String(input.default), min: String(input.low), max: String(input.high), step: "any",
    });
    row.append(element("label", input.label, { for: id }), field, element("span", input.unit, { class: "unit" }));
    form.append(row);
    return { input, field };
  });
  const wrong = element("p", "", { class: "wrong", role: "alert" });
  const results = element("dl", "", { "aria-live": "polite" });
  const cells = calculator.outputs.map((output) => {
    const row = element("div", "", { class: "row" });
    const cell = element("dd", "", { id: `${calculator.name}-${output.name}` });
    row.append(element("dt", output.label), cell);
    results.append(row);
    return { output, cell };
  });

  function update() {
    const values = {};
    let first = "";
    for (const { input, field } of fields) {
      const value = field.value.trim() === "" ? NaN : Number(field.value);
      const complaint = problem(input, value);
      field.setAttribute("aria-invalid", complaint ? "true" : "false");
      first = first || complaint;
      values[input.name] = value;
    }
    wrong.textContent = first;
    const found = first ? {} : FORMULAS[calculator.name](values);
    for (const { output, cell } of cells) {
      const value = found[output.name];
      cell.textContent = first ? "" : `${shown(value, output.digits)} ${Number.isFinite(value) ? output.unit : ""}`.trim();
    }
  }

  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  section.append(form, wrong, results, element("p", calculator.source, { class: "source" }));
  update();
  return section;
}

document.getElementById("cards").append(...SPEC.map(card));
