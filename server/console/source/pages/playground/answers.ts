// One answer of a model as it comes in, with how long it took.
import { sentence, type Told } from "../../server";

export interface TokenFact {
  token: string;
  logprob: number;
  others: { token: string; logprob: number }[];
}

export interface Answer {
  text: string;
  tokens: TokenFact[];
  toolCalls: { name: string; arguments: string }[];
  isRunning: boolean;
  firstTokenS: number | null;
  seconds: number;
  generated: number | null;
  promptTokens: number | null;
  finish: string;
  problem: string;
}

export const NO_ANSWER: Answer = {
  text: "",
  tokens: [],
  toolCalls: [],
  isRunning: true,
  firstTokenS: null,
  seconds: 0,
  generated: null,
  promptTokens: null,
  finish: "",
  problem: "",
};

interface Chunk {
  error?: Told;
  choices?: {
    delta?: {
      content?: string | null;
      tool_calls?: { index: number; function?: { name?: string; arguments?: string } }[];
    };
    logprobs?: { content?: { token: string; logprob: number; top_logprobs?: TokenFact["others"] }[] };
    finish_reason?: string | null;
  }[];
  usage?: { prompt_tokens: number; completion_tokens: number } | null;
}

// Returns the answer with one more piece, which came `seconds` after the question.
export function withChunk(answer: Answer, data: string, seconds: number): Answer {
  const chunk = JSON.parse(data) as Chunk;
  const choice = chunk.choices?.[0];
  const text = choice?.delta?.content ?? "";
  const calls = choice?.delta?.tool_calls ?? [];
  const isFirst = answer.firstTokenS === null && (text !== "" || calls.length > 0);
  return {
    ...answer,
    seconds,
    text: answer.text + text,
    tokens: choice?.logprobs?.content ? [...answer.tokens, ...facts(choice.logprobs.content)] : answer.tokens,
    toolCalls: calls.length ? withCalls(answer.toolCalls, calls) : answer.toolCalls,
    firstTokenS: isFirst ? seconds : answer.firstTokenS,
    generated: chunk.usage?.completion_tokens ?? answer.generated,
    promptTokens: chunk.usage?.prompt_tokens ?? answer.promptTokens,
    finish: choice?.finish_reason ?? answer.finish,
    problem: sentence(chunk.error) ?? answer.problem,
  };
}

// Tokens a second after the first one; null while there is nothing to divide.
export function speed(answer: Answer): number | null {
  const { generated, firstTokenS, seconds } = answer;
  if (!generated || generated < 2 || firstTokenS === null || seconds <= firstTokenS) return null;
  return (generated - 1) / (seconds - firstTokenS);
}

function facts(content: { token: string; logprob: number; top_logprobs?: TokenFact["others"] }[]): TokenFact[] {
  return content.map(({ token, logprob, top_logprobs }) => ({
    token,
    logprob,
    others: top_logprobs ?? [],
  }));
}

type Calls = { index: number; function?: { name?: string; arguments?: string } }[];

function withCalls(before: Answer["toolCalls"], calls: Calls): Answer["toolCalls"] {
  const after = before.map((call) => ({ ...call }));
  for (const { index, function: part } of calls) {
    const call = (after[index] ??= { name: "", arguments: "" });
    call.name += part?.name ?? "";
    call.arguments += part?.arguments ?? "";
  }
  return after;
}
