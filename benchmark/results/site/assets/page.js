// Sorting, filtering and columns of the table; DataTables does the work. Texts go into the page as text nodes only.
"use strict";
(() => {
  const { columns, facets, rows } = JSON.parse(document.getElementById("data").textContent);
  const at = Object.fromEntries(columns.map((column, index) => [column.name, index]));
  const SLUG = columns.length; // behind the columns
  const PAGE = 50; // rows
  const chosen = new Map(); // facet -> value

  const node = (tag, text, attributes = {}) => {
    const made = document.createElement(tag);
    if (text !== "") made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const fixed = (value, digits = 1) => (value === null ? "-" : value.toFixed(digits));
  // DataTables decodes entities in what it searches, by way of HTML: text must reach it escaped.
  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  function named(label, under, link) {
    const [, first, rest] = /^(\S*)\s*(.*)$/s.exec(label);
    const made = node("span", "");
    made.append(link ? node("a", first, { href: link }) : node("b", first));
    const small = [rest, under].filter(Boolean).join(" · ");
    if (small) made.append(node("small", small));
    return made;
  }

  function scored(value, each) {
    if (value === null) return "-";
    const [mean, ...seeds] = value;
    const told = seeds.map(([seed, hits, n, low, high]) =>
      `seed ${seed}: ${hits}/${n}, 95 % interval ${low.toFixed(1)} to ${high.toFixed(1)}`);
    const made = node("span", "");
    made.append(node("span", fixed(mean), { title: told.join("; ") }));
    if (each && seeds.length > 1) {
      made.append(node("small", seeds.map(([, hits, n]) => fixed(100 * hits / n)).join(" ")));
    }
    return made;
  }

  const UNDER = {
    attack: () => "",
    defense: (row) => `${row[at.family]} · ${row[at.access] || "nothing"}`,
    dataset: (row) => `${row[at.architecture]} · ${row[at.recipe]}`,
  };
  const SHOWN = { // kind -> what a cell of the table shows
    name: (value, row, name) => named(value, UNDER[name](row), name === "attack" && `cells/${row[SLUG]}.html`),
    text: (value) => document.createTextNode(value),
    status: (value) => node("span", value, { class: `status ${value.replaceAll(" ", "-")}` }),
    rank: (value) => {
      if (value === null) return "-";
      const made = node("span", String(value[0]));
      made.append(node("small", `of ${value[1]}`));
      return made;
    },
    score: (value) => scored(value, false),
    seeds: (value) => scored(value, true),
    probe: (value) => (value === null ? "-" : node("span", fixed(value[0]), { title: value[1] })),
    detection: (value) => (value === null ? "-" : document.createTextNode(value[1])),
    percent: (value) => fixed(value),
    rate: (value) => (value === null ? "-" : String(value)),
    points: (value) => fixed(value),
    seconds: (value) => fixed(value),
    whole: (value) => fixed(value, 0),
  };
  const WORDS = new Set(["name", "text", "status"]);

  // Nothing, be it no number or no word, is the last whichever way a column is sorted.
  const NOTHING = "";
  const words = new Intl.Collator("en", { numeric: true });
  const ascending = (a, b) => (typeof a === "number" ? a - b : words.compare(a, b));
  const sorted = (sign) => (a, b) => (a === NOTHING) - (b === NOTHING) || sign * ascending(a, b);
  DataTable.type("told", { order: { asc: sorted(1), desc: sorted(-1) } });

  const rendered = ({ name, kind }) => (value, type, row) => {
    if (type === "display") return SHOWN[kind](value, row, name);
    if (WORDS.has(kind)) return type === "filter" ? escaped(value) : value;
    if (kind === "detection" && type === "filter") return escaped(value?.[1] ?? NOTHING);
    const number = (Array.isArray(value) ? value[0] : value) ?? NOTHING;
    return type === "filter" ? String(number) : number;
  };

  for (const extra of document.querySelectorAll("#table .extra")) extra.classList.remove("extra");
  const table = new DataTable("#table", {
    data: rows,
    deferRender: true,
    autoWidth: false, // measures by style attributes, which the policy forbids
    order: [],
    pageLength: PAGE,
    orderMulti: true,
    lengthMenu: [25, 50, 100, 500],
    titleRow: 1,
    layout: { topStart: null, topEnd: null, bottomStart: ["info", "pageLength"], bottomEnd: "paging" },
    language: { info: "_START_ to _END_ of _TOTAL_ cells", infoEmpty: "no cells", infoFiltered: "(of _MAX_)",
      zeroRecords: "No cell is like this. Clear a filter.", lengthMenu: "_MENU_ a page", emptyTable: "No cells." },
    columns: columns.map((column, index) => ({
      data: index,
      type: "told",
      className: `is-${column.kind}`,
      visible: !column.hidden,
      cellType: index === 0 ? "th" : "td",
      orderSequence: WORDS.has(column.kind) || column.low ? ["asc", "desc", ""] : ["desc", "asc", ""],
      render: rendered(column),
    })),
    createdRow: (row) => row.cells[0].setAttribute("scope", "row"),
  });

  // ---- filters, kept in the address, so that a view can be passed on

  const search = document.getElementById("search");
  const shown = document.getElementById("shown");
  const selects = new Map();

  function apply() {
    for (const [name, value] of chosen) {
      const wanted = value === "" ? null : value;
      table.column(at[name]).search.fixed("facet", wanted === null ? null : (_, row) => String(row[at[name]]) === wanted);
    }
    table.search(search.value).draw();
    const kept = [...chosen].filter(([, value]) => value !== "");
    if (search.value) kept.push(["search", search.value]);
    shown.textContent = kept.length ? `${table.rows({ search: "applied" }).count()} of ${rows.length} cells` : "";
    history.replaceState(null, "", kept.length ? `#${new URLSearchParams(kept)}` : location.pathname);
  }

  function restore() {
    if (!location.hash.includes("=")) return;
    const wanted = new URLSearchParams(location.hash.slice(1));
    search.value = wanted.get("search") ?? "";
    for (const [name, select] of selects) {
      select.value = wanted.get(name) ?? "";
      if (select.selectedIndex < 0) select.value = "";
      chosen.set(name, select.value);
    }
    apply();
  }

  for (const name of facets) {
    const counts = new Map();
    for (const row of rows) counts.set(row[at[name]], (counts.get(row[at[name]]) ?? 0) + 1);
    const values = [...counts.keys()].sort((a, b) => (typeof a === "number" ? a - b : String(a).localeCompare(String(b))));
    const select = node("select", "", { id: `facet-${name}` });
    select.append(node("option", values.length > 1 ? "all" : String(values[0] ?? "-"), { value: "" }));
    if (values.length > 1) {
      for (const value of values) {
        const option = node("option", `${value === null ? "-" : value === "" ? "none" : value} (${counts.get(value)})`);
        option.value = String(value);
        select.append(option);
      }
    }
    select.disabled = values.length < 2;
    select.addEventListener("change", () => { chosen.set(name, select.value); apply(); });
    const label = node("label", columns[at[name]].title);
    label.append(select);
    document.getElementById("facets").append(label);
    selects.set(name, select);
  }
  for (const [index, column] of columns.entries()) {
    const box = node("input", "", { type: "checkbox" });
    box.checked = !column.hidden;
    box.addEventListener("change", () => table.column(index).visible(box.checked));
    const label = node("label", "");
    label.append(box, document.createTextNode(` ${column.group ? `${column.group.replace(" %", "")}: ` : ""}${column.title}`));
    document.getElementById("columns").append(label);
  }

  let waiting;
  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(apply, 150); });
  const form = document.getElementById("filters");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    search.value = "";
    for (const [name, select] of selects) { select.value = ""; chosen.set(name, ""); }
    apply();
  });
  addEventListener("hashchange", restore);
  if (matchMedia("(max-width: 700px)").matches) form.querySelector(".facets").open = false; // it would fill the screen
  form.hidden = false;
  restore();
})();
