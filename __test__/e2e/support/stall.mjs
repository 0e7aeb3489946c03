/**
 * `node --import …/stall.mjs dist/cli.js`: while the file $STALL_WHILE exists, a sync holds its thread, in the kernel, until
 * somebody opens the pipe $STALL_PIPE for writing; then it is made. As with a disk that does not answer, nothing in this
 * process can break that off.
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const { fdatasync } = fs
const { STALL_WHILE, STALL_PIPE } = process.env
fs.fdatasync = (fd, done) => {
  if (!fs.existsSync(STALL_WHILE)) return fdatasync(fd, done)
  fs.open(STALL_PIPE, 'r', (error, pipe) => {
    if (error) return done(error)
    fs.close(pipe, () => fdatasync(fd, done))
  })
}
syncBuiltinESMExports()
