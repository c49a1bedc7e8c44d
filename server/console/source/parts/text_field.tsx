// A field for a line of text or a number.
import { Field } from "./field";

interface Props {
  label: string;
  value: string;
  change: (value: string) => void;
  hint?: string;
  type?: "text" | "number" | "date" | "password" | "search";
  required?: boolean;
  placeholder?: string;
  step?: string;
  min?: string;
}

export function TextField({ label, value, change, hint, type = "text", ...others }: Props) {
  return (
    <Field label={label} hint={hint}>
      {(id, describedBy) => (
        <input
          id={id}
          type={type as "text"}
          value={value}
          aria-describedby={describedBy}
          autocomplete="off"
          spellcheck={false}
          onInput={(event) => change(event.currentTarget.value)}
          {...others}
        />
      )}
    </Field>
  );
}
