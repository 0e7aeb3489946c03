// `npm start [-- flags]`: sets up what is missing, then serves in this very process, so that signals and exit codes
// are the server's own. package.json starts it with `exec`: otherwise npm would end the shell between, not the server.
// On Windows, whose shell knows no such command, that is exec.cmd.
import { failSetup, setup } from './setup.mjs'

await setup().catch(failSetup)
await import('../dist/cli.js')
