// What somebody preferred without knowing who answered, and the file that a report reads.
import { signal } from "@preact/signals";
import { save } from "../../parts/saving";
import { person } from "../../session";

export type Choice = "left" | "right" | "tie";

interface Side {
  name: string;
  text: string;
}

interface Vote {
  judge: string;
  prompt: string;
  left: Side;
  right: Side;
  choice: Choice;
  at: string;
}

// Which column is at the left in the turn that goes on.
export const isSwapped = signal(false);
export const hasVoted = signal(true);
export const votes = signal<Vote[]>([]);

export function deal(): void {
  isSwapped.value = crypto.getRandomValues(new Uint8Array(1))[0]! % 2 === 1;
  hasVoted.value = false;
}

// Columns that are new stand as they were asked for, with their names.
export function uncover(): void {
  isSwapped.value = false;
  hasVoted.value = true;
}

export function vote(prompt: string, left: Side, right: Side, choice: Choice): void {
  const judge = person.value?.who ?? "";
  const at = new Date().toISOString();
  votes.value = [...votes.value, { judge, prompt, left, right, choice, at }];
  hasVoted.value = true;
}

export function saveVotes(): void {
  const lines = votes.value.map((one) => `${JSON.stringify(one)}\n`);
  save("votes.jsonl", lines.join(""), "application/jsonl");
}
