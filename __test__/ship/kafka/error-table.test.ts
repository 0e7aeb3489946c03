/** The table against Kafka's own list: a code that a newer Kafka brings is decided before that version is the tested one. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { ERRORS } from '../../../src/ship/kafka/error-table.js'
import { fetchJars, KAFKA_PARTS } from '../../kafka/support/jars.js'
import { describeUnless, missing } from '../../support/require.js'

const run = promisify(execFile)

const PROGRAM = `
public class Codes {
  public static void main(String[] arguments) {
    for (var error : org.apache.kafka.common.protocol.Errors.values())
      if (error.code() != 0) System.out.println(error.code() + " " + error.name());
  }
}
`

const { reason, jars } = await fetchJars()

describeUnless(reason ?? missing('javac'), [...KAFKA_PARTS, 'javac'], 'Kafka’s own errors', () => {
  it('are all in the table, under their names, and no others', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'sluicegate-errors-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    const program = join(directory, 'Codes.java')
    writeFileSync(program, PROGRAM)
    const { stdout } = await run('java', ['-cp', jars.classPath, program])
    expect(ERRORS.map(([code, name]) => `${code} ${name}`)).toEqual(stdout.trim().split('\n'))
  })
})
