// A dialog over the page; the browser keeps the keyboard inside it, and Escape closes it.
import { computed, signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { Notices } from "./notices";

interface Props {
  title: string;
  close: () => void;
  children: ComponentChildren;
}

// The headings of the open ones, the topmost last.
const open = signal<string[]>([]);
export const isDialogOpen = computed(() => open.value.length > 0);

export function Dialog({ title, close, children }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();

  useEffect(() => {
    const shown = dialog.current!;
    shown.showModal();
    open.value = [...open.value, heading];
    return () => {
      open.value = open.value.filter((one) => one !== heading);
      // The keyboard goes back to where it was.
      shown.close();
    };
  }, []);

  return (
    <dialog ref={dialog} aria-labelledby={heading} onClose={close}>
      <h2 id={heading}>{title}</h2>
      {children}
      {/* What lies under it can be neither read nor closed. */}
      {open.value.at(-1) === heading && <Notices />}
    </dialog>
  );
}
