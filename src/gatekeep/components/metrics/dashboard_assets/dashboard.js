// Follows the stream of events and draws what it says; the charts are uPlot's.
"use strict";

const root = document.documentElement.dataset.root;
const number = (digits) => new Intl.NumberFormat("en", { maximumFractionDigits: digits });
const [whole, fine] = [number(0), number(2)];
const none = "–";
const milliseconds = (value) => (value == null ? none : `${fine.format(value)} ms`);
const perSecond = (value) => (value == null ? none : fine.format(value));
const share = (value) => (value == null ? none : `${whole.format(value * 100)} %`);

const clock = (time) => new Date(time * 1000).toLocaleTimeString("en-GB");

const FORMATS = {
  count: (value) => whole.format(value), rate: perSecond, client_errors: perSecond, server_errors: perSecond,
  throttled: perSecond, p50: milliseconds, p95: milliseconds, p99: milliseconds, cache: share,
};
const CHARTS = [
  { title: "Requests a second", format: perSecond, lines: [["rate", "Requests", "--first"]] },
  { title: "Latency", format: milliseconds,
    lines: [["p50", "p50", "--first"], ["p95", "p95", "--second"], ["p99", "p99", "--third"]] },
  { title: "Errors and throttles a second", format: perSecond,
    lines: [["client_errors", "4xx", "--first"], ["throttled", "Throttled", "--second"], ["server_errors", "5xx", "--third"]] },
  { title: "Answers from the cache", format: share, range: [0, 1], lines: [["cache", "Ratio", "--first"]] },
];

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

class Chart {
  constructor(spec, parent) {
    this.spec = spec;
    this.figure = parent.appendChild(document.createElement("figure"));
    this.figure.appendChild(document.createElement("figcaption")).textContent = spec.title;
    this.place = this.figure.appendChild(document.createElement("div"));
    this.place.setAttribute("role", "img");
    this.data = [[], ...spec.lines.map(() => [])];
    this.draw();
    new ResizeObserver(() => this.plot.setSize(this.size())).observe(this.place);
  }

  size() {
    return { width: Math.max(200, this.place.clientWidth), height: 180 };
  }

  draw() {
    this.plot?.destroy();
    const axis = { stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line"), width: 1 } };
    const format = this.spec.format;
    this.plot = new uPlot({
      ...this.size(),
      padding: [null, 28, null, null],
      series: [
        { label: "Time", value: (_, time) => (time == null ? none : clock(time)) },
        ...this.spec.lines.map(([, label, stroke], index) => ({
          label, stroke: color(stroke), width: 2, dash: [[], [6, 3], [2, 3]][index], value: (_, value) => format(value),
          points: { show: (plot, series, from, to) => to - from < 60 && this.data[series].some((value, at, all) =>
            value != null && all[at - 1] == null && all[at + 1] == null) },
        })),
      ],
      scales: { y: { range: this.spec.range ?? ((_, low, high) => [0, high > 0 ? high * 1.1 : 1]) } },
      axes: [{ ...axis, space: 90, size: 30, values: (_, values) => values.map(clock) }, { ...axis, size: 70, values: (_, values) => values.map(format) }],
    }, this.data, this.place);
  }

  show(times, points) {
    this.data = [times, ...this.spec.lines.map(([name]) => points[name])];
    this.plot.setData(this.data);
    const said = this.spec.lines.map(([name, label]) => `${label} ${this.spec.format(points[name].at(-1))}`);
    this.place.setAttribute("aria-label", `${this.spec.title}, now: ${said.join(", ")}`);
  }
}

const charts = CHARTS.map((spec) => new Chart(spec, document.getElementById("charts")));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((chart) => chart.draw()));

function showRoutes(rows) {
  const body = document.getElementById("routes");
  if (!rows.length) return;
  body.replaceChildren(...rows.map((row) => {
    const line = document.createElement("tr");
    const head = line.appendChild(document.createElement("th"));
    head.scope = "row";
    head.textContent = row.route;
    line.appendChild(document.createElement("td")).textContent = row.stage ?? none;
    for (const name of ["count", "rate", "p50", "p95", "p99", "client_errors", "server_errors", "throttled", "cache"]) {
      line.appendChild(document.createElement("td")).textContent = FORMATS[name](row[name]);
    }
    return line;
  }));
}

const STATES = { ALARM: "Alarm", OK: "OK", INSUFFICIENT_DATA: "No data" };

let shown;
function showAlarms(alarms) {
  const now = JSON.stringify(alarms);
  if (now === shown) return;
  shown = now;
  document.getElementById("alarms-section").hidden = !alarms.length;
  document.getElementById("alarms").replaceChildren(...alarms.map((alarm) => {
    const item = document.createElement("li");
    item.dataset.state = alarm.state;
    const part = (parent, tag, name, text) => {
      const made = parent.appendChild(document.createElement(tag));
      made.className = name;
      made.textContent = text;
      return made;
    };
    const title = item.appendChild(document.createElement("p"));
    part(title, "span", "badge", STATES[alarm.state]);
    part(title, "span", "name", alarm.name);
    const where = alarm.level === "gateway" ? "the whole gateway" : alarm.level.replace(":", " ");
    part(item, "p", "about", `${alarm.name === alarm.when ? "" : `${alarm.when}; `}${where}`);
    part(item, "p", "about", `${STATES[alarm.state]} since ${clock(alarm.since)}; ${alarm.value == null ? "no data now" : `now ${alarm.told}`}`);
    return item;
  }));
  const raised = alarms.filter((alarm) => alarm.state === "ALARM").map((alarm) => alarm.name);
  say(raised.length ? `Raised: ${raised.join(", ")}` : "", document.getElementById("raised"));
  document.title = raised.length ? `(${raised.length}) Traffic · gatekeep` : "Traffic · gatekeep";
}

const state = document.getElementById("state");
function say(text, place = state) {
  if (place.textContent !== text) place.textContent = text; // a screen reader hears changes, not each event
}

let late;
const events = new EventSource(`${root}/events`);
events.onmessage = (event) => {
  const now = JSON.parse(event.data);
  clearTimeout(late);
  late = setTimeout(() => say("No news for five seconds. Reconnecting…"), 5000);
  say(`Live, from process ${now.process}`);
  for (const place of document.querySelectorAll("[data-figure]")) {
    place.textContent = FORMATS[place.dataset.figure](now.minute[place.dataset.figure]);
  }
  charts.forEach((chart) => chart.show(now.times, now.points));
  showRoutes(now.rows);
  showAlarms(now.alarms);
};
