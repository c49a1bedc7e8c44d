// A field in which one of some values is chosen.
import { Field } from "./field";

interface Props {
  label: string;
  value: string;
  options: { value: string; text: string }[];
  change: (value: string) => void;
}

export function Choice({ label, value, options, change }: Props) {
  return (
    <Field label={label}>
      {(id) => (
        <select id={id} value={value} onChange={(event) => change(event.currentTarget.value)}>
          {options.map((option) => (
            <option key={option.value} value={option.value} selected={option.value === value}>
              {option.text}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}
