// An answer by its tokens: the less likely one was, the stronger its colour; the rest is told on it.
import type { TokenFact } from "./answers";

export function Tokens({ tokens }: { tokens: TokenFact[] }) {
  return (
    <p class="text tokens">
      {tokens.map((fact, place) => (
        <span key={place} class={`likely-${strength(fact.logprob)}`} title={told(fact)}>
          {fact.token}
        </span>
      ))}
    </p>
  );
}

// 0 for what was nearly certain, 4 for what was a surprise.
function strength(logprob: number): number {
  return Math.min(4, Math.floor(-logprob));
}

function told(fact: TokenFact): string {
  const all = [{ token: fact.token, logprob: fact.logprob }, ...fact.others];
  return all
    .map((one) => `${JSON.stringify(one.token)} ${one.logprob.toFixed(2)} (${(Math.exp(one.logprob) * 100).toFixed(1)} %)`)
    .join("\n");
}
