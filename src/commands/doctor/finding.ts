/** One line of what doctor has to say. */
export interface Finding {
  readonly section: string
  /** `note`: worth knowing. `fault`: somebody should do something; the exit code is 1. */
  readonly grade: 'ok' | 'note' | 'fault'
  readonly text: string
}

export type Grade = Finding['grade']

/** Makes findings of one section. */
export function findingsOf(section: string): (grade: Grade, text: string) => Finding {
  return (grade, text) => ({ section, grade, text })
}

export function exitsWithFault(findings: readonly Finding[]): boolean {
  return findings.some(({ grade }) => grade === 'fault')
}

/** What an error has to say, on one line. */
export function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0]!
}
