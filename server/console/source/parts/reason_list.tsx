// Reasons of a refusal: what each means and what to do about it, in the language of the page, and
// the server's own sentence with the details.
import type { Reason } from "../server";
import { advice, meaning } from "../words/reasons";
import { words } from "../words/words";
import { Chip } from "./chip";

export function ReasonList({ reasons }: { reasons: readonly Reason[] }) {
  return (
    <ul class="reasons">
      {reasons.map((reason, place) => (
        <li key={place}>{reason.code ? <Known code={reason.code} text={reason.text} /> : reason.text}</li>
      ))}
    </ul>
  );
}

function Known({ code, text }: { code: string; text: string }) {
  return (
    <>
      <p>
        <strong>{meaning(code)}</strong> <Chip text={code} tone="bad" />
      </p>
      <p>
        {words.value.whatToDo}{words.value.colon}<Commands text={advice(code)} />
      </p>
      <p class="hint">
        {words.value.inDetail}{words.value.colon}<span lang="en">{text}</span>
      </p>
    </>
  );
}

// Text of ours in which commands stand between backticks.
function Commands({ text }: { text: string }) {
  return (
    <>
      {text.split("`").map((part, place) => (place % 2 ? <code key={place}>{part}</code> : part))}
    </>
  );
}
