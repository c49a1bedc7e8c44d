// What holds for all columns: the system prompt, the form of the answer, tools, blindness.
import { useId } from "preact/hooks";
import { Field } from "../../parts/field";
import { columns, options, setOption, type Options } from "../../stores/playground";
import { words } from "../../words/words";

export function OptionFields() {
  const told = words.value;
  return (
    <div class="row">
      <details class="more">
        <summary>{told.more}</summary>
        <Text name="system" label={told.system} />
        <Text name="schema" label={told.schema} />
        <Text name="tools" label={told.tools} />
      </details>
      <Tick name="logprobs" label={told.logprobs} />
      <Tick
        name="blind"
        label={told.blind}
        hint={told.blindHint}
        disabled={columns.value.length !== 2}
      />
    </div>
  );
}

function Text({ name, label }: { name: "system" | "schema" | "tools"; label: string }) {
  return (
    <Field label={label}>
      {(id) => (
        <textarea
          id={id}
          rows={3}
          value={options.value[name]}
          onInput={(event) => setOption(name, event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

interface TickProps {
  name: keyof Options & ("logprobs" | "blind");
  label: string;
  hint?: string;
  disabled?: boolean;
}

function Tick({ name, label, hint, disabled = false }: TickProps) {
  const id = useId();
  return (
    <label class="tick" for={id} title={hint}>
      <input
        id={id}
        type="checkbox"
        checked={options.value[name] && !disabled}
        disabled={disabled}
        onChange={(event) => setOption(name, event.currentTarget.checked)}
      />
      {label}
    </label>
  );
}
