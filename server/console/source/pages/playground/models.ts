// Who can be asked: the base, each adapter, and each version of it that is kept.
import { signal } from "@preact/signals";
import { answered, server } from "../../server";
import { adapters } from "../../stores/adapters";
import { words } from "../../words/words";
import { shortVersion } from "../adapters/versions";

const bases = signal<string[]>([]);

export async function findBases(): Promise<void> {
  const told = (await answered(server.GET("/v1/models"))) as { data: { id: string; parent?: string | null }[] };
  bases.value = told.data.filter((model) => !model.parent).map((model) => model.id);
}

export function modelOptions(): { value: string; text: string }[] {
  const served = (adapters.value ?? []).filter((adapter) => adapter.live);
  return [
    ...bases.value.map((base) => ({ value: base, text: `${words.value.base}${words.value.colon}${base}` })),
    ...served.flatMap((adapter) => [
      { value: adapter.name, text: adapter.name },
      ...adapter.versions.map((version) => {
        const name = `${adapter.name}@${shortVersion(version.id)}`;
        return { value: name, text: `\u00a0\u00a0${name}` };
      }),
    ]),
  ];
}

// The columns of somebody who has not chosen any: an adapter beside the base, if there is one.
export function firstModels(asked: string | null): string[] {
  const names = modelOptions().map((option) => option.value);
  const base = bases.value[0] ?? names[0] ?? "";
  const adapter = asked ?? names.find((name) => !bases.value.includes(name));
  return adapter ? [adapter, base] : [base];
}
