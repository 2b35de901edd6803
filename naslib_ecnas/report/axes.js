// Numbers as text: units, ticks and labels.

/** Scales of an axis: from a value to its position, and back, and the ticks between two values. */
const SCALES = {
  linear: { place: (value) => value, value: (place) => place, ticks: linearTicks },
  log: { place: Math.log, value: Math.exp, ticks: logTicks },
};

/** Factor and unit in which the values of a metric are readable. */
function readingUnit(metric, typical) {
  // What a search spent is not a metric and stays in kWh.
  if (metric.name && metric.unit === "kWh" && typical < 1) return { factor: 1000, unit: "Wh" };
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

/** Least and greatest of numbers; NaN is left out. */
function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const v of values) {
    if (v < low) low = v;
    if (v > high) high = v;
  }
  return [low, high];
}

/** An axis: the `place` of each cell on a `scale` of `SCALES`, rounded to `step`; `low` to `high` is visible. */
class Axis {
  constructor(metric, scale, place, step = 0) {
    const [low, high] = extent(place);
    const pad = (high - low) * 0.035 || Math.abs(high) * 0.1 || 1;
    const whole = [low - pad, high + pad];
    // The unit follows the whole axis, so that zooming does not change it.
    const { factor, unit } = readingUnit(metric, scale.value((low + high) / 2));
    Object.assign(this, { metric, scale, place, step, factor, unit, whole, low: whole[0], high: whole[1] });
  }

  get span() {
    return this.high - this.low;
  }

  /** Ticks of the visible part, at most about `most`: `{ text, place }`. */
  ticks(most) {
    const [a, b] = [this.low, this.high].map((place) => this.scale.value(place) * this.factor);
    return this.scale.ticks(a, b, most).map((t) => ({ text: plain(t, 6), place: this.scale.place(t / this.factor) }));
  }

  /** Name and unit, with as much of the origin of the values as fits into so many letters. */
  label(most) {
    const name = axisLabel(this.metric, this.unit);
    const all = [originShort(this.metric), this.metric.kind].filter(Boolean).map((origin) => `${name}, ${origin}`);
    return all.find((text) => text.length < most) ?? name;
  }
}
