// Packs files into a tar, as they lie on the disk: nothing of them is read before it is sent.

export interface PackedFile {
  // With `/` between folders, without a leading one.
  path: string;
  file: File;
}

const BLOCK = 512;
const NAME = 100;
const PREFIX = 155;

export function asTar(files: PackedFile[]): Blob {
  const parts: BlobPart[] = [];
  for (const { path, file } of files) {
    const place = split(path);
    if (!place) continue;
    parts.push(header(place, file.size), file, new Uint8Array((BLOCK - (file.size % BLOCK)) % BLOCK));
  }
  parts.push(new Uint8Array(2 * BLOCK));
  return new Blob(parts, { type: "application/x-tar" });
}

interface Place {
  name: Uint8Array;
  prefix: Uint8Array;
}

// A path in the two fields of a header; null for one that is too long for them.
function split(path: string): Place | null {
  const encoder = new TextEncoder();
  const parts = path.split("/");
  for (let at = 0; at < parts.length; at++) {
    const name = encoder.encode(parts.slice(at).join("/"));
    const prefix = encoder.encode(parts.slice(0, at).join("/"));
    if (name.length <= NAME && prefix.length <= PREFIX) return { name, prefix };
  }
  return null;
}

function header({ name, prefix }: Place, size: number): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(BLOCK);
  const encoder = new TextEncoder();
  const put = (at: number, text: string) => block.set(encoder.encode(text), at);
  block.set(name, 0);
  put(100, "0000644\0");
  put(108, "0000000\0");
  put(116, "0000000\0");
  put(124, `${size.toString(8).padStart(11, "0")} `);
  put(136, "00000000000 ");
  put(148, "        ");
  put(156, "0");
  put(257, "ustar\0");
  put(263, "00");
  block.set(prefix, 345);

  const sum = block.reduce((total, byte) => total + byte, 0);
  put(148, `${sum.toString(8).padStart(6, "0")}\0 `);
  return block;
}
