// One column: who is asked and how, and what came of it.
import { Button } from "../../parts/button";
import { Choice } from "../../parts/choice";
import { copy } from "../../parts/copying";
import { TextField } from "../../parts/text_field";
import {
  change,
  columns,
  FEWEST,
  options,
  prompt,
  remove,
  turnsOf,
  type Column,
} from "../../stores/playground";
import { words } from "../../words/words";
import { AnswerView } from "./answer_view";
import { bodyOf } from "./bodies";
import { modelOptions } from "./models";
import { asCurl, asPython } from "./programs";

interface Props {
  column: Column;
  // What it is called while nobody shall know who answers.
  alias: string | null;
}

export function ColumnView({ column, alias }: Props) {
  const turns = turnsOf(column.id);
  return (
    <section class="panel column" aria-label={alias ?? column.model}>
      {alias ? <h2>{alias}</h2> : <Settings column={column} />}
      {turns.map((turn, place) => (
        <div key={place} class="turn">
          <p class="asked">
            <strong>
              {words.value.you}
              {words.value.colon}
            </strong>
            {turn.prompt}
          </p>
          <AnswerView answer={turn.answer} isHidden={alias !== null} />
        </div>
      ))}
      {turns.length === 0 && <p class="hint">{words.value.noAnswer}</p>}
      {!alias && <Programs column={column} />}
    </section>
  );
}

function Settings({ column }: { column: Column }) {
  const told = words.value;
  const known = modelOptions();
  const isKnown = known.some((option) => option.value === column.model);
  const choices = isKnown ? known : [{ value: column.model, text: column.model }, ...known];
  const set = (part: Partial<Column>) => change(column.id, part);
  return (
    <>
      <div class="row spread">
        <Choice
          label={told.model}
          value={column.model}
          options={choices}
          change={(model) => set({ model })}
        />
        {columns.value.length > FEWEST && (
          <Button label={told.removeColumn} act={() => remove(column.id)}>
            ×
          </Button>
        )}
      </div>
      <div class="numbers">
        <NumberField label={told.temperature} value={column.temperature} change={(temperature) => set({ temperature })} />
        <NumberField label={told.topP} value={column.topP} change={(topP) => set({ topP })} />
        <NumberField label={told.maxTokens} value={column.maxTokens} change={(maxTokens) => set({ maxTokens })} />
        <NumberField label={told.seed} value={column.seed} change={(seed) => set({ seed })} />
      </div>
    </>
  );
}

interface NumberFieldProps {
  label: string;
  value: string;
  change: (value: string) => void;
}

function NumberField(props: NumberFieldProps) {
  return <TextField type="number" step="any" min="0" {...props} />;
}

function Programs({ column }: { column: Column }) {
  const body = () => {
    const former = turnsOf(column.id);
    const asked = prompt.value || former.at(-1)?.prompt || "";
    return bodyOf(column, options.value, prompt.value ? former : former.slice(0, -1), asked);
  };
  return (
    <div class="row">
      <Button act={() => copy(asCurl(body()))}>{words.value.copyCurl}</Button>
      <Button act={() => copy(asPython(body()))}>{words.value.copyPython}</Button>
    </div>
  );
}
