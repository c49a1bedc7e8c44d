// What somebody has dropped or chosen: an archive, or the files of a folder.
import { asTar, type PackedFile } from "./tar";

export interface Chosen {
  // What the adapter is called unless somebody types another name.
  name: string;
  content: Blob;
}

const ARCHIVE = /\.(zip|tar|tar\.gz|tgz)$/i;
// Pickles are programs, and are never served; training leaves large ones.
const NEVER_SERVED = /\.(bin|pt|pth|pkl)$/i;

export function fromFiles(files: File[]): Chosen | null {
  const packed = files.map((file) => ({ path: file.webkitRelativePath || file.name, file }));
  return fromPaths(packed);
}

export async function fromDrop(items: DataTransferItemList): Promise<Chosen | null> {
  // Asked for before anything is awaited: afterwards the list is empty.
  const dropped = [...items].map((item) => item.webkitGetAsEntry() ?? item.getAsFile());
  const files = await Promise.all(dropped.map((one) => (one ? filesOf(one) : [])));
  return fromPaths(files.flat());
}

function fromPaths(files: PackedFile[]): Chosen | null {
  const [first] = files;
  if (!first) return null;
  if (files.length === 1 && ARCHIVE.test(first.path)) {
    return { name: first.file.name.replace(ARCHIVE, ""), content: first.file };
  }

  const kept = files.filter(({ path }) => !NEVER_SERVED.test(path));
  const folder = first.path.includes("/") ? first.path.split("/")[0]! : "";
  return { name: folder, content: asTar(kept) };
}

async function filesOf(entry: FileSystemEntry | File): Promise<PackedFile[]> {
  if (entry instanceof File) return [{ path: entry.name, file: entry }];
  if (entry.isFile) {
    const file = await new Promise<File>((done, failed) => {
      (entry as FileSystemFileEntry).file(done, failed);
    });
    return [{ path: entry.fullPath.replace(/^\//, ""), file }];
  }
  const inside = await entriesOf((entry as FileSystemDirectoryEntry).createReader());
  return (await Promise.all(inside.map(filesOf))).flat();
}

// A reader hands out a hundred at a time, until there is nothing left.
async function entriesOf(reader: FileSystemDirectoryReader): Promise<FileSystemEntry[]> {
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((done, failed) => {
      reader.readEntries(done, failed);
    });
    if (some.length === 0) return all;
    all.push(...some);
  }
}
