// The npy format: arrays of 32-bit numbers, as the service sends and takes them.

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0]; // \x93NUMPY, version 1.0

/** Uint8Array of a float32 array (values in order, shape). */
export function write(values, shape) {
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(", ")}${shape.length === 1 ? "," : ""}), }`;
  const room = Math.ceil((MAGIC.length + 2 + text.length + 1) / 64) * 64;
  const header = text.padEnd(room - MAGIC.length - 3) + "\n";
  const bytes = new Uint8Array(room + values.length * 4);
  bytes.set(MAGIC);
  new DataView(bytes.buffer).setUint16(MAGIC.length, header.length, true);
  bytes.set(new TextEncoder().encode(header), MAGIC.length + 2);
  bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.length * 4), room);
  return bytes;
}

/** {values: Float32Array, shape} of an ArrayBuffer. */
export function read(buffer) {
  const length = new DataView(buffer).getUint16(MAGIC.length, true);
  const begin = MAGIC.length + 2 + length;
  const header = new TextDecoder().decode(new Uint8Array(buffer, MAGIC.length + 2, length));
  if (!header.includes("'<f4'")) throw new Error(`expected float32 from the service, got ${header.slice(0, 80)}`);
  const shape = /\(([^)]*)\)/.exec(header)[1].split(",").filter((part) => part.trim()).map(Number);
  return { values: new Float32Array(buffer.slice(begin)), shape };
}
