// The vote on two answers whose makers are hidden.
import { Button } from "../../parts/button";
import { turnsOf, type Column } from "../../stores/playground";
import { words } from "../../words/words";
import { vote, type Choice } from "./votes";

export function BlindVote({ left, right }: { left: Column; right: Column }) {
  const [one, two] = [turnsOf(left.id).at(-1), turnsOf(right.id).at(-1)];
  if (!one || !two || one.answer.isRunning || two.answer.isRunning) return null;

  function cast(choice: Choice): void {
    vote(
      one!.prompt,
      { name: left.model, text: one!.answer.text },
      { name: right.model, text: two!.answer.text },
      choice,
    );
  }

  return (
    <div class="row center vote" role="group" aria-label={words.value.voteHint}>
      <strong>{words.value.voteHint}</strong>
      {(["left", "tie", "right"] as const).map((choice) => (
        <Button key={choice} kind="main" act={() => cast(choice)}>
          {words.value[choice]}
        </Button>
      ))}
    </div>
  );
}
