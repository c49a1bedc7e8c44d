// One prompt to several columns at once: adapters, versions and the base, side by side.
import { useLayoutEffect } from "preact/hooks";
import { Button } from "../../parts/button";
import { copy } from "../../parts/copying";
import { tellProblem } from "../../parts/notices";
import { route } from "../../route";
import { may } from "../../session";
import { adapters } from "../../stores/adapters";
import {
  columns,
  forgetTalks,
  isRunning,
  MOST,
  newColumn,
  options,
  prompt,
} from "../../stores/playground";
import { words } from "../../words/words";
import { askAll, stopAsking } from "./asking";
import { BlindVote } from "./blind_vote";
import { ColumnView } from "./column_view";
import { findBases, firstModels } from "./models";
import { OptionFields } from "./option_fields";
import { link, takeUp } from "./share";
import { deal, hasVoted, isSwapped, saveVotes, uncover, votes } from "./votes";

export function PlaygroundPage() {
  const { query } = route.value;
  const asked = query.get("ask");
  const shared = query.get("share");

  // Before the page is painted: nobody shall ask a column that is about to go.
  useLayoutEffect(() => {
    if (shared) takeUp(shared);
    if (asked) columns.value = [];
    if (shared || asked) uncover();
    findBases()
      .catch(tellProblem)
      .finally(() => {
        if (columns.value.length === 0) columns.value = firstModels(asked).map(newColumn);
      });
  }, [shared, asked, adapters.value === undefined]);

  const isBlind = options.value.blind && columns.value.length === 2;
  const isHidden = isBlind && !hasVoted.value;
  const shown = isBlind && isSwapped.value ? columns.value.toReversed() : columns.value;
  return (
    <>
      <h1>{words.value.playground}</h1>
      <Question isBlind={isBlind} />
      {isHidden && <BlindVote left={shown[0]!} right={shown[1]!} />}
      <div class="columns">
        {shown.map((column, place) => (
          <ColumnView
            key={column.id}
            column={column}
            alias={isHidden ? words.value.hidden("AB"[place]!) : null}
          />
        ))}
      </div>
    </>
  );
}

function Question({ isBlind }: { isBlind: boolean }) {
  const told = words.value;

  function ask(event?: Event): void {
    event?.preventDefault();
    const text = prompt.value.trim();
    if (!text || isRunning.value) return;
    if (isBlind) deal();
    prompt.value = "";
    askAll(text).catch((problem) => {
      prompt.value = text;
      tellProblem(problem);
    });
  }

  function pressed(event: KeyboardEvent): void {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) ask(event);
  }

  return (
    <form class="panel question" onSubmit={ask}>
      <label for="prompt">{told.prompt}</label>
      <textarea
        id="prompt"
        rows={3}
        placeholder={told.promptHint}
        value={prompt.value}
        onInput={(event) => (prompt.value = event.currentTarget.value)}
        onKeyDown={pressed}
      />
      <OptionFields />
      <div class="row">
        {isRunning.value ? (
          <Button kind="danger" act={stopAsking}>
            {told.stop}
          </Button>
        ) : (
          <Button kind="main" submits role="operator" act={ask} disabled={!prompt.value.trim()}>
            {told.send}
          </Button>
        )}
        <Button
          disabled={columns.value.length >= MOST}
          act={() => (columns.value = [...columns.value, newColumn(columns.value.at(-1)?.model ?? "")])}
        >
          {told.addColumn}
        </Button>
        <Button act={forgetTalks} disabled={isRunning.value}>
          {told.clear}
        </Button>
        <Button hint={told.shareHint} act={() => copy(link())}>
          {told.share}
        </Button>
        {votes.value.length > 0 && (
          <Button hint={told.saveVotes} act={saveVotes}>
            {told.saveVotes} ({told.votes(votes.value.length)})
          </Button>
        )}
        {!may("operator") && <span class="hint">{told.needsRole(told.roles.operator)}</span>}
      </div>
    </form>
  );
}
