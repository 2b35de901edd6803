// From the page's block of data to columns: the inverse of `pack` in page.py.

const MISSING = 0xffff;

// Python's `base64.b85encode`, with "," for "<".
const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;,=>?@^_`{|}~";

/** Bytes of a text in base 85: five digits for four bytes, the last group may be shorter. */
function base85(text) {
  const digit = new Uint8Array(128);
  [...DIGITS].forEach((letter, i) => (digit[letter.charCodeAt(0)] = i));
  const groups = Math.ceil(text.length / 5);
  const out = new DataView(new ArrayBuffer(4 * groups));
  const full = text.padEnd(5 * groups, "~");
  for (let i = 0; i < groups; i++) {
    let number = 0;
    for (let k = 5 * i; k < 5 * i + 5; k++) number = number * 85 + digit[full.charCodeAt(k)];
    out.setUint32(4 * i, number);
  }
  return new Uint8Array(out.buffer, 0, 4 * groups - (full.length - text.length));
}

/** The page's data, decompressed. */
async function unpacked(text) {
  const stream = new Blob([base85(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/** The table of the page: a row is a cell's number; columns are decoded at first use. */
class Table {
  constructor(buffer) {
    const size = new DataView(buffer).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
    Object.assign(this, header, { codes: [], blocks: new Uint8Array(buffer, 4 + size) });
    this.metric = new Map(this.metrics.map((m) => [m.name, m]));
    this.column = new Map(this.columns.map((c, i) => [`${c.metric}@${c.epochs ?? ""}`, i]));
    this.exactAt = new Map(this.exact.map((row, i) => [row, i]));
    this.ops = this.blocks.subarray(2 * this.cells * this.columns.length);
  }

  /** Number of the column of a metric at a budget, or undefined. */
  columnOf(metric, epochs) {
    return this.column.get(`${metric}@`) ?? this.column.get(`${metric}@${epochs}`);
  }

  codesOf(index) {
    if (this.codes[index]) return this.codes[index];
    const { reference } = this.columns[index];
    const n = this.cells;
    const bytes = this.blocks.subarray(2 * n * index);
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
    const column = this.columns[index];
    if (at !== undefined) return { value: column.exact[at] ?? NaN, exact: true };
    const value = this.decoded(column, this.codesOf(index)[row]);
    return { value, exact: column.levels !== null || Number.isNaN(value) };
  }

  /** Standard deviation of a value of one cell; undefined if the table has none. */
  std(row, metric, epochs) {
    const [of, index] = [this.columnOf(metric, epochs), this.columnOf(`${metric}_std`, epochs)];
    if (index === undefined) return undefined;
    const { value, exact } = this.value(row, index);
    return { value: this.columns[of].log ? value * this.value(row, of).value : value, exact };
  }

  /** A function of all values of a column, for every cell. */
  mapped(index, change, Kind = Float32Array) {
    const column = this.columns[index];
    const changed = new Float64Array(MISSING + 1);
    for (let code = 0; code <= MISSING; code++) changed[code] = change(this.decoded(column, code));
    const codes = this.codesOf(index);
    const out = new Kind(codes.length);
    for (let i = 0; i < codes.length; i++) out[i] = changed[codes[i]];
    for (const [row, i] of this.exactAt) out[row] = change(column.exact[i] ?? NaN);
    return out;
  }

  /** For each cell: its number of vertices in bits 0-2, its set of operators in bits 3-5. */
  traits() {
    const out = new Uint8Array(this.cells);
    // Number of slots -> for every labelling the set of its labels.
    const sets = Array.from({ length: this.vertices - 1 }, (_, slots) =>
      Uint8Array.from({ length: 3 ** slots }, (_, number) => labels(number, slots).reduce((set, l) => set | (1 << l), 0)),
    );
    this.cell.vertices.forEach((vertices, i) => {
      const end = this.cell.first[i + 1] ?? this.cells;
      for (let row = this.cell.first[i]; row < end; row++) out[row] = vertices | (sets[vertices - 2][this.ops[row]] << 3);
    });
    return out;
  }

  /** Vertices, edges and operations of a cell. */
  cellOf(row) {
    let [topology, after] = [0, this.cell.first.length];
    while (after - topology > 1) {
      const middle = (topology + after) >> 1;
      if (this.cell.first[middle] <= row) topology = middle;
      else after = middle;
    }
    const vertices = this.cell.vertices[topology];
    const last = this.cell.edges.at(-1)[1];
    const edges = this.cell.edges
      .filter((_, bit) => (this.cell.code[topology] >> bit) & 1)
      .map(([i, j]) => [i, j === last ? vertices - 1 : j]);
    const names = labels(this.ops[row], vertices - 2).map((label) => this.cell.operations[label]);
    return { row, vertices, edges, ops: ["input", ...names, "output"] };
  }

  /** Rows of the true front of two metrics, sorted by the first metric of the front. */
  frontOf(x, y, epochs) {
    const here = ({ epochs: at, objectives }) => at === epochs && [x, y].every((name) => objectives.includes(name));
    return this.fronts.find(here)?.rows ?? [];
  }
}

/** Labels of the interior vertices: base-3 digits, the first the most significant. */
const labels = (number, slots) => Array.from({ length: slots }, (_, i) => Math.floor(number / 3 ** (slots - 1 - i)) % 3);
