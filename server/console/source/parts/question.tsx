// A question before something that cannot be taken back at once.
import { signal } from "@preact/signals";
import { words } from "../words/words";
import { Button } from "./button";
import { Dialog } from "./dialog";

interface Question {
  text: string;
  verb: string;
  kind: "main" | "danger";
  answer: (sure: boolean) => void;
}

const asked = signal<Question | null>(null);

// Returns whether somebody is sure.
export function isSure(text: string, verb: string, kind: Question["kind"] = "main"): Promise<boolean> {
  return new Promise((answer) => {
    asked.value = { text, verb, kind, answer };
  });
}

export function Questions() {
  const question = asked.value;
  if (!question) return null;

  function answer(sure: boolean): void {
    // A dialog that was answered closes a moment later, when another one may be open.
    if (asked.value !== question) return;
    asked.value = null;
    question!.answer(sure);
  }

  return (
    <Dialog title={question.verb} close={() => answer(false)}>
      <p>{question.text}</p>
      <div class="row end">
        <Button act={() => answer(false)}>{words.value.cancel}</Button>
        <Button kind={question.kind} act={() => answer(true)}>
          {question.verb}
        </Button>
      </div>
    </Dialog>
  );
}
