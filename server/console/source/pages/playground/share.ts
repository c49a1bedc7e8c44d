// The playground in an address, to show somebody else the same. Holds no key: there is none.
import { columns, newColumn, options, prompt, type Column, type Options } from "../../stores/playground";

interface Shared {
  prompt: string;
  options: Options;
  columns: Omit<Column, "id">[];
}

export function link(): string {
  const shared: Shared = {
    prompt: prompt.value,
    options: options.value,
    columns: columns.value.map(({ id: _, ...column }) => column),
  };
  const bytes = new TextEncoder().encode(JSON.stringify(shared));
  // One by one: a call takes only so many arguments.
  const characters = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  const text = btoa(characters).replaceAll("+", "-").replaceAll("/", "_");
  return `${location.origin}${location.pathname}#/playground?share=${text.replaceAll("=", "")}`;
}

// Takes up what a link holds; an address that is damaged changes nothing.
export function takeUp(text: string): void {
  try {
    const packed = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0));
    const shared = JSON.parse(new TextDecoder().decode(bytes)) as Shared;
    const taken = shared.columns.slice(0, 4).map(columnOf);
    if (taken.length === 0) return;

    prompt.value = String(shared.prompt);
    options.value = alike(options.value, shared.options);
    columns.value = taken;
  } catch {
    return;
  }
}

function columnOf(theirs: unknown): Column {
  const ours = newColumn("");
  return { ...alike(ours, theirs), id: ours.id };
}

// What a stranger has written in place of each value of ours, where it is of the same type.
function alike<Ours extends object>(ours: Ours, theirs: unknown): Ours {
  const written = new Map(Object.entries(theirs ?? {}));
  const entries = Object.entries(ours).map(([name, value]) => {
    const other = written.get(name);
    return [name, typeof other === typeof value ? other : value];
  });
  return Object.fromEntries(entries) as Ours;
}
