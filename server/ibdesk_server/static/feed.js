/**
 * The feed of an ibdesk server in a browser, or anything else that has WebSocket:
 *
 *     import { Feed } from "http://127.0.0.1:8000/feed.js";
 *
 *     const feed = new Feed("ws://127.0.0.1:8000/feed", { key, topics: ["orders", "quotes"], symbols: ["ES-*"] });
 *     for await (const news of feed) console.log(news.kind, news.topic, news.rows, feed.tables.get("orders").size);
 *
 * It connects by itself and again after a lost connection, and goes on where it stopped: on topics that are not
 * conflated nothing is missed and nothing comes twice. Where the server cannot tell any more what was missed, news of
 * kind "snapshot" come instead, which replace what there was. Times are nanoseconds as BigInt; see `toDate`.
 *
 * The messages are described in ibdesk_server/feed/protocol.py.
 */

export const SCHEMA = 2;

const FINAL_CODES = new Set([1003, 1007, 1008, 1009]);
const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 5000;
const HELLO_MS = 10000;
// After so many heartbeats without a word the connection is taken for dead.
const PATIENCE = 3;
// So many news may wait to be read; past that the connection is let go until they have been.
const UNREAD_LIMIT = 10000;
const TOO_DEEP = 64;

/** The server refuses this client for good; the message says why. */
export class FeedError extends Error {}

/** FeedMessage of one topic: a "snapshot" is its whole state, a "delta" what changed since; `columns` by name. */
export class FeedMessage {
  constructor(kind, topic, seq, columns) {
    Object.assign(this, { kind, topic, seq, columns });
  }

  get rows() {
    const names = Object.keys(this.columns);
    const count = names.length ? this.columns[names[0]].length : 0;
    const row = (at) => Object.fromEntries(names.map((name) => [name, this.columns[name][at]]));
    return Array.from({ length: count }, (_, at) => row(at));
  }
}

/** A topic as a client keeps it: the newest row of each key; past `limit` rows the oldest leave. */
export class Table {
  #rows = new Map();

  constructor(key, limit = 100000) {
    this.key = key;
    this.limit = limit;
  }

  get size() {
    return this.#rows.size;
  }

  get rows() {
    return [...this.#rows.values()];
  }

  /** The row with these values in the key columns. */
  get(...values) {
    return this.#rows.get(this.#word(values));
  }

  clear() {
    this.#rows.clear();
  }

  update(rows) {
    for (const row of rows) this.#rows.set(this.#word(this.key.map((name) => row[name])), row);
    for (const word of this.#rows.keys()) {
      if (this.#rows.size <= this.limit) break;
      this.#rows.delete(word);
    }
  }

  #word(values) {
    return values.map((value) => `${typeof value}:${value}`).join("\u0000");
  }
}

/**
 * A connection to the feed that keeps itself alive, and tables of what it has told.
 *
 * Options: `key`, an API key or access token, or a function that returns the present one (without it the browser's
 * login counts); `topics`, `symbols` and `owners` narrow what is sent, by name or pattern; `token` of an earlier feed
 * goes on where that one stopped; `onNews`, `onState` ("connecting", "open", "away", "closed") and `onLag` are told.
 */
export class Feed {
  state = "connecting";
  tables = new Map();
  connections = 0;
  lag = { lag_ms: 0, lag_bytes: 0, skipped: 0 };

  #url;
  #options;
  #socket = null;
  #delay = FIRST_DELAY_MS;
  #patience = HELLO_MS;
  #timer = null;
  #epoch = "";
  #places = null;
  #unread = [];
  #readers = [];
  #iterated = false;
  #error = null;

  constructor(url, options = {}) {
    this.#url = url;
    this.#options = options;
    if (options.token) [, this.#epoch, this.#places] = JSON.parse(fromBase64(options.token));
    this.#connect();
  }

  /** The word with which another feed can go on after the last news; empty before the first connection. */
  get token() {
    return this.#places ? toBase64(JSON.stringify([SCHEMA, this.#epoch, this.#places])) : "";
  }

  /** End the connection; there will be no more news. */
  close() {
    this.#end(null);
  }

  /** All news from now on; it throws a FeedError if the server refuses this client for good. */
  async *[Symbol.asyncIterator]() {
    this.#iterated = true;
    for (;;) {
      while (this.#unread.length) yield this.#unread.shift();
      if (this.#error) throw this.#error;
      if (this.state === "closed") return;
      if (this.#socket === null && this.#timer === null) this.#connect();
      await new Promise((resolve) => this.#readers.push(resolve));
    }
  }

  async #connect() {
    const socket = new WebSocket(this.#url);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#expect(HELLO_MS);
    socket.onopen = async () => {
      const key = typeof this.#options.key === "function" ? await this.#options.key() : this.#options.key;
      if (key && socket === this.#socket) socket.send(encode({ type: "auth", key }));
    };
    socket.onmessage = (event) => {
      this.#expect(this.#patience);
      let message;
      try {
        message = decode(new Uint8Array(event.data));
      } catch {
        this.#recover();
        return;
      }
      this.#hear(message, socket);
    };
    socket.onclose = (event) => {
      if (FINAL_CODES.has(event.code)) {
        this.#end(new FeedError(`${this.#url} refuses this client: ${event.reason}`));
      } else {
        this.#recover();
      }
    };
  }

  #hear(message, socket) {
    switch (message.type) {
      case "hello":
        this.#greet(message, socket);
        break;
      case "snapshot":
      case "delta":
        this.#take(message);
        break;
      case "ping":
        this.lag = { lag_ms: message.lag_ms, lag_bytes: message.lag_bytes, skipped: message.skipped };
        socket.send(encode({ type: "pong", at_ns: message.at_ns }));
        this.#options.onLag?.(this.lag);
        break;
      case "status":
        this.#become(message.desk === "attached" ? "open" : "away");
        break;
    }
  }

  #greet(hello, socket) {
    if (hello.schema !== SCHEMA) {
      this.#end(new FeedError(`${this.#url} speaks version ${hello.schema} of the feed, this client ${SCHEMA}`));
      return;
    }
    this.#patience = PATIENCE * hello.heartbeat_seconds * 1000;
    for (const topic of hello.topics) {
      if (!this.tables.has(topic.name)) this.tables.set(topic.name, new Table(topic.key));
    }
    if (!this.#places) {
      const names = this.#options.topics ?? hello.topics.map((topic) => topic.name);
      const seqs = Object.fromEntries(names.map((name) => [name, null]));
      this.#places = [[seqs, this.#options.symbols ?? null, this.#options.owners ?? null]];
    }
    socket.send(encode({ type: "subscribe", token: this.token }));
    this.connections += 1;
    this.#delay = FIRST_DELAY_MS;
    this.#become(hello.desk === "attached" ? "open" : "away");
  }

  #take(message) {
    const news = new FeedMessage(message.type, message.topic, message.seq, message.columns);
    const seqs = this.#places.find(([found]) => news.topic in found)[0];
    const table = this.tables.get(news.topic);
    if (news.kind === "snapshot") {
      if (message.epoch !== this.#epoch) {
        this.#epoch = message.epoch;
        for (const [other] of this.#places) for (const name of Object.keys(other)) other[name] = null;
      }
      table.clear();
    } else if (message.after !== seqs[news.topic]) {
      // A message is missing between two: ask for it anew.
      this.#recover();
      return;
    }
    table.update(news.rows);
    seqs[news.topic] = news.seq;
    this.#options.onNews?.(news);
    if (!this.#iterated) return;
    this.#unread.push(news);
    this.#wake();
    if (this.#unread.length > UNREAD_LIMIT) {
      this.#letGo();
      this.#become("connecting");
    }
  }

  #expect(milliseconds) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#recover(), milliseconds);
  }

  /** Let go of a lost connection, and come back after a while: not all clients at the same instant. */
  #recover() {
    if (this.state === "closed") return;
    this.#letGo();
    this.#become("connecting");
    this.#timer = setTimeout(() => this.#connect(), this.#delay * (0.5 + Math.random() / 2));
    this.#delay = Math.min(2 * this.#delay, LONGEST_DELAY_MS);
  }

  #letGo() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }

  #end(error) {
    if (this.state === "closed") return;
    this.#letGo();
    this.#error = error;
    this.#become("closed");
    this.#wake();
  }

  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.#options.onState?.(state, this.#error);
  }

  #wake() {
    for (const resolve of this.#readers.splice(0)) resolve();
  }
}

/** A time in nanoseconds as a Date, which knows milliseconds. */
export function toDate(nanoseconds) {
  return new Date(Number(BigInt(nanoseconds) / 1000000n));
}

/** Return the value in these bytes of msgpack; integers beyond 2^53 become BigInt. */
export function decode(bytes) {
  const reader = new MsgpackReader(bytes);
  const value = reader.value(0);
  if (reader.at !== bytes.length) throw new RangeError(`${bytes.length - reader.at} bytes follow the value`);
  return value;
}

class MsgpackReader {
  static #text = new TextDecoder("utf-8", { fatal: true });

  constructor(bytes) {
    this.at = 0;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  value(depth) {
    if (depth > TOO_DEEP) throw new RangeError("the value is nested too deeply");
    const head = this.uint(1);
    if (head < 0x80) return head;
    if (head < 0x90) return this.map(head & 0x0f, depth);
    if (head < 0xa0) return this.array(head & 0x0f, depth);
    if (head < 0xc0) return this.string(head & 0x1f);
    if (head >= 0xe0) return head - 0x100;
    switch (head) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: return this.take(this.uint(1 << (head - 0xc4))).slice();
      case 0xca: return this.view.getFloat32(this.skip(4));
      case 0xcb: return this.view.getFloat64(this.skip(8));
      case 0xcc: case 0xcd: case 0xce: return this.uint(1 << (head - 0xcc));
      case 0xcf: return plain(this.view.getBigUint64(this.skip(8)));
      case 0xd0: return this.view.getInt8(this.skip(1));
      case 0xd1: return this.view.getInt16(this.skip(2));
      case 0xd2: return this.view.getInt32(this.skip(4));
      case 0xd3: return plain(this.view.getBigInt64(this.skip(8)));
      case 0xd9: case 0xda: case 0xdb: return this.string(this.uint(1 << (head - 0xd9)));
      case 0xdc: case 0xdd: return this.array(this.uint(2 << (head - 0xdc)), depth);
      case 0xde: case 0xdf: return this.map(this.uint(2 << (head - 0xde)), depth);
      default: throw new RangeError(`0x${head.toString(16)} begins no value that the feed sends`);
    }
  }

  /** Move on and return where these bytes began. */
  skip(size) {
    const start = this.at;
    if (start + size > this.bytes.length) throw new RangeError("the bytes end within a value");
    this.at = start + size;
    return start;
  }

  take(size) {
    const start = this.skip(size);
    return this.bytes.subarray(start, start + size);
  }

  uint(size) {
    const start = this.skip(size);
    if (size === 1) return this.bytes[start];
    return size === 2 ? this.view.getUint16(start) : this.view.getUint32(start);
  }

  string(size) {
    return MsgpackReader.#text.decode(this.take(size));
  }

  array(size, depth) {
    if (size > this.bytes.length - this.at) throw new RangeError("the bytes end within a value");
    const values = new Array(size);
    for (let at = 0; at < size; at += 1) values[at] = this.value(depth + 1);
    return values;
  }

  map(size, depth) {
    const fields = [];
    for (let at = 0; at < size; at += 1) fields.push([this.value(depth + 1), this.value(depth + 1)]);
    return Object.fromEntries(fields);
  }
}

function plain(number) {
  const small = BigInt.asIntN(54, number) === number && number !== -(1n << 53n);
  return small ? Number(number) : number;
}

/** Return the msgpack of what a client says: null, booleans, integers, strings, arrays and plain objects. */
export function encode(value) {
  const bytes = [];
  write(value, bytes);
  return new Uint8Array(bytes);
}

function write(value, bytes) {
  if (value === null || value === undefined) bytes.push(0xc0);
  else if (typeof value === "boolean") bytes.push(value ? 0xc3 : 0xc2);
  else if (typeof value === "bigint" || Number.isInteger(value)) writeInteger(BigInt(value), bytes);
  else if (typeof value === "string") {
    const text = new TextEncoder().encode(value);
    writeHead(text.length, [0xa0, 32], [0xda, 0xdb], bytes);
    for (const byte of text) bytes.push(byte);
  } else if (Array.isArray(value)) {
    writeHead(value.length, [0x90, 16], [0xdc, 0xdd], bytes);
    for (const each of value) write(each, bytes);
  } else if (typeof value === "object") {
    const fields = Object.entries(value).filter(([, each]) => each !== undefined);
    writeHead(fields.length, [0x80, 16], [0xde, 0xdf], bytes);
    for (const [name, each] of fields) {
      write(name, bytes);
      write(each, bytes);
    }
  } else throw new TypeError(`a client does not say ${typeof value}`);
}

function writeInteger(number, bytes) {
  if (number >= 0n && number < 128n) bytes.push(Number(number));
  else {
    bytes.push(number < 0n ? 0xd3 : 0xcf);
    writeBytes(BigInt.asUintN(64, number), 8, bytes);
  }
}

function writeHead(size, [short, limit], [middle, long], bytes) {
  if (size < limit) bytes.push(short + size);
  else if (size < 0x10000) {
    bytes.push(middle);
    writeBytes(BigInt(size), 2, bytes);
  } else {
    bytes.push(long);
    writeBytes(BigInt(size), 4, bytes);
  }
}

function writeBytes(number, count, bytes) {
  for (let at = count - 1; at >= 0; at -= 1) bytes.push(Number((number >> BigInt(8 * at)) & 0xffn));
}

function toBase64(text) {
  const binary = Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("");
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function fromBase64(word) {
  const binary = atob(word.replaceAll("-", "+").replaceAll("_", "/"));
  return new TextDecoder().decode(Uint8Array.from(binary, (each) => each.charCodeAt(0)));
}
