const save = (name, kind, type, text) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = `${name.toLowerCase().replace(/[^a-z0-9]+/g, "_").replace(/^_|_$/g, "")}.${kind}`;
  link.click();
  URL.revokeObjectURL(link.href);
};
const saveButton = (text, label, action) => {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "save", textContent: text });
  button.setAttribute("aria-label", label);
  button.addEventListener("click", action);
  return button;
};

// ---- tables: sort by a column, filter rows, save as CSV what is shown

const FILTERED = 8; // rows from which on a table gets a filter
const shownText = (cell) => {
  const copy = cell.cloneNode(true);
  for (const part of copy.querySelectorAll("details")) part.remove();
  return copy.textContent.trim();
};
const valueOf = (cell) => cell.dataset.value ?? shownText(cell);
const compare = (a, b) => {
  if (a === "" || b === "") return a === b ? 0 : a === "" ? 1 : -1;
  const numbers = [Number(a), Number(b)];
  return numbers.some(Number.isNaN) ? a.localeCompare(b, "en") : numbers[0] - numbers[1];
};
const quoted = (text) => {
  const formula = /^[=+@\t\r-]/.test(text) && Number.isNaN(Number(text)); // a spreadsheet would run it
  const safe = formula ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};
const asCsv = (table) =>
  [table.tHead.rows[0], ...[...table.tBodies[0].rows].filter((row) => !row.hidden)]
    .map((row) => [...row.cells].map((cell) => quoted(valueOf(cell))).join(","))
    .join("\n") + "\n";

const makeSortable = (table) => {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const by = (row) => valueOf(row.cells[place]);
      body.append(...[...body.rows].sort((x, y) => (down ? -1 : 1) * compare(by(x), by(y))));
    });
  });
};
const makeFilter = (table, caption) => {
  const label = document.createElement("label");
  const input = document.createElement("input");
  input.type = "search";
  input.setAttribute("aria-label", `Filter rows of ${caption}`);
  label.append("Filter: ", input);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
  return label;
};
for (const table of document.querySelectorAll("table.sortable")) {
  const caption = table.caption.textContent.trim();
  const tools = document.createElement("div");
  tools.className = "tools";
  if (table.tBodies[0].rows.length >= FILTERED) tools.append(makeFilter(table, caption));
  tools.append(saveButton("CSV", `Save ${caption} as CSV`, () => save(caption, "csv", "text/csv", asCsv(table))));
  table.parentElement.before(tools);
  makeSortable(table);
}

// ---- figures: save as SVG

for (const svg of document.querySelectorAll("figure svg")) {
  const picture = svg.closest("[role=img]");
  const label = picture.getAttribute("aria-label");
  const text = () => new XMLSerializer().serializeToString(svg);
  picture.after(saveButton("SVG", `Save figure as SVG: ${label}`, () => save(label, "svg", "image/svg+xml", text())));
}

// ---- figures: the point under the pointer

const NEAR = 24; // pixels
const tip = document.createElement("div");
tip.className = "tip";
tip.setAttribute("aria-hidden", "true"); // tables and CSV files have the same numbers
tip.hidden = true;
document.body.append(tip);
const nearest = (lines, box, event) => {
  let found = null;
  let least = NEAR;
  for (const line of lines) {
    for (const [x, y, ...values] of line.points) {
      const distance = Math.hypot(box.left + x * box.width - event.clientX, box.top + y * box.height - event.clientY);
      if (distance < least) [found, least] = [{ line, values }, distance];
    }
  }
  return found;
};
for (const svg of document.querySelectorAll("figure svg[data-lines]")) {
  const lines = JSON.parse(svg.dataset.lines);
  svg.addEventListener("pointermove", (event) => {
    const found = nearest(lines, svg.getBoundingClientRect(), event);
    tip.hidden = !found;
    if (!found) return;
    const { line, values } = found;
    tip.textContent = `${line.name}: ${line.x} ${values[0]}, ${line.y} ${values[1]}`.replaceAll(/ +/g, " ");
    tip.style.left = `${Math.min(event.clientX + 12, window.innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${event.clientY + 14}px`;
  });
  svg.addEventListener("pointerleave", () => (tip.hidden = true));
}
