/** What is wrong with the configuration: every problem at once, each naming the key, what was found and what is allowed. */
export interface ConfigProblem {
  /** YAML path with the file, or the variable: where a person has to look. */
  readonly key: string;
  readonly found: string;
  readonly allowed: string;
}

export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(
      [
        `the configuration has ${problems.length === 1 ? "a problem" : `${problems.length} problems`}:`,
        ...problems.map((problem) => `  ${problem.key}: found ${problem.found}; allowed: ${problem.allowed}`),
      ].join("\n"),
    );
    this.name = "ConfigError";
    this.problems = problems;
  }
}
