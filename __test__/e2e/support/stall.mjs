/**
 * `node --import …/stall.mjs dist/cli.js`: while the file $STALL_WHILE exists, a sync or a synced write holds its thread,
 * in the kernel, until somebody opens the pipe $STALL_PIPE for writing; then it is made. As with a disk that does not
 * answer, nothing in this process can break that off.
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const { fdatasync, open, write } = fs
const { STALL_WHILE, STALL_PIPE } = process.env
/** Descriptors with O_DSYNC: their writes end with a sync. */
const synced = new Set()

function stalled(done, call) {
  if (!fs.existsSync(STALL_WHILE)) return call()
  open(STALL_PIPE, 'r', (error, pipe) => {
    if (error) return done(error)
    fs.close(pipe, call)
  })
}

fs.open = (path, flags, ...rest) => {
  const done = rest.pop()
  open(path, flags, ...rest, (error, fd) => {
    if (flags & fs.constants.O_DSYNC) synced.add(fd)
    else synced.delete(fd)
    done(error, fd)
  })
}
fs.write = (fd, ...rest) => {
  if (!synced.has(fd)) return write(fd, ...rest)
  stalled(rest.at(-1), () => write(fd, ...rest))
}
fs.fdatasync = (fd, done) => stalled(done, () => fdatasync(fd, done))
syncBuiltinESMExports()
