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
  const text = btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
  return `${location.origin}${location.pathname}#/playground?share=${text.replaceAll("=", "")}`;
}

// Takes up what a link holds; an address that is damaged changes nothing.
export function takeUp(text: string): void {
  try {
    const packed = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0));
    const shared = JSON.parse(new TextDecoder().decode(bytes)) as Shared;
    const taken = shared.columns.slice(0, 4).map((one) => ({ ...newColumn(""), ...texts(one) }));
    if (taken.length === 0) return;

    prompt.value = String(shared.prompt);
    options.value = { ...options.value, ...shared.options };
    columns.value = taken;
  } catch {
    return;
  }
}

function texts(column: Omit<Column, "id">): Omit<Column, "id"> {
  const { model, temperature, topP, maxTokens, seed } = column;
  return {
    model: String(model),
    temperature: String(temperature),
    topP: String(topP),
    maxTokens: String(maxTokens),
    seed: String(seed),
  };
}
