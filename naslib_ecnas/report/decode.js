"use strict";
// From the page's block of data to columns: the inverse of `pack` in page.py.

const MISSING = 0xffff;

/** The page's data, decompressed. */
async function unpacked(text) {
  if (typeof DecompressionStream === "undefined") {
    throw new Error("this browser cannot unpack the table (it has no DecompressionStream)");
  }
  let packed = Uint8Array.fromBase64?.(text);
  if (!packed) {
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
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
    const data = buffer.slice(4 + size);
    const block = ([offset, length], Kind) => new Kind(data.slice(offset, offset + length));
    const ints = (place) => block(place, Int32Array);
    Object.assign(this, header, { block });
    this.metric = new Map(header.metrics.map((m) => [m.name, m]));
    this.column = new Map(header.columns.map((c, i) => [`${c.metric}@${c.epochs ?? ""}`, i]));
    for (const c of this.columns) c.levels &&= block(c.levels, Float64Array);
    this.codes = [];
    this.exactAt = new Map(Array.from(ints(header.exact.rows), (row, i) => [row, i]));
    this.exactValues = header.exact.columns.map((place) => block(place, Float64Array));
    this.fronts = header.fronts.map((f) => ({ ...f, rows: ints(f.rows) }));
    this.runs = header.runs.map((r) => ({ ...r, front: ints(r.front), rows: ints(r.rows) }));
    this.first = ints(header.cell.first);
    this.topologyCode = ints(header.cell.code);
    this.topologyVertices = block(header.cell.vertices, Uint8Array);
    this.ops = block(header.cell.ops, Uint8Array);
  }

  /** Number of the column of a metric at a budget, or undefined. */
  columnOf(metric, epochs) {
    return this.column.get(`${metric}@`) ?? this.column.get(`${metric}@${epochs}`);
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

  /** Value of a code, NaN for the missing value. */
  decoded({ levels, log, low, step }, code) {
    if (code === MISSING) return NaN;
    if (levels) return levels[code];
    return log ? Math.exp(low + step * code) : low + step * code;
  }

  /** Value of one cell (NaN if unknown), and whether it is exact. */
  value(row, index) {
    const at = this.exactAt.get(row);
    if (at !== undefined) return { value: this.exactValues[index][at], exact: true };
    const column = this.columns[index];
    const value = this.decoded(column, this.codesOf(index)[row]);
    return { value, exact: column.levels !== null || Number.isNaN(value) };
  }

  /** Positions of all cells on an axis with a scale (one of `SCALES`). */
  places(index, scale) {
    const column = this.columns[index];
    const placed = new Float64Array(MISSING + 1);
    for (let code = 0; code <= MISSING; code++) placed[code] = scale.place(this.decoded(column, code));
    const codes = this.codesOf(index);
    const out = new Float32Array(codes.length);
    for (let i = 0; i < codes.length; i++) out[i] = placed[codes[i]];
    for (const [row, i] of this.exactAt) out[row] = scale.place(this.exactValues[index][i]);
    return out;
  }

  /** For each cell: its number of vertices in bits 0-2, its set of operators in bits 3-5. */
  traits() {
    const out = new Uint8Array(this.cells);
    // Number of slots -> for every labelling the set of its labels.
    const sets = Array.from({ length: this.vertices - 1 }, (_, slots) =>
      Uint8Array.from({ length: 3 ** slots }, (_, number) => labels(number, slots).reduce((set, l) => set | (1 << l), 0)),
    );
    this.topologyVertices.forEach((vertices, i) => {
      const end = this.first[i + 1] ?? this.cells;
      for (let row = this.first[i]; row < end; row++) out[row] = vertices | (sets[vertices - 2][this.ops[row]] << 3);
    });
    return out;
  }

  /** Vertices, edges and operations of a cell. */
  cellOf(row) {
    const topology = this.first.findLastIndex((first) => first <= row);
    const vertices = this.topologyVertices[topology];
    const last = this.cell.edges.at(-1)[1];
    const edges = this.cell.edges
      .filter((_, bit) => (this.topologyCode[topology] >> bit) & 1)
      .map(([i, j]) => [i, j === last ? vertices - 1 : j]);
    const names = labels(this.ops[row], vertices - 2).map((label) => this.cell.operations[label]);
    return { row, vertices, edges, ops: ["input", ...names, "output"] };
  }

  /** Rows of the true front of two metrics, sorted by the first metric of the front. */
  frontOf(x, y, epochs) {
    return this.fronts.find((f) => f.epochs === epochs && [x, y].every((name) => f.objectives.includes(name))).rows;
  }
}

/** Labels of the interior vertices: base-3 digits, the first the most significant. */
const labels = (number, slots) => Array.from({ length: slots }, (_, i) => Math.floor(number / 3 ** (slots - 1 - i)) % 3);
