/** One guard taken out of the program, and the one test that must notice. */
export interface Mutation {
  /** Short and unique: what the broken program does. */
  readonly name: string
  /** What a capture would do wrong if this went unnoticed. */
  readonly why: string
  /** From the project's root, as are test files. */
  readonly file: string
  /** Text that occurs exactly once in the file. */
  readonly find: string
  readonly replace: string
  readonly test: {
    readonly file: string
    /** The test's own name, without those of the suites around it. */
    readonly name: string
  }
}
