// Questions of which only the newest counts. An answer to an earlier one is let go, however late it
// comes, and so is its failure; the server is told that nobody waits for it.

export class Newest {
  private current: AbortController | null = null;

  // Returns what is answered; undefined if something else was asked meanwhile.
  async ask<Answer>(question: (signal: AbortSignal) => Promise<Answer>): Promise<Answer | undefined> {
    this.stop();
    const mine = new AbortController();
    this.current = mine;
    try {
      const answer = await question(mine.signal);
      return mine.signal.aborted ? undefined : answer;
    } catch (problem) {
      if (mine.signal.aborted) return undefined;
      throw problem;
    }
  }

  stop(): void {
    this.current?.abort();
  }
}
