// A button that cannot be pressed twice, and that says why it cannot be pressed at all.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { may, type Role } from "../session";
import { words } from "../words/words";
import { tellProblem } from "./notices";

interface Props {
  children: ComponentChildren;
  // Whatever it throws is told to people.
  act: () => unknown;
  kind?: "plain" | "main" | "danger";
  role?: Role;
  disabled?: boolean;
  label?: string;
  hint?: string;
  submits?: boolean;
}

export function Button({ children, act, kind = "plain", role, disabled, label, hint, submits }: Props) {
  const busy = useSignal(false);
  const allowed = !role || may(role);

  async function press(): Promise<void> {
    // Not disabled meanwhile: the keyboard would lose its place.
    if (busy.value) return;
    busy.value = true;
    try {
      await act();
    } catch (error) {
      tellProblem(error);
    } finally {
      busy.value = false;
    }
  }

  return (
    <button
      type={submits ? "submit" : "button"}
      class={`button ${kind}`}
      disabled={disabled || !allowed}
      title={allowed ? (hint ?? label) : words.value.needsRole(words.value.roles[role!])}
      aria-label={label}
      aria-busy={busy.value}
      onClick={submits ? undefined : press}
    >
      {children}
    </button>
  );
}
