"use strict";
// From the page's block of data to columns: the inverse of `pack` in page.py.

const MISSING = 0xffff;

/** The page's data, decompressed. */
async function unpacked(text) {
  if (typeof DecompressionStream === "undefined") {
    throw new Error("this browser cannot unpack the table (it has no DecompressionStream)");
  }
  let packed;
  if (Uint8Array.fromBase64) {
    packed = Uint8Array.fromBase64(text);
  } else {
    const letters = atob(text);
    packed = new Uint8Array(letters.length);
    for (let i = 0; i < letters.length; i++) packed[i] = letters.charCodeAt(i);
  }
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/** The table of the page: a row is a cell's number; columns are decoded at first use. */
class Table {
  constructor(buffer) {
    const size = new DataView(buffer).getUint32(0, true);
    this.buffer = buffer;
    this.start = 4 + size;
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
    Object.assign(this, header);
    this.codes = new Array(header.columns.length);
    this.metric = new Map(header.metrics.map((m) => [m.name, m]));
    this.column = new Map(header.columns.map((c, i) => [c.metric + "@" + (c.epochs ?? ""), i]));
    this.exactRows = this.block(header.exact.rows, Int32Array);
    this.exactValues = header.exact.columns.map((b) => this.block(b, Float64Array));
    this.exactAt = new Map();
    this.exactRows.forEach((row, i) => this.exactAt.set(row, i));
    this.fronts = header.fronts.map((f) => ({ ...f, rows: this.block(f.rows, Int32Array) }));
    this.runs = header.runs.map((r) => ({
      ...r,
      front: this.block(r.front, Int32Array),
      rows: this.block(r.rows, Int32Array),
    }));
    this.first = this.block(header.cell.first, Int32Array);
    this.topologyCode = this.block(header.cell.code, Int32Array);
    this.topologyVertices = this.block(header.cell.vertices, Uint8Array);
    this.ops = this.block(header.cell.ops, Uint8Array);
  }

  block([offset, length], Kind) {
    return new Kind(this.buffer.slice(this.start + offset, this.start + offset + length));
  }

  /** Number of the column of a metric at a budget, or undefined. */
  columnOf(metric, epochs) {
    return this.column.get(metric + "@") ?? this.column.get(metric + "@" + epochs);
  }

  codesOf(index) {
    if (this.codes[index]) return this.codes[index];
    const { codes, reference } = this.columns[index];
    const bytes = this.block(codes, Uint8Array);
    const n = bytes.length / 2;
    const out = new Uint16Array(n);
    for (let i = 0; i < n; i++) out[i] = (bytes[i] << 8) | bytes[n + i];
    if (reference !== null) {
      const other = this.codesOf(reference);
      for (let i = 0; i < n; i++) out[i] += other[i]; // modulo 2**16, as encoded
    }
    return (this.codes[index] = out);
  }

  levelsOf(column) {
    if (column.levels && !column.held) column.held = this.block(column.levels, Float64Array);
    return column.held;
  }

  /** Value of one cell (NaN if unknown), and whether it is exact. */
  value(row, index) {
    const at = this.exactAt.get(row);
    if (at !== undefined) return { value: this.exactValues[index][at], exact: true };
    const column = this.columns[index];
    const code = this.codesOf(index)[row];
    if (code === MISSING) return { value: NaN, exact: true };
    const levels = this.levelsOf(column);
    if (levels) return { value: levels[code], exact: true };
    const place = column.low + column.step * code;
    return { value: column.log ? Math.exp(place) : place, exact: false };
  }

  /** Positions of all cells on an axis with a scale (one of `SCALES`). */
  places(index, scale) {
    const { place: placed } = scale;
    const column = this.columns[index];
    const codes = this.codesOf(index);
    const levels = this.levelsOf(column);
    const place = new Float64Array(65536).fill(NaN);
    const top = levels ? levels.length : MISSING;
    for (let c = 0; c < top; c++) {
      const value = levels ? levels[c] : column.low + column.step * c;
      place[c] = placed(column.log && !levels ? Math.exp(value) : value);
    }
    const out = new Float32Array(codes.length);
    for (let i = 0; i < codes.length; i++) out[i] = place[codes[i]];
    const exact = this.exactValues[index];
    this.exactRows.forEach((row, i) => {
      out[row] = placed(exact[i]);
    });
    return out;
  }

  /** For each cell: its number of vertices in bits 0-2, its set of operators in bits 3-5. */
  traits() {
    const out = new Uint8Array(this.cells);
    for (let s = 0; s < this.first.length; s++) {
      const vertices = this.topologyVertices[s];
      const present = labelsPresent(vertices - 2);
      const end = s + 1 < this.first.length ? this.first[s + 1] : this.cells;
      for (let row = this.first[s]; row < end; row++) {
        out[row] = vertices | (present[this.ops[row]] << 3);
      }
    }
    return out;
  }

  /** Vertices, edges and operations of a cell. */
  cellOf(row) {
    let low = 0;
    let high = this.first.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.first[middle] <= row) low = middle;
      else high = middle;
    }
    const vertices = this.topologyVertices[low];
    const code = this.topologyCode[low];
    const last = this.cell.edges[this.cell.edges.length - 1][1];
    const edges = this.cell.edges
      .filter((_, bit) => (code >> bit) & 1)
      .map(([i, j]) => [i, j === last ? vertices - 1 : j]);
    const labels = [];
    let number = this.ops[row];
    for (let slot = vertices - 3; slot >= 0; slot--) {
      labels[slot] = number % 3;
      number = Math.floor(number / 3);
    }
    const names = labels.map((label) => this.cell.operations[label]);
    return { row, vertices, edges, ops: ["input", ...names, "output"] };
  }

  /** Largest value of a column. */
  largest(index) {
    let most = -Infinity;
    for (const v of this.places(index, SCALES.linear)) if (v > most) most = v;
    return most;
  }

  /** Rows of the true front of two metrics, sorted by the first metric of the front. */
  frontOf(x, y, epochs) {
    for (const { objectives, epochs: at, rows } of this.fronts) {
      if (at !== epochs) continue;
      if (objectives[0] === x && objectives[1] === y) return rows;
      if (objectives[0] === y && objectives[1] === x) return rows;
    }
    return new Int32Array(0);
  }
}

/** Number of interior vertices -> for every packed labelling, the set of its labels in 3 bits. */
const presentBySlots = new Map();
function labelsPresent(slots) {
  if (!presentBySlots.has(slots)) {
    const out = new Uint8Array(3 ** slots);
    for (let number = 0; number < out.length; number++) {
      for (let left = number, s = 0; s < slots; s++, left = Math.floor(left / 3)) {
        out[number] |= 1 << (left % 3);
      }
    }
    presentBySlots.set(slots, out);
  }
  return presentBySlots.get(slots);
}
