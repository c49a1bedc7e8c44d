// A word in a coloured frame: a state, a level, a property.

export function Chip({ text, tone = "plain" }: { text: string; tone?: string }) {
  return <span class={`chip ${tone}`}>{text}</span>;
}
