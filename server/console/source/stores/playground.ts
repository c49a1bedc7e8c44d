// What is in the playground: the columns, the prompt, and what they have answered so far. It stays
// while somebody looks at another page.
import { computed, signal } from "@preact/signals";
import type { Answer } from "../pages/playground/answers";

export interface Column {
  id: number;
  model: string;
  temperature: string;
  topP: string;
  maxTokens: string;
  seed: string;
}

export interface Turn {
  prompt: string;
  answer: Answer;
}

export interface Options {
  system: string;
  schema: string;
  tools: string;
  logprobs: boolean;
  blind: boolean;
}

export const FEWEST = 1;
export const MOST = 4;

const NO_OPTIONS: Options = { system: "", schema: "", tools: "", logprobs: false, blind: false };

let count = 0;

export function newColumn(model: string): Column {
  return { id: count++, model, temperature: "0", topP: "", maxTokens: "200", seed: "" };
}

export const prompt = signal("");
export const options = signal<Options>(NO_OPTIONS);
export const columns = signal<Column[]>([]);
// The turns of each column, by its id, oldest first.
export const talks = signal<Record<number, Turn[]>>({});
export const isRunning = computed(() =>
  Object.values(talks.value).some((turns) => turns.some((turn) => turn.answer.isRunning)),
);

export function setOption<Name extends keyof Options>(name: Name, value: Options[Name]): void {
  options.value = { ...options.value, [name]: value };
}

export function change(id: number, part: Partial<Column>): void {
  columns.value = columns.value.map((one) => (one.id === id ? { ...one, ...part } : one));
}

export function remove(id: number): void {
  columns.value = columns.value.filter((one) => one.id !== id);
}

export function turnsOf(id: number): Turn[] {
  return talks.value[id] ?? [];
}

// Puts what a column answers at the end of its talk; `turn` replaces the one that goes on.
export function setTurn(id: number, place: number, turn: Turn): void {
  const turns = turnsOf(id).slice(0, place);
  talks.value = { ...talks.value, [id]: [...turns, turn] };
}

export function forgetTalks(): void {
  talks.value = {};
}
