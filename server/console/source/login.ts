// Logging in and out.
import { fetched } from "./server";
import { hasEnded, person, type Person } from "./session";

export async function findSession(): Promise<void> {
  try {
    person.value = (await (await fetched("/session")).json()) as Person;
  } catch {
    person.value = null;
  }
}

export async function logIn(key: string): Promise<void> {
  const headers = { authorization: `Bearer ${key}` };
  const response = await fetched("/session", { method: "POST", headers });
  hasEnded.value = false;
  person.value = (await response.json()) as Person;
}

export async function logOut(): Promise<void> {
  await fetched("/session", { method: "DELETE" });
  person.value = null;
}
