// What the console tells in passing: something is done, or was refused and why.
import { signal } from "@preact/signals";
import { words } from "../words/words";

interface Notice {
  number: number;
  text: string;
  kind: "done" | "problem";
}

const DONE_MS = 4000;

const notices = signal<Notice[]>([]);
let count = 0;

function tell(text: string, kind: Notice["kind"]): void {
  const notice = { number: count++, text, kind };
  const others = notices.value.filter((one) => one.text !== text);
  notices.value = [...others.slice(-3), notice];
  if (kind === "done") setTimeout(() => drop(notice.number), DONE_MS);
}

function drop(number: number): void {
  notices.value = notices.value.filter((one) => one.number !== number);
}

export function tellDone(text: string): void {
  tell(text, "done");
}

export function tellProblem(problem: unknown): void {
  tell(problem instanceof Error ? problem.message : String(problem), "problem");
}

export function Notices() {
  return (
    <div class="notices" role="status" aria-live="polite">
      {notices.value.map((one) => (
        <div key={one.number} class={`notice ${one.kind}`}>
          <span>{one.text}</span>
          <button type="button" aria-label={words.value.close} onClick={() => drop(one.number)}>
            ×
          </button>
        </div>
      ))}
    </div>
  );
}
