// A line with its band of least and greatest values, as SVG.

import { say } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 900, HEIGHT = 260, LEFT = 64, RIGHT = 16, TOP = 12, BOTTOM = 28;

function make(name, attributes = {}, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// Round numbers that divide a range into about `count` parts.
function ticks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return found;
}

export const plain = (value) => (Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(5))));

function clock(at, span) {
  const moment = new Date(at);
  const two = (number) => String(number).padStart(2, "0");
  const day = `${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
  const time = `${two(moment.getHours())}:${two(moment.getMinutes())}`;
  if (span > 2 * 86400e3) return day;
  return span > 3600e3 ? time : `${time}:${two(moment.getSeconds())}`;
}

export function chart(name, buckets, start, end, interval) {
  const middle = (each) => Math.min(end, each.start + interval / 2);
  let low = Math.min(...buckets.map((each) => each.min)), high = Math.max(...buckets.map((each) => each.max));
  const facts = { name, count: buckets.length, min: plain(low), max: plain(high) };
  const room = high > low ? (high - low) * 0.06 : Math.max(Math.abs(high) * 0.1, 0.5);
  [low, high] = [low - room, high + room];
  const x = (at) => LEFT + ((at - start) / (end - start)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => TOP + ((high - value) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const drawing = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img", "aria-label": say("chart", facts) });

  for (const value of ticks(low, high, 5)) {
    drawing.append(make("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }));
    drawing.append(make("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, plain(value)));
  }
  for (let part = 0; part <= 6; part++) {
    const at = start + ((end - start) * part) / 6;
    const anchor = part === 0 ? "start" : part === 6 ? "end" : "middle";
    drawing.append(make("text", { x: x(at), y: HEIGHT - 8, "text-anchor": anchor }, clock(at, end - start)));
  }
  // A gap of several intervals is shown as one.
  const runs = [];
  for (const each of buckets) {
    const run = runs.at(-1);
    if (run && each.start - run.at(-1).start <= interval * 6) run.push(each);
    else runs.push([each]);
  }
  for (const run of runs) {
    if (run.length === 1) {
      drawing.append(make("circle", { class: "point", cx: x(middle(run[0])), cy: y(run[0].avg), r: 3 }));
      continue;
    }
    const there = run.map((each) => `${x(middle(each))},${y(each.max)}`);
    const back = run.map((each) => `${x(middle(each))},${y(each.min)}`).reverse();
    drawing.append(make("polygon", { class: "band", points: [...there, ...back].join(" ") }));
    drawing.append(make("polyline", { class: "line", points: run.map((each) => `${x(middle(each))},${y(each.avg)}`).join(" ") }));
  }
  follow(drawing, buckets, middle, x, y, end - start);
  return drawing;
}

// The value under the mouse.
function follow(drawing, buckets, middle, x, y, span) {
  const cursor = make("g", { visibility: "hidden" });
  const line = make("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM });
  const point = make("circle", { class: "point", r: 4 });
  const label = make("text", { y: TOP + 10 });
  cursor.append(line, point, label);
  drawing.append(cursor);
  drawing.addEventListener("pointermove", (event) => {
    const at = ((event.clientX - drawing.getBoundingClientRect().left) / drawing.clientWidth) * WIDTH;
    const near = buckets.reduce((best, each) => (Math.abs(x(middle(each)) - at) < Math.abs(x(middle(best)) - at) ? each : best));
    const place = x(middle(near));
    line.setAttribute("x1", place);
    line.setAttribute("x2", place);
    point.setAttribute("cx", place);
    point.setAttribute("cy", y(near.avg));
    const isRight = place > WIDTH - 200;
    label.setAttribute("x", place + (isRight ? -8 : 8));
    label.setAttribute("text-anchor", isRight ? "end" : "start");
    label.textContent = `${clock(middle(near), Math.min(span, 3599e3))}  ${plain(near.avg)}`;
    cursor.setAttribute("visibility", "visible");
  });
  drawing.addEventListener("pointerleave", () => cursor.setAttribute("visibility", "hidden"));
}
