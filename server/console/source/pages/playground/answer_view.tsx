// One answer of a column, with its figures.
import { count, NOTHING, seconds } from "../../figures";
import { words } from "../../words/words";
import { speed, type Answer } from "./answers";
import { Tokens } from "./tokens";

interface Props {
  answer: Answer;
  // Nobody shall know by its speed who answers.
  isHidden: boolean;
}

export function AnswerView({ answer, isHidden }: Props) {
  if (isHidden && answer.isRunning) return <p class="hint">{words.value.answering}</p>;
  return (
    <div class="answer">
      {answer.tokens.length > 0 && !isHidden ? (
        <Tokens tokens={answer.tokens} />
      ) : (
        <p class="text">{answer.text}</p>
      )}
      {answer.toolCalls.map((call, place) => (
        <pre key={place} tabIndex={0}>
          {words.value.toolCall}{words.value.colon}{call.name}({call.arguments})
        </pre>
      ))}
      {answer.problem && (
        <p class="problem" role="alert">
          {answer.problem}
        </p>
      )}
      {!isHidden && <Facts answer={answer} />}
    </div>
  );
}

function Facts({ answer }: { answer: Answer }) {
  const told = words.value;
  const tokensPerS = speed(answer);
  return (
    <dl class="facts">
      <div>
        <dt>{told.firstToken}</dt>
        <dd>{seconds(answer.firstTokenS)}</dd>
      </div>
      <div>
        <dt>{told.tokensPerSecond}</dt>
        <dd>{tokensPerS === null ? NOTHING : tokensPerS.toFixed(1)}</dd>
      </div>
      <div>
        <dt>{told.tokens}</dt>
        <dd>{count(answer.generated)}</dd>
      </div>
      <div>
        <dt>{told.finish}</dt>
        <dd>{answer.isRunning ? "…" : answer.finish || NOTHING}</dd>
      </div>
    </dl>
  );
}
