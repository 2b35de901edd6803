"use strict";
// Numbers as text: units, ticks and labels.

/** Scales of an axis: from a value to its position, and back, and the ticks between two values. */
const SCALES = {
  linear: { place: (value) => value, value: (place) => place, ticks: linearTicks },
  log: { place: Math.log, value: Math.exp, ticks: logTicks },
  // Spreads shares near 1 by their distance from 1.
  stretched: {
    place: (value) => -Math.log(1 - value),
    value: (place) => 1 - Math.exp(-place),
    // Rounded, since 1 - 0.1 is not exactly 0.9.
    ticks: (low, high, most) => logTicks(1 - high, 1 - low, most).map((t) => Number((1 - t).toPrecision(9))).reverse(),
  },
};

/** Factor and unit in which the values of a metric are readable. */
function readingUnit(metric, typical) {
  if (metric.unit === "kWh" && typical < 1) return { factor: 1000, unit: "Wh" };
  if (!metric.unit && !metric.fraction && typical >= 1e5) return { factor: 1e-6, unit: "million" };
  return { factor: 1, unit: metric.unit };
}

/** A value with its unit, or "unknown". */
function shown(metric, value, digits = 4) {
  if (!Number.isFinite(value)) return "unknown";
  if (metric.fraction) return value.toFixed(digits);
  if (!metric.unit && Number.isInteger(value)) return value.toLocaleString("en");
  const { factor, unit } = readingUnit(metric, value);
  return `${plain(value * factor, digits)} ${unit}`.trim();
}

/** A number without a unit, or "unknown". */
function plain(value, digits = 4) {
  if (!Number.isFinite(value)) return "unknown";
  return value.toLocaleString("en", { maximumSignificantDigits: digits });
}

/** "Training energy (Wh)". */
function axisLabel(metric, unit) {
  const about = metric.about[0].toUpperCase() + metric.about.slice(1);
  return unit ? `${about} (${unit})` : about;
}

/** Kind, device and PUE of a metric, in short. */
function originShort(metric) {
  const pue = metric.pue === 1 ? "without PUE" : metric.pue && `PUE ${metric.pue} included`;
  return [metric.kind, metric.device, pue].filter(Boolean).join(", ");
}

/** Linear ticks between two values, at most about `most`. */
function linearTicks(low, high, most) {
  const rough = (high - low) / Math.max(1, most);
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * magnitude).find((s) => s >= rough);
  const ticks = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) ticks.push(k * step);
  return ticks;
}

/** Ticks of a logarithmic axis between two positive values. */
function logTicks(low, high, most) {
  if (high / low < 3) return linearTicks(low, high, most);
  const first = Math.floor(Math.log10(low));
  const decades = Array.from({ length: Math.ceil(Math.log10(high)) - first + 1 }, (_, i) => 10 ** (first + i));
  const kinds = [[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]].map((steps) =>
    decades.flatMap((decade) => steps.map((m) => m * decade)).filter((tick) => tick >= low && tick <= high),
  );
  return kinds.find((ticks) => ticks.length <= most) ?? kinds.at(-1);
}

/** Ticks of the visible part of an axis, `{ text, place }`, and the unit of their numbers. */
function axisTicks({ metric, scale, whole, low, high }, most) {
  // The unit follows the whole axis, so that zooming does not change it.
  const { factor, unit } = readingUnit(metric, scale.value((whole[0] + whole[1]) / 2));
  const [a, b] = [scale.value(low) * factor, scale.value(high) * factor];
  const at = scale.ticks(a, b, most);
  const ticks = at.map((t) => ({ text: tickText(t, at), place: scale.place(t / factor) }));
  return { ticks, unit };
}

/** Text of a tick, with the digits that the steps need. */
function tickText(value, ticks) {
  if (value === 0) return "0";
  const gaps = ticks.slice(1).map((t, i) => t - ticks[i]);
  const least = gaps.length ? Math.min(...gaps) : Math.abs(value);
  const decimals = Math.min(9, Math.max(0, -Math.floor(Math.log10(least) + 1e-9)));
  const own = Math.abs(value) >= 1 ? decimals : Math.min(decimals, 6);
  const text = value.toLocaleString("en", { minimumFractionDigits: 0, maximumFractionDigits: own });
  return text === "0" ? value.toPrecision(1) : text;
}
