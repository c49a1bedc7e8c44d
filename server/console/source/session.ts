// Who is logged in. The session itself is a cookie that scripts cannot read.
import { signal } from "@preact/signals";

export type Role = "viewer" | "operator" | "owner";

export interface Person {
  who: string;
  role: Role;
  lorabay: string;
}

// Undefined until the server has said whether there is a session.
export const person = signal<Person | null | undefined>(undefined);
export const hasEnded = signal(false);

const ROLES: Role[] = ["viewer", "operator", "owner"];

export function may(role: Role): boolean {
  return ROLES.indexOf(person.value?.role ?? "viewer") >= ROLES.indexOf(role);
}

export function sessionEnded(): void {
  if (person.value) hasEnded.value = true;
  person.value = null;
}
