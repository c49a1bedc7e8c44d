// What stands where there is nothing yet: what is missing, and what to do next.
import type { ComponentChildren } from "preact";

interface Props {
  title: string;
  hint?: string;
  children?: ComponentChildren;
}

export function Empty({ title, hint, children }: Props) {
  return (
    <div class="empty">
      <strong>{title}</strong>
      {hint && <p>{hint}</p>}
      {children}
    </div>
  );
}
