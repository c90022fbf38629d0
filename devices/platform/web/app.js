// The page of the platform: it asks the REST interface and draws what it says.

import { chart, plain } from "./chart.js";
import { say, speak, spoken } from "./words.js";

const EVERY = 2000;
const RANGES = { minutes15: 900e3, hour: 3600e3, day: 86400e3, week: 604800e3 };
const RANK = { viewer: 0, operator: 1, admin: 2 };
const $ = (selector) => document.querySelector(selector);

const state = { token: sessionStorage.getItem("token"), me: null, view: "devices", device: null, property: null, range: "minutes15", drawn: {} };

// -- asking ----------------------------------------------------------------------------------------------------------

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(method, path, body) {
  const headers = { "Accept-Language": spoken() };
  if (state.token) headers.Authorization = `Bearer ${state.token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Refused(0, say("platform_away"));
  }
  const answer = await response.json();
  if (!response.ok) throw new Refused(response.status, answer.message);
  return answer;
}

const get = (path) => ask("GET", path);
const segment = encodeURIComponent;
const may = (role) => RANK[state.me.role] >= RANK[role];

// -- drawing ---------------------------------------------------------------------------------------------------------

// An element; text is always set as text, so that nothing a device says becomes part of the page.
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((each) => each !== null));
  return element;
}

// Draws only where something has changed, so that focus and selection stay where they are.
function draw(place, key, elements) {
  const print = JSON.stringify([spoken(), key]);
  if (state.drawn[place] === print && $(place).childElementCount) return;
  state.drawn[place] = print;
  const reachable = () => [...$(place).querySelectorAll("button, input, [tabindex]")];
  const focused = reachable().indexOf(document.activeElement);
  $(place).replaceChildren(...elements());
  reachable()[focused]?.focus();
}

const moment = (at) => (at === null ? "–" : new Date(at).toLocaleString(spoken() === "zh" ? "zh-CN" : "en-GB", { hour12: false }));
const time = (at) => make("span", { class: "time" }, moment(at));
const tag = (kind) => make("span", { class: `tag ${kind}` }, say(kind));

function shown(value) {
  if (value === null) return "–";
  if (typeof value === "number") return plain(value);
  if (typeof value === "boolean") return say(value ? "on" : "off");
  return typeof value === "string" ? value : JSON.stringify(value);
}

function trouble(error) {
  $("#trouble").textContent = error ? error.message : "";
  $("#trouble").hidden = !error;
}

// -- devices ---------------------------------------------------------------------------------------------------------

function inTree(devices) {
  const ids = new Set(devices.map((each) => each.id));
  const above = (each) => (each.gateway && ids.has(each.gateway) ? each.gateway : null);
  const ordered = [];
  const walk = (id, depth) => devices.filter((each) => above(each) === id).forEach((each) => { ordered.push([each, depth]); walk(each.id, depth + 1); });
  walk(null, 0);
  return ordered;
}

async function showDevices() {
  const wanted = $("#search").value.trim();
  const list = await get(`/api/devices?limit=200${wanted ? `&search=${segment(wanted)}` : ""}`);
  if (!state.device && list.items.length) state.device = (list.items.find((each) => each.seen_at && each.gateway) ?? list.items[0]).id;
  const key = [list.items.map((each) => [each.id, each.name, each.online, each.alarms]), state.device, wanted];
  draw("#device-list", key, () =>
    inTree(list.items).map(([each, depth]) =>
      make("li", { class: depth ? "child" : "" },
        make("button", { type: "button", "aria-current": each.id === state.device && "true", onclick: () => choose(each.id) },
          make("span", { class: `dot ${each.online === null ? "" : each.online ? "on" : "off"}`, title: say(online(each)) }),
          make("span", { class: "name" }, make("b", {}, each.name || each.id), make("span", { class: "faint" }, each.name ? each.id : each.product)),
          each.alarms ? make("span", { class: "count", title: say("alarms") }, String(each.alarms)) : null))));
  $("#device-total").textContent = say("of", { total: list.total, shown: list.items.length });
  if (state.device) await showDevice();
  else draw("#device", "none", () => [make("p", { class: "panel empty" }, say("choose"))]);
}

const online = (device) => (device.online === null ? "unknown" : device.online ? "online" : "offline");

function choose(id) {
  [state.device, state.property] = [id, null];
  refresh();
}

async function showDevice() {
  const path = `/api/devices/${segment(state.device)}`;
  const [device, latest, trace] = await Promise.all([get(path), get(`${path}/latest`), may("operator") ? get(`${path}/trace`) : { items: [] }]);
  if (!latest.values.some((each) => each.property === state.property)) state.property = latest.values.find((each) => typeof each.value === "number")?.property ?? null;
  draw("#device", ["frame", device.id], () => [
    make("div", { class: "panel" }, make("div", { id: "device-head" }), make("div", { id: "values" }), make("div", { id: "write" })),
    make("div", { class: "panel", id: "history" }, make("div", { id: "history-head" }), make("div", { id: "history-chart" })),
    make("div", { class: "panel", hidden: !may("operator") }, make("div", { class: "bar" }, make("h2", {}, say("trace"))), make("div", { id: "trace" })),
  ]);
  draw("#device-head", device, () => [
    make("div", { class: "bar" },
      make("h2", {}, device.name ? `${device.name} · ${device.id}` : device.id),
      make("span", { class: `lamp ${device.online === null ? "" : device.online ? "on" : "off"}` }, say(online(device)))),
    make("dl", { class: "facts" },
      ...[["product", device.product], ["gateway", device.gateway ?? "–"], ["format", device.format ?? "–"], ["seen", device.seen_at === null ? say("never") : moment(device.seen_at)]]
        .map(([name, value]) => make("div", {}, make("dt", {}, say(name)), make("dd", {}, value)))),
    make("p")]);
  draw("#values", [latest.values, state.property], () => [tiles(latest.values)]);
  draw("#write", [device.id, state.property], () => [writing(latest.values)]);
  draw("#trace", trace.items, () => [messages(trace.items)]);
  await showHistory(path, latest.values.find((each) => each.property === state.property));
}

function tiles(values) {
  if (!values.length) return make("p", { class: "empty" }, say("no_values"));
  return make("div", { class: "tiles" }, ...values.map((each) =>
    make("button", { type: "button", class: "tile", "aria-pressed": String(each.property === state.property), onclick: () => { state.property = each.property; refresh(); } },
      make("span", { class: "label", title: each.property }, each.name ? `${each.name} ${each.property}` : each.property),
      make("span", { class: "value" }, each.label || shown(each.value), " ", make("span", { class: "unit" }, each.unit)),
      make("span", { class: "when" }, each.quality === "good" ? moment(each.at) : tag(each.quality)))));
}

// A property that may be written has a field for it.
function writing(values) {
  const chosen = values.find((each) => each.property === state.property && each.writable);
  if (!chosen || !may("operator")) return make("span");
  const field = make("input", { name: "value", required: true, value: chosen.value === null ? "" : String(chosen.value) });
  const outcome = make("span", { role: "status" });
  const send = async (event) => {
    event.preventDefault();
    outcome.textContent = "…";
    let value = field.value;
    try { value = JSON.parse(field.value); } catch { /* a text */ }
    try {
      const call = await ask("PUT", `/api/devices/${segment(state.device)}/properties`, { values: { [chosen.property]: value } });
      outcome.textContent = say(call.state, { answer: shown(call.answer) });
    } catch (error) {
      outcome.textContent = error.message;
    }
  };
  return make("form", { class: "write", onsubmit: send },
    make("label", {}, `${say("new_value")} · ${chosen.property} ${chosen.unit ? `(${chosen.unit})` : ""}`, field), make("button", { type: "submit" }, say("write")), outcome);
}

async function showHistory(path, chosen) {
  $("#history").hidden = !chosen;
  if (!chosen) return;
  const span = RANGES[state.range], interval = Math.max(1000, Math.round(span / 240));
  draw("#history-head", [chosen.property, state.range], () => [make("div", { class: "bar" },
    make("h2", {}, `${say("history")} · ${chosen.name || chosen.property} ${chosen.unit ? `(${chosen.unit})` : ""}`),
    make("span", { class: "ranges", role: "group" }, ...Object.keys(RANGES).map((name) =>
      make("button", { type: "button", "aria-pressed": String(name === state.range), onclick: () => { state.range = name; refresh(); } }, say(name)))))]);
  const end = (Math.floor(state.now / interval) + 1) * interval, start = end - span;
  const found = await get(`${path}/aggregates?property=${segment(chosen.property)}&start=${start}&end=${end}&interval=${interval}`);
  draw("#history-chart", [chosen.property, found.items, start, end], () => [
    found.items.length ? chart(chosen.name || chosen.property, found.items, start, end, interval) : make("p", { class: "empty" }, say("no_history"))]);
}

function messages(items) {
  if (!items.length) return make("p", { class: "empty" }, say("no_messages"));
  return make("div", { class: "messages" }, ...items.slice(0, 20).map((each) =>
    make("div", { class: "message" },
      make("div", { class: "top" }, time(each.at), tag(each.direction === "down" ? "down" : each.outcome), make("code", {}, each.topic), make("span", { class: "faint" }, say("bytes", { size: each.size }))),
      make("code", { class: "payload", tabindex: "0" }, each.payload),
      each.reasons.length ? make("ul", {}, ...each.reasons.map((reason) => make("li", {}, reason.message))) : null)));
}

// -- alarms and strangers --------------------------------------------------------------------------------------------

async function showAlarms() {
  const found = await get(`/api/alarms?limit=200${$("#only-open").checked ? "&open=true" : ""}`);
  draw("#alarm-head", "head", () => [make("tr", {}, ...["severity", "device", "property", "message", "value", "raised", "cleared", "state"].map((name) => make("th", { scope: "col" }, say(name))), make("th"))]);
  draw("#alarm-rows", [found.items, state.me.role], () => found.items.map((each) =>
    make("tr", { class: each.cleared_at === null ? "" : "over" },
      make("td", {}, tag(each.severity)), make("td", {}, each.device), make("td", {}, each.property || "–"), make("td", {}, each.message || each.rule),
      make("td", {}, each.raised_value || say("stale")), make("td", {}, time(each.raised_at)), make("td", {}, time(each.cleared_at)),
      make("td", {}, each.acknowledged_at === null ? say("not_acknowledged") : say("acknowledged", { user: each.acknowledged_by })),
      make("td", { class: "actions" },
        make("button", { type: "button", hidden: !may("operator") || each.acknowledged_at !== null, onclick: () => act(each, "acknowledge") }, say("acknowledge")),
        make("button", { type: "button", hidden: !may("operator") || each.cleared_at !== null, onclick: () => act(each, "clear") }, say("clear"))))));
  $("#no-alarms").hidden = found.items.length > 0;
}

async function act(alarm, deed) {
  try {
    await ask("POST", `/api/alarms/${alarm.id}/${deed}`);
  } catch (error) {
    trouble(error);
  }
  refresh();
}

async function showStrangers() {
  const found = await get("/api/strangers");
  draw("#stranger-rows", found.items, () => [messages(found.items)]);
}

// -- the page --------------------------------------------------------------------------------------------------------

const VIEWS = { devices: showDevices, alarms: showAlarms, strangers: showStrangers };

async function showHealth() {
  const health = await get("/health");
  state.now = health.time;
  $("#lamp").className = `lamp ${health.broker === null ? "" : health.broker ? "on" : "off"}`;
  $("#lamp").textContent = say(health.broker === null ? "no_broker" : health.broker ? "broker_on" : "broker_off");
  const open = await get("/api/alarms?open=true&limit=1");
  $("#alarm-count").textContent = open.total;
  $("#alarm-count").hidden = !open.total;
}

let asking = Promise.resolve();
// One after the other: an answer that comes late must not overwrite a newer one.
const refresh = () => (asking = asking.then(once));

async function once() {
  if (!state.token) return;
  try {
    state.me ??= await get("/api/me");
    $("#login").hidden = true;
    $("#app").hidden = false;
    $("#who").textContent = `${state.me.user} (${say(state.me.role)})`;
    for (const each of document.querySelectorAll("[data-role]")) each.hidden = !may(each.dataset.role);
    for (const each of document.querySelectorAll("[data-view]")) {
      if (each.dataset.view === state.view) each.setAttribute("aria-current", "page");
      else each.removeAttribute("aria-current");
    }
    for (const name of Object.keys(VIEWS)) $(`#${name}`).hidden = name !== state.view;
    await showHealth();
    await VIEWS[state.view]();
    trouble(null);
  } catch (error) {
    if (error.status === 401) leave(say("expired"));
    else if (error.status === 404 && state.view === "devices") state.device = null;
    else trouble(error);
  }
}

function leave(why) {
  sessionStorage.removeItem("token");
  Object.assign(state, { token: null, me: null, device: null, drawn: {} });
  $("#app").hidden = true;
  $("#login").hidden = false;
  complain(why);
}

function complain(why) {
  const place = $("#login .trouble");
  place.textContent = why ?? "";
  place.hidden = !why;
}

async function logIn(event) {
  event.preventDefault();
  const form = new FormData(event.target);
  try {
    const login = await ask("POST", "/api/login", { user: form.get("user"), password: form.get("password") });
    state.token = login.token;
    sessionStorage.setItem("token", login.token);
    event.target.reset();
    complain();
    refresh();
  } catch (error) {
    complain(error.message);
  }
}

async function showWords() {
  document.documentElement.lang = spoken() === "zh" ? "zh-CN" : "en";
  for (const each of document.querySelectorAll("[data-say]")) each.textContent = say(each.dataset.say);
  for (const each of document.querySelectorAll("[data-language]")) each.textContent = say("other_language");
  $("#search").placeholder = say("search");
  try {
    const title = (await get("/openapi.json")).info.title;
    document.title = title;
    for (const each of document.querySelectorAll("[data-title]")) each.textContent = title;
  } catch (error) {
    complain(error.message);
  }
}

for (const each of document.querySelectorAll("[data-language]")) {
  each.addEventListener("click", () => { speak(spoken() === "zh" ? "en" : "zh"); showWords(); refresh(); });
}
for (const each of document.querySelectorAll("[data-view]")) each.addEventListener("click", () => { state.view = each.dataset.view; refresh(); });
$("#login").addEventListener("submit", logIn);
$("#logout").addEventListener("click", async () => { await ask("POST", "/api/logout").catch(() => {}); leave(); });
$("#search").addEventListener("input", refresh);
$("#only-open").addEventListener("change", refresh);
showWords();
if (state.token) refresh();
else leave();
setInterval(() => document.hidden || refresh(), EVERY);
